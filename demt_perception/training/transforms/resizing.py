"""Pictures and labels in another size: scaled alike in both directions, or stretched."""

from dataclasses import replace

import cv2
import numpy as np

from demt_perception.tasks import Task
from demt_perception.training.datasets.sample import change_labels, Sample


def scale(sample: Sample, factor: float) -> Sample:
    """Scale picture (bilinear) and labels (nearest), and divide depth by the factor (spec 1.9).

    What is shown is the same scene ``1 / factor`` as large through the lens ``factor`` times as
    long, so normals stay. A factor of 1 changes nothing.
    """
    if factor == 1:
        return sample
    height, width = (int(side * factor) for side in sample.image.shape[:2])

    def change(task: Task, label: np.ndarray) -> np.ndarray:
        out = cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST)
        return out / np.float32(factor) if task.kind == 'scalar' else out

    image = cv2.resize(sample.image, (width, height), interpolation=cv2.INTER_LINEAR)
    return change_labels(sample, change, image=image, focal=_longer(sample, factor, factor))


def random_scale(sample: Sample, rng: np.random.Generator, low: float = 0.5,
                 high: float = 2.0) -> Sample:
    """Scale by U(low, high)."""
    return scale(sample, float(rng.uniform(low, high)))


def stretch(sample: Sample, size: tuple[int, int]) -> Sample:
    """Resize to (height, width) without keeping the aspect, as MTL-PyTorch (spec 2).

    The picture is cubic, and may overshoot 0..255; classes, masks and depth nearest; normals
    cubic, then of unit length again. Depth keeps its values.
    """
    height, width = size

    def change(task: Task, label: np.ndarray) -> np.ndarray:
        if task.kind == 'vector':
            return unit(cv2.resize(label, (width, height), interpolation=cv2.INTER_CUBIC))
        return cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST)

    image = cv2.resize(sample.image, (width, height), interpolation=cv2.INTER_CUBIC)
    old = sample.image.shape
    return change_labels(sample, change, image=image,
                         focal=_longer(sample, width / old[1], height / old[0]))


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) vectors of unit length; zero ones stay."""
    # Channel by channel: numpy is slow to reduce an axis of three.
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    length = np.sqrt(x * x + y * y + z * z)
    # The released epsilon keeps small what interpolation leaves of nothing by rounding.
    return vectors / (length + np.finfo(np.float32).eps)[..., None]


def as_float(sample: Sample) -> Sample:
    """Return the sample with a float32 picture: resizing must not round to whole numbers."""
    return replace(sample, image=sample.image.astype(np.float32))


def _longer(sample: Sample, x: float, y: float) -> tuple[float, float] | None:
    return sample.focal and (sample.focal[0] * x, sample.focal[1] * y)
