"""What every dataset gives: one picture and the labels that it has, as plain arrays."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from demt_perception.tasks import Task, TASKS

IGNORE = 255

UNKNOWN: dict[str, float] = {
    'classes': IGNORE, 'probability': IGNORE, 'scalar': float('nan'), 'vector': 0.0}
"""By the kind of a task: the value of a label where nothing is known."""


@dataclass
class Sample:
    """One picture and the labels that it has; None where a label does not exist.

    Each label field is called as its task, so that ``tasks.TASKS`` tells what it means.

    Attributes:
        image: (H, W, 3) RGB: uint8 from a dataset, float32 0..255 inside a transform.
        semseg: (H, W) uint8 class ids, 255 ignored.
        depth: (H, W) float32 metres along Z, +inf sky, NaN unknown.
        normals: (H, W, 3) float32 unit vectors in the optical frame, zero where unknown.
        edge: (H, W) uint8, 1 on a boundary, 255 ignored; None: derived from the classes.
        focal: (fx, fy) in pixels; None where unknown.
        human_parts: (H, W) uint8 part ids, 0 background, 255 ignored.
        sal: (H, W) uint8, 1 where salient, 255 ignored.
        name: of the picture within its dataset, without suffix.
        soft: uint8 (K * h, w), a teacher's distribution over the classes, see ``soft``; of any
            size in the picture's proportions.
    """

    image: np.ndarray
    semseg: np.ndarray | None = None
    depth: np.ndarray | None = None
    normals: np.ndarray | None = None
    edge: np.ndarray | None = None
    focal: tuple[float, float] | None = None
    human_parts: np.ndarray | None = None
    sal: np.ndarray | None = None
    name: str = ''
    soft: np.ndarray | None = None


def labels_of(sample: Sample) -> Iterator[tuple[Task, np.ndarray]]:
    """Yield every task that the sample has a label for, and the label."""
    for task in TASKS.values():
        label = getattr(sample, task.name)
        if label is not None:
            yield task, label


def change_labels(sample: Sample, change: Callable[[Task, np.ndarray], np.ndarray],
                  **fields: Any) -> Sample:
    """Return a new sample with every label changed, and other fields replaced."""
    labels: dict[str, Any] = {task.name: change(task, label) for task, label in labels_of(sample)}
    return replace(sample, **labels, **fields)


def known_share(task: Task, label: np.ndarray) -> float:
    """Return the share of a label's pixels that have one; of sky, depth is known."""
    unknown = UNKNOWN[task.kind]
    if label.ndim == 3:
        return float((label != unknown).any(2).mean())
    return float((~np.isnan(label) if np.isnan(unknown) else label != unknown).mean())
