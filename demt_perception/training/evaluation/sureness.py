"""Which outputs of a model say how good others are, and what they are held against."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from demt_perception.model_card import ModelCard
from demt_perception.tasks import get_tasks
from demt_perception.training.metrics import (
    CalibrationError,
    depth_error,
    Metric,
    rightness,
    SparsificationError,
)


@dataclass(frozen=True)
class Sureness:
    """How sure a model is of a task, and how to measure whether that is right.

    Attributes:
        output: attribute of `Predictions`.
        make: makes the empty metric; it adds the output and the outcome.
        outcome: of a prediction and its label: right or wrong, or by how much.
    """

    output: str
    make: Callable[[], Metric]
    outcome: Callable[[np.ndarray, np.ndarray], np.ndarray]


def sureness_of(card: ModelCard, tasks: Sequence[str], classes: int,
                depth_range: tuple[float, float]) -> dict[str, Sureness]:
    """Return {task: its sureness} for those of the tasks that the model has one of.

    Args:
        card: of the model.
        tasks: names.
        classes: how many the dataset has.
        depth_range: (near, far) metres of the labels that count.
    """
    found = {}
    for task in get_tasks(tasks):
        if task.confidence:
            found[task.name] = Sureness(task.confidence, CalibrationError,
                                        partial(rightness, classes=classes))
        if task.uncertainty in card.outputs:
            near, far = depth_range
            found[task.name] = Sureness(task.uncertainty, SparsificationError,
                                        partial(depth_error, near=near, far=far))
    return found
