"""The total loss of a network's outputs, with deep supervision as in the published code.

Every prediction of a task, final or intermediate, is resized to the labels and has the task's
loss and weight. Source: spec 2 and 3 (MTI-Net, PAD-Net).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from demt_perception.networks.heads import resize
from demt_perception.tasks import TASKS
from demt_perception.training.losses.released import Loss

UNCERTAINTIES = {task.uncertainty: task.name for task in TASKS.values() if task.uncertainty}
"""Outputs that say how far off a task is: their loss is no part of the task's."""
FINAL = 'final'
INITIAL = 'initial_'
FEATURES = 'features_'


def predictions(outputs: Mapping[str, Any]) -> Iterator[tuple[str, str, Tensor]]:
    """Yield (task, stage, logits) of every supervised output of a network.

    Args:
        outputs: of ``MultiTaskModel.forward`` or ``.logits``. Beside {task: logits}, stage
            ``final``, it may hold MTI-Net's ``deep_supervision``, stages ``scale_0`` to
            ``scale_3``, and PAD-Net's ``initial_<task>``, stage ``initial``.
    """
    for name, value in outputs.items():
        if isinstance(value, Mapping):
            yield from ((task, scale, logits) for scale, at_scale in value.items()
                        for task, logits in at_scale.items() if not task.startswith(FEATURES))
        elif name.startswith(INITIAL):
            yield name.removeprefix(INITIAL), 'initial', value
        elif name not in UNCERTAINTIES:
            yield name, FINAL, value


def task_losses(outputs: Mapping[str, Any], targets: Mapping[str, Tensor],
                losses: Mapping[str, Loss]) -> dict[str, dict[str, Tensor]]:
    """Return {task: {stage: unweighted loss}}, differentiable.

    A task's own total is the sum over its stages: what the weightings take.

    Args:
        outputs: see ``predictions``; resized bilinearly (align_corners False), in float32, where
            they are not yet of the labels' size.
        targets: {task: labels}, more than needed is no harm; see ``released``.
        losses: {task: loss}, a table of ``released``.

    Raises:
        ValueError: a task of the network, be it only auxiliary, has no labels or no loss.
    """
    result: dict[str, dict[str, Tensor]] = {}
    for task, stage, logits in predictions(outputs):
        for what, given in (('labels', targets), ('loss', losses)):
            if task not in given:
                raise ValueError(f'the network predicts {task!r} ({stage}) but there is no {what} '
                                 f'for it, only for {sorted(given)}: add it, or build the network '
                                 'without this task')
        height, width = targets[task].shape[-2:]
        fine = resize(logits.float(), (height, width))
        result.setdefault(task, {})[stage] = losses[task](fine, targets[task])
    return result
