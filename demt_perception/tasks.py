"""The one table of tasks: what each is called, predicts, trains on and publishes.

A task is known everywhere by its ``name`` (the papers' term). Networks, losses, metrics, the
ONNX graph and the ROS topics read this table; nothing else asks which task it is dealing with.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """One dense prediction task.

    Attributes:
        name: the papers' term, used by networks, datasets, losses and metrics.
        topic: ROS topic folder and name of the ONNX output (``~/<topic>/image``).
        channels: output channels of the head; None means one per class of the model card.
        loss: key of the training loss.
        metric: key of the evaluation metric.
        encoding: sensor_msgs/Image encoding of the published image.
        unit: what one value means.
        higher_is_better: direction of the metric, for the multi-task gain Delta_m.
    """

    name: str
    topic: str
    channels: int | None
    loss: str
    metric: str
    encoding: str
    unit: str
    higher_is_better: bool


TASKS: dict[str, Task] = {
    task.name: task for task in (
        Task('semseg', 'semantic', None, 'cross_entropy', 'miou', 'mono8', 'class id', True),
        Task('depth', 'depth', 1, 'log_l1', 'abs_rel', '32FC1', 'metres along Z', False),
        Task('normals', 'normals', 3, 'cosine_l1', 'mean_angle', '32FC3',
             'unit vector, camera optical frame', False),
        Task('edge', 'boundary', 1, 'balanced_bce', 'ods_f', 'mono8', 'probability / 255', True),
    )
}

DRIVING = ('semseg', 'depth', 'normals', 'edge')


def get_tasks(names: Iterable[str]) -> tuple[Task, ...]:
    """Return the tasks of the given names, in the given order.

    Raises:
        ValueError: a name is unknown, listed twice, or none is given.
    """
    names = tuple(names)
    unknown = [name for name in names if name not in TASKS]
    if unknown or not names or len(set(names)) != len(names):
        raise ValueError(
            f'tasks {list(names)!r} are not valid: want one or more of {sorted(TASKS)}, '
            'each at most once')
    return tuple(TASKS[name] for name in names)
