"""What a run learns besides its labels: from teachers, soft labels, its running average."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn, Tensor

from demt_perception.networks.model import MultiTaskModel
from demt_perception.training.building import build, load_weights
from demt_perception.training.config import CONFIG, ConfigError, load_config, TrainConfig
from demt_perception.training.failures import TrainingError
from demt_perception.training.loading import normalisation
from demt_perception.training.losses import distilling
from demt_perception.training.objective import Objective
from demt_perception.training.persistence import BEST, WEIGHTS
from demt_perception.training.processes import Logits


class Teacher:
    """A trained network that only looks.

    Attributes:
        network: in evaluation mode, without gradients.
        config: of its run.
        path: its weights.
        metres: see ``distilling.Metres``.
    """

    def __init__(self, path: str | Path):
        """Load a run folder, a folder with config.yaml and weights, or weights beside one.

        Raises:
            ConfigError: there is no configuration or no weights.
            TrainingError: the weights are damaged, of another network, or not finite.
        """
        path = Path(path)
        folder = path if path.is_dir() else path.parent
        if not (folder / CONFIG).is_file():
            raise ConfigError(f'teacher {path}: no {folder / CONFIG}: want the folder of a run of '
                              '`demt train`, or weights beside the configuration of their run')
        files = (folder / BEST, folder / WEIGHTS) if path.is_dir() else (path,)
        self.path = next((file for file in files if file.is_file()), path)
        if self.path.is_dir():
            raise ConfigError(f'teacher {path}: has neither {BEST} nor {WEIGHTS}: is the run '
                              'finished?')
        self.config = load_config(folder / CONFIG)
        network = build(self.config)
        load_weights(self.path, network)
        strange = [name for name, value in network.state_dict().items()
                   if value.is_floating_point() and not value.isfinite().all()]
        if strange:
            raise TrainingError(f'{self.path}: {strange[0]} has values that are no numbers: the '
                                'run went wrong, take another checkpoint')
        self.network: MultiTaskModel = network.eval().requires_grad_(False)
        self.metres = Objective(self.config, network.tasks).metres

    def opinions(self, image: Tensor, focal: float) -> dict[str, Tensor]:
        """Return {task: opinion} of pictures that are normalised as the teacher's own.

        Args:
            image: (B,3,H,W).
            focal: the canonical focal length that depth shall have, in pixels of the input.
        """
        with torch.no_grad():
            logits = self.network.logits(image)
            found = {task: distilling.opinion(task, logits[task], self.metres)
                     for task in self.network.tasks}
        if 'depth' in found:
            found['depth'] = found['depth'] + torch.log(torch.tensor(focal / self.config.focal))
        return found


class Lessons:
    """The losses of a run besides those of its labels.

    Args:
        config: with ``teacher``, ``distill``, ``agreement``.
        tasks: {task: channels} of the network.
        metres: of the run's objective.

    Raises:
        ConfigError: a task is unknown, a teacher cannot teach it, or settings do not fit.
        TrainingError: a teacher's weights are damaged.
    """

    def __init__(self, config: TrainConfig, tasks: Mapping[str, int], metres: distilling.Metres):
        self.config, self.metres = config, metres
        for option, given in (('distill', config.distill), ('agreement', config.agreement)):
            if strangers := sorted(set(given) - set(tasks)):
                raise ConfigError(f'{option}: the network has no task {strangers}, only '
                                  f'{sorted(tasks)}')
        if config.agreement and (not config.ema or config.protocol != 'driving'
                                 or config.strategy != 'ddp'):
            raise ConfigError('agreement wants a running average (ema), protocol driving, which '
                              f'shows two views, and strategy ddp; have ema {config.ema}, '
                              f'{config.protocol}, {config.strategy}')
        if config.teacher and not config.distill:
            raise ConfigError('teacher without distill: want the weights of its tasks, e.g. '
                              'distill: {semseg: 1.0, depth: 0.5}')
        strangers = sorted({*config.distill} - {'semseg'})
        if strangers and not config.teacher:
            raise ConfigError(f'distill of {strangers} without teacher: want one; soft labels are '
                              'of semseg alone')
        self.teachers = [Teacher(path) for path in config.teacher]
        for teacher in self.teachers:
            lacking = {t: tasks[t] for t in config.distill if teacher.network.tasks.get(t)
                       != tasks[t]}
            if lacking:
                raise ConfigError(f'teacher {teacher.path} has tasks {teacher.network.tasks}, '
                                  f'cannot teach {lacking}: leave it out of distill')
            named = teacher.config.classes, config.classes
            if 'semseg' in config.distill and all(named) and named[0] != named[1]:
                raise ConfigError(f'teacher {teacher.path} has the classes '
                                  f'{", ".join(named[0])}, the run {", ".join(named[1])}: want '
                                  'the same in one order; where they only have other names, set '
                                  'classes')

    def to(self, device: torch.device) -> 'Lessons':
        """Move the teachers to where the run is."""
        for teacher in self.teachers:
            teacher.network.to(device)
        return self

    def __call__(self, network: MultiTaskModel, average: Mapping[str, Tensor] | None,
                 outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor],
                 ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum, and the unweighted parts, detached.

        Args:
            network: that learns.
            average: of its weights, for ``agreement``.
            outputs: its logits of ``batch``.
            batch: of ``driving``.
        """
        total, values = outputs[next(iter(outputs))].sum() * 0, {}
        for name, weights, opinions in self._opinions(network, average, batch):
            for task, weight in weights.items():
                if task not in opinions:
                    continue
                wanted = opinions[task].to(outputs[task].device)
                counts = distilling.confident(task, wanted, self.config.least_confidence)
                if name == 'agreement':
                    counts &= distilling.unlabelled(task, batch[task], counts.shape[-2:])
                loss = distilling.distillation(task, outputs[task], wanted, counts, self.metres,
                                               self.config.temperature)
                total, values[f'{task}/{name}'] = total + weight * loss, loss.detach()
        return total, values

    def _opinions(self, network: MultiTaskModel, average: Mapping[str, Tensor] | None,
                  batch: Mapping[str, Tensor],
                  ) -> Iterator[tuple[str, Mapping[str, float], dict[str, Tensor]]]:
        config = self.config
        if self.teachers:
            found = [teacher.opinions(as_seen_by(batch['image'], config, teacher.config),
                                      config.focal) for teacher in self.teachers]
            yield 'teacher', config.distill, {
                task: distilling.agreed(task, [one[task] for one in found])
                for task in config.distill}
        if 'soft' in batch:
            yield 'soft', config.distill, {'semseg': batch['soft']}
        if config.agreement and average is not None:
            state = {f'network.{name}': value for name, value in average.items()}
            with torch.no_grad(), looking(network):
                logits = torch.func.functional_call(
                    Logits(network), state, (batch['weak'], False))
            yield 'agreement', config.agreement, {
                task: distilling.opinion(task, logits[task], self.metres)
                for task in config.agreement}


def as_seen_by(image: Tensor, config: TrainConfig, other: TrainConfig) -> Tensor:
    """Return pictures (B,3,H,W), normalised for one run, as another wants them."""
    (mean, std), (mean2, std2) = normalisation(config), normalisation(other)
    if (mean, std) == (mean2, std2):
        return image
    m, s, m2, s2 = (image.new_tensor(v)[:, None, None] for v in (mean, std, mean2, std2))
    return (image * s + m - m2) / s2


@contextmanager
def looking(network: nn.Module) -> Iterator[None]:
    """Have a network in evaluation mode for a moment, and every part back as it was."""
    modes: dict[nn.Module, Any] = {part: part.training for part in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def is_taught(config: TrainConfig) -> bool:
    """Tell whether a run learns from anything but labels."""
    return bool(config.teacher or config.distill or config.agreement)
