"""How each dataset is measured: the settings that its papers publish, and metrics made with them.

Sources: spec of the released DeMT and ATRC evaluation (pooled figures, boundaries at 0.0075 of
the diagonal on PASCAL-Context and 0.011 on NYUD-v2, predicted depth raised to 0, pictures without
people left out of human parts); see docs/evaluation.md for what differs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from demt_perception.tasks import get_tasks, Task
from demt_perception.training.evaluation.histogram import BinnedDepthError
from demt_perception.training.metrics import create_metric, Metric


@dataclass(frozen=True)
class Protocol:
    """Settings of one layout.

    Attributes:
        tolerance: how far boundaries may be off, as a share of the image diagonal.
        depth_range: (near, far) metres of the labels that count; None: the model's range.
        people_only: human parts count only in pictures that show any.
    """

    tolerance: float = 0.0075
    depth_range: tuple[float, float] | None = None
    people_only: bool = False


# NYUD-v2: every pixel with a depth, as published; its sensor saw 0.7 to 10 m.
PROTOCOLS = {'nyud': Protocol(tolerance=0.011, depth_range=(1e-3, np.inf)),
             'pascal': Protocol(people_only=True)}


def protocol_of(layout: str) -> Protocol:
    """Return the settings of a layout."""
    return PROTOCOLS.get(layout, Protocol())


def metric_makers(tasks: Sequence[str], classes: int, protocol: Protocol,
                  depth_range: tuple[float, float]) -> dict[str, Callable[[], Metric]]:
    """Return {task: makes its empty metric}.

    Args:
        tasks: names.
        classes: how many semantic classes the dataset has.
        protocol: settings of its layout.
        depth_range: (near, far) metres of the model, where the protocol has none.
    """
    def scalar(_: Task) -> Callable[[], Metric]:
        return partial(BinnedDepthError, *(protocol.depth_range or depth_range), floor=0.0,
                       missing=depth_range[1])

    def ids(task: Task) -> Callable[[], Metric]:
        return partial(create_metric, task.name, task.channels or classes)

    def boundary(task: Task) -> Callable[[], Metric]:
        return partial(create_metric, task.name, tolerance=protocol.tolerance)

    def plain(task: Task) -> Callable[[], Metric]:
        return partial(create_metric, task.name)

    by_metric = {'miou': ids, 'abs_rel': scalar, 'rmse': scalar, 'ods_f': boundary}
    return {task.name: by_metric.get(task.metric, plain)(task) for task in get_tasks(tasks)}
