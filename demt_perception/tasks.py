"""The one table of tasks: what each is called, predicts, trains on and publishes.

A task is known everywhere by its ``name`` (the papers' term). Networks, losses, metrics, the
ONNX graph and the ROS topics read this table; nothing else asks which task it is dealing with.
"""

from collections.abc import Iterable
from dataclasses import dataclass


class TaskError(ValueError):
    """Names of tasks that cannot be used; the text lists those that can."""


@dataclass(frozen=True)
class Task:
    """One dense prediction task.

    Attributes:
        name: the papers' term, used by networks, datasets, losses and metrics.
        topic: ROS topic folder and name of the ONNX output (``~/<topic>/image``).
        kind: what the network's channels mean: ``classes`` (scores, one per class), ``scalar``,
            ``vector`` or ``probability`` (one channel with a sigmoid, or two with a softmax, the
            second of which counts).
        channels: output channels of the head; None means one per class of the model card.
        loss: key of the training loss.
        metric: key of the evaluation metric.
        encoding: sensor_msgs/Image encoding of the published image.
        unit: what one value means.
        higher_is_better: direction of the metric, for the multi-task gain Delta_m.
        confidence: name of a second ONNX output, the probability of the class; '' for none.
        uncertainty: name of an ONNX output that only some networks have: by how much the value
            is expected to be off, in its unit; '' for none. Networks name it so, too: there it
            is the logarithm of the scale of a Laplace distribution, of the logarithm of depth.
        masked_by: name of another task, without whose output this one has no meaning everywhere;
            '' for none. Where depth is sky, there is no surface and no normal.
    """

    name: str
    topic: str
    kind: str
    channels: int | None
    loss: str
    metric: str
    encoding: str
    unit: str
    higher_is_better: bool
    confidence: str = ''
    uncertainty: str = ''
    masked_by: str = ''

    @property
    def outputs(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """ONNX outputs by name: leading axes (batch, and components of a vector) and type."""
        axes: tuple[int, ...] = (1, self.channels or 0) if self.kind == 'vector' else (1,)
        outputs = {self.topic: (axes, 'uint8' if self.kind == 'classes' else 'float32')}
        if self.confidence:
            outputs[self.confidence] = ((1,), 'float32')
        return outputs

    @property
    def kinds(self) -> dict[str, str]:
        """What the values of each ONNX output mean, by name: see ``kind``."""
        kinds = {self.topic: self.kind}
        if self.confidence:
            kinds[self.confidence] = 'probability'
        if self.uncertainty:
            kinds[self.uncertainty] = 'scalar'
        return kinds


TASKS: dict[str, Task] = {
    task.name: task for task in (
        Task('semseg', 'semantic', 'classes', None, 'cross_entropy', 'miou', 'mono8', 'class id',
             True, 'confidence'),
        Task('depth', 'depth', 'scalar', 1, 'log_l1', 'abs_rel', '32FC1', 'metres along Z', False,
             uncertainty='depth_uncertainty'),
        Task('normals', 'normals', 'vector', 3, 'cosine_l1', 'mean_angle', '32FC3',
             'unit vector, camera optical frame', False, masked_by='depth'),
        Task('edge', 'boundary', 'probability', 1, 'balanced_bce', 'ods_f', 'mono8',
             'probability / 255', True),
        Task('human_parts', 'human_parts', 'classes', 7, 'cross_entropy', 'miou', 'mono8',
             'part id', True),
        Task('sal', 'saliency', 'probability', 2, 'balanced_cross_entropy', 'max_f', 'mono8',
             'probability / 255', True),
    )
}

DRIVING = ('semseg', 'depth', 'normals', 'edge')


def task_name(word: str) -> str:
    """Return the name of the task that a word stands for: its name, or its topic folder.

    Another word stays as it is, to be refused by ``get_tasks``.

    >>> [task_name(word) for word in ('boundary', 'edge', 'colour')]
    ['edge', 'edge', 'colour']
    """
    return next((task.name for task in TASKS.values() if word == task.topic), word)


def both_names(names: Iterable[str]) -> str:
    """Return tasks as a list for people: each with its topic folder where that differs.

    >>> both_names(['semseg', 'depth'])
    'semseg (or semantic), depth'
    """
    return ', '.join(name if TASKS[name].topic == name else f'{name} (or {TASKS[name].topic})'
                     for name in names)


def get_tasks(names: Iterable[str]) -> tuple[Task, ...]:
    """Return the tasks of the given names, in the given order.

    Raises:
        TaskError: a name is unknown, listed twice, or none is given.

    >>> [task.topic for task in get_tasks(['edge', 'depth'])]
    ['boundary', 'depth']
    """
    names = tuple(names)
    unknown = [name for name in names if name not in TASKS]
    if unknown or not names or len(set(names)) != len(names):
        raise TaskError(
            f'tasks {list(names)!r} are not valid: want one or more of {sorted(TASKS)}, '
            'each at most once')
    return tuple(TASKS[name] for name in names)
