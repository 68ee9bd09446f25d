"""Cutting a window out of picture and labels, and padding them to a size."""

import numpy as np

from demt_perception.tasks import Task
from demt_perception.training.datasets.sample import change_labels, IGNORE, Sample, UNKNOWN

TRIES = 10


def crop(sample: Sample, top: int, left: int, size: tuple[int, int]) -> Sample:
    """Cut (height, width) at a place; less where the picture ends."""
    window = slice(top, top + size[0]), slice(left, left + size[1])

    def change(_: Task, label: np.ndarray) -> np.ndarray:
        return label[window]

    return change_labels(sample, change, image=sample.image[window])


def random_crop(sample: Sample, size: tuple[int, int], rng: np.random.Generator,
                largest_share: float = 0.75) -> Sample:
    """Cut (height, width) at random so that no class rules the window (spec 1.9).

    Up to 10 windows are judged: one is taken if it shows two classes or more and the largest
    covers less than the share of its labelled pixels. After ten refusals the eleventh window is
    taken as it is. Without classes the first is taken.
    """
    height, width = sample.image.shape[:2]

    def place() -> tuple[int, int]:
        return (int(rng.integers(0, max(height - size[0], 0) + 1)),
                int(rng.integers(0, max(width - size[1], 0) + 1)))

    top, left = place()
    if sample.semseg is not None and (height, width) != size:
        for _ in range(TRIES):
            if _is_mixed(sample.semseg[top:top + size[0], left:left + size[1]], largest_share):
                break
            top, left = place()
    return crop(sample, top, left, size)


def pad(sample: Sample, size: tuple[int, int]) -> Sample:
    """Pad to at least (height, width), the picture in the middle, with unknown labels.

    The odd row or column goes below and to the right. The picture is filled with 0: pad after
    normalising, as the papers do.
    """
    height, width = sample.image.shape[:2]
    more = max(size[0] - height, 0), max(size[1] - width, 0)
    around = [(side // 2, side - side // 2) for side in more]

    def fill(array: np.ndarray, value: float) -> np.ndarray:
        return np.pad(array, around + [(0, 0)] * (array.ndim - 2), constant_values=value)

    def change(task: Task, label: np.ndarray) -> np.ndarray:
        return fill(label, UNKNOWN[task.kind])

    return change_labels(sample, change, image=fill(sample.image, 0))


def _is_mixed(semseg: np.ndarray, largest_share: float) -> bool:
    counts = np.bincount(semseg.ravel(), minlength=256)
    counts = np.delete(counts, IGNORE)
    counts = counts[counts > 0]
    return len(counts) > 1 and counts.max() / counts.sum() < largest_share
