"""Mirroring, and rotation with zoom about the middle; normals turn with the picture."""

import math

import cv2
import numpy as np

from demt_perception.tasks import Task
from demt_perception.training.datasets.sample import change_labels, Sample


def mirror(sample: Sample) -> Sample:
    """Swap left and right; the x of normals changes its sign."""
    def change(task: Task, label: np.ndarray) -> np.ndarray:
        out = np.ascontiguousarray(label[:, ::-1])
        return out * np.array((-1, 1, 1), np.float32) if task.kind == 'vector' else out

    return change_labels(sample, change, image=np.ascontiguousarray(sample.image[:, ::-1]))


def random_mirror(sample: Sample, rng: np.random.Generator) -> Sample:
    """Mirror every other sample."""
    return mirror(sample) if rng.random() < 0.5 else sample


def turn(sample: Sample, degrees: float, factor: float) -> Sample:
    """Rotate and zoom about the middle, the size kept, as MTL-PyTorch (spec 2).

    Picture and normals cubic, the rest nearest; depth is divided by the factor. What comes in
    from outside is class 0 and no boundary (background, not ignored); black, unknown depth
    and unknown normals. Normals are not made unit vectors again: ``stretch`` does that.

    Args:
        sample: picture and labels; normals with x right and y down.
        degrees: counter-clockwise.
        factor: above 1 enlarges.
    """
    if degrees == 0 and factor == 1:
        return sample
    height, width = sample.image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, factor)

    def warp(array: np.ndarray, flags: int, outside: float) -> np.ndarray:
        return cv2.warpAffine(array, matrix, (width, height), flags=flags,
                              borderValue=(outside,) * 4)

    def change(task: Task, label: np.ndarray) -> np.ndarray:
        if task.kind == 'vector':
            return warp(_rotated(label, degrees), cv2.INTER_CUBIC, 0)
        if task.kind == 'scalar':
            return warp(label, cv2.INTER_NEAREST, math.nan) / np.float32(factor)
        return warp(label, cv2.INTER_NEAREST, 0)

    focal = sample.focal and (sample.focal[0] * factor, sample.focal[1] * factor)
    return change_labels(sample, change, image=warp(sample.image, cv2.INTER_CUBIC, 0),
                         focal=focal)


def _rotated(normals: np.ndarray, degrees: float) -> np.ndarray:
    """Rotate (H, W, 3) vectors counter-clockwise as seen in the picture, whose y points down."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rotation = np.array(((c, s, 0), (-s, c, 0), (0, 0, 1)), np.float32)
    return cv2.transform(normals, rotation)
