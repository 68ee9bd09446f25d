"""Metrics, accumulated over a set, and merged across processes without loss.

`create_metric` makes the metric of a task; each keeps nothing but integer arrays that add, see
`metrics.sums`. Numpy and OpenCV only.
"""

from collections.abc import Callable
from typing import Any

from demt_perception.tasks import get_tasks
from demt_perception.training.metrics.boundaries import BoundaryScore, HED_THRESHOLDS
from demt_perception.training.metrics.calibration import CalibrationError, rightness
from demt_perception.training.metrics.confusion import ConfusionMatrix
from demt_perception.training.metrics.delta_m import delta_m
from demt_perception.training.metrics.depth import DepthError
from demt_perception.training.metrics.normals import angles, NormalError
from demt_perception.training.metrics.saliency import ImageMaxF, PooledMaxF
from demt_perception.training.metrics.sparsification import depth_error, SparsificationError
from demt_perception.training.metrics.sums import Metric

_METRICS: dict[str, Callable[..., Metric]] = {   # by Task.metric
    'miou': ConfusionMatrix,
    'abs_rel': DepthError,
    'mean_angle': NormalError,
    'ods_f': BoundaryScore,
    'max_f': PooledMaxF,
}


def create_metric(task: str, classes: int = 0, **settings: Any) -> Metric:
    """Return an empty metric for a task.

    Args:
        task: its name.
        classes: how many, for tasks of classes whose number is not fixed.
        settings: arguments of the metric's class, such as ``near`` and ``far`` of `DepthError`
            or ``tolerance`` and ``thresholds`` of `BoundaryScore`.

    Raises:
        ValueError: the task is unknown, its classes were not given, or a setting has no sense.
    """
    known, = get_tasks([task])
    if known.kind == 'classes':
        settings['classes'] = classes or known.channels or 0
    return _METRICS[known.metric](**settings)


__all__ = [
    'HED_THRESHOLDS',
    'BoundaryScore',
    'CalibrationError',
    'ConfusionMatrix',
    'DepthError',
    'ImageMaxF',
    'Metric',
    'NormalError',
    'PooledMaxF',
    'SparsificationError',
    'angles',
    'create_metric',
    'delta_m',
    'depth_error',
    'rightness',
]
