"""The ground under a camera that drives: its plane, the camera's height, the metres it went."""

from collections.abc import Mapping
import math
from typing import NamedTuple

import cv2
import numpy as np

from demt_perception.training.labelling.motion.pose import Step
from demt_perception.training.labelling.motion.sweep import (
    FLAT,
    Other,
    Patches,
    see_plane,
    WINDOW,
)

FARTHEST = 40.0
"""Metres: beyond, three rows of the horizon are 15 % of depth (of CamVid's camera)."""
LEVEL = 25.0
"""Metres of ground that tell how far the camera went."""
LEAST_WAY, MOST_WAY, RATIO = 0.3, 60.0, 1.1
"""Metres between two pictures, and how much farther the next guess is."""
FINER = np.geomspace(1 / RATIO, RATIO, 9)
LEAST_ALIKE, ALONE = 0.15, 0.04
"""Correlation of the ground, and by how much it is greater than at other distances: the lines of a
bare motorway look alike wherever one is along them."""
APART = 3
"""Guesses away that count as other distances."""
FEWEST = 1500
"""Pixels of ground with texture."""
SIZES: Mapping[str, float] = {'pedestrian': 1.70, 'person': 1.70, 'car': 1.48}
"""Metres; people as in Hoiem, Efros, Hebert, CVPR 2006, European cars of the years of CamVid."""
SHAPES: Mapping[str, tuple[float, float, float]] = {
    'pedestrian': (2.2, 4.2, 0.45), 'person': (2.2, 4.2, 0.45), 'car': (0.6, 1.1, 0.7)}
"""Height over width of one alone (of cars from behind), least and most; how full its box is."""
LEAST_HEIGHT = 0.06
"""Of the picture's: of a thing that is measured."""
LEAST_DOWN = 0.05
"""Of the picture's height: its foot must be so far below the horizon."""


class Ground(NamedTuple):
    """A level plane: the row of its horizon, and the camera's height above it in metres."""

    horizon: float
    height: float

    def plane(self, matrix: np.ndarray) -> tuple[float, float, float]:
        """Return a, b, c: the inverse of depth at x, y in pixels is a x + b y + c."""
        slope = 1 / (matrix[1, 1] * self.height)
        return 0.0, slope, -slope * self.horizon

    def depth(self, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Return float32 (H, W) metres, NaN above the horizon and beyond ``FARTHEST``."""
        _, slope, start = self.plane(matrix)
        inverse = slope * np.arange(size[0]) + start
        with np.errstate(divide='ignore'):
            column = np.where(inverse > 1 / FARTHEST, 1 / inverse, np.nan)
        return np.repeat(column[:, None], size[1], 1).astype(np.float32)


def metres_gone(image: np.ndarray, other: np.ndarray, step: Step, ground: Ground,
                matrix: np.ndarray, is_ground: np.ndarray) -> float | None:
    """Return how far apart two pictures were taken; None where the ground does not tell it.

    It is the distance at which the plane's texture is the same in both.

    Args:
        image: float32 (H, W), grey.
        other: the other one.
        step: from the first one to it.
        ground: of the first one.
        matrix: (3, 3), of the camera.
        is_ground: bool (H, W).
    """
    here = Patches(image)
    _, slope, start = ground.plane(matrix)
    rows = np.arange(image.shape[0])[:, None]
    inside = cv2.erode(is_ground.astype(np.uint8), np.ones((WINDOW, WINDOW), np.uint8)) > 0
    inside &= (slope * rows + start > 1 / LEVEL) & (here.variance > 2 * FLAT)

    def alike(way: float) -> float:
        there = Other(other, step.rotation, step.direction * way)
        found = here.correlation(*see_plane(there, matrix, ground.plane(matrix)))
        use = inside & (found > -1)
        return float(found[use].mean()) if use.sum() >= FEWEST else -1.0

    ways = LEAST_WAY * RATIO ** np.arange(math.log(MOST_WAY / LEAST_WAY, RATIO))
    found = [alike(way) for way in ways]
    best = int(np.argmax(found))
    other_ways = found[:max(best - APART, 0)] + found[best + APART + 1:]
    if found[best] < max(LEAST_ALIKE, max(other_ways, default=-1) + ALONE) or (
            best in (0, len(ways) - 1)):
        return None
    around = ways[best] * FINER
    return float(around[np.argmax([alike(way) for way in around])])


def camera_heights(ids: np.ndarray, horizon: float, things: Mapping[int, str],
                     ground: tuple[int, ...]) -> list[float]:
    """Return the camera's height by each person and car that stands alone on the ground.

    Its height is to the camera's as its length in the picture to the way from its foot to the
    horizon (Hoiem et al.).

    Args:
        ids: uint8 (H, W) classes.
        horizon: its row.
        things: {class id: name in ``SIZES``}.
        ground: ids of the ground.

    Returns:
        metres, one a sighting.
    """
    rows, columns = ids.shape
    found = []
    for id_, name in things.items():
        least, most, full = SHAPES[name]
        count, _, boxes, _ = cv2.connectedComponentsWithStats((ids == id_).astype(np.uint8))
        for left, top, width, height, area in boxes[1:count]:
            foot = top + height
            whole = left > 1 and left + width < columns - 1 and foot < 0.98 * rows
            alone = least < height / width < most and area > full * width * height
            large = height > LEAST_HEIGHT * rows and foot - horizon > LEAST_DOWN * rows
            under = ids[foot + 1:foot + 5, left + width // 4:left + 3 * width // 4 + 1]
            if whole and alone and large and np.isin(under, ground).mean() > 0.9:
                found.append(float(SIZES[name] * (foot - horizon) / height))
    return found
