"""Depth by plane sweep: which distance makes the pictures of a moved camera look alike.

Collins, CVPR 1996. Planes that face the camera are seen from the other picture's place; a pixel
is as far as the plane on which both have the same texture (normalised cross-correlation).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

WINDOW = 9
FLAT = 3.0
"""Variance of grey values; where there is less, nothing is alike."""
NEAREST, FARTHEST, PLANES = 3.0, 100.0, 64
"""Metres."""
ALIKE, ALONE = 0.5, 0.05
"""Correlation, and by how much it is greater than that of other depths."""
APART = 5
"""Planes that count as other depths."""
NEIGHBOURS, SUPPORT = 7, 0.25
"""Pixels a side, and the share of them that are within two planes."""
LEAST_PARALLAX = 3.0
"""Pixels that a point has to be away from where one at infinity would be."""
BEHIND = 0.1


class Other(NamedTuple):
    """Another picture: float32 (H, W), rotation (3, 3), and translation (3,) in metres."""

    image: np.ndarray
    rotation: np.ndarray
    way: np.ndarray


class Patches:
    """Mean and variance around every pixel of a picture, for ``correlation``."""

    def __init__(self, image: np.ndarray):
        self.image, self.mean = image, _box(image)
        self.variance = _box(image * image) - self.mean ** 2

    def correlation(self, other: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """Return the correlation with another picture, float32 (H, W), -1 where not seen."""
        theirs = Patches(other)
        both = _box(self.image * other) - self.mean * theirs.mean
        alike: np.ndarray = both / np.sqrt(np.maximum(self.variance, FLAT)
                                           * np.maximum(theirs.variance, FLAT))
        alike[cv2.erode(seen, np.ones((WINDOW, WINDOW), np.uint8)) == 0] = -1
        return alike


def see_plane(other: Other, matrix: np.ndarray, plane: Sequence[float],
              ) -> tuple[np.ndarray, np.ndarray]:
    """Return another picture as if all lay on a plane: float32 (H, W), uint8 (H, W) where seen.

    Args:
        other: the picture.
        matrix: (3, 3), of the camera.
        plane: a, b, c; the inverse of depth at x, y in pixels is a x + b y + c, in 1/m.
    """
    height, width = other.image.shape
    shift = np.outer(other.way, np.asarray(plane))   # of rays in pixels
    change = matrix @ (other.rotation @ np.linalg.inv(matrix) + shift)
    whole = np.full((height, width), 255, np.uint8)
    image, seen = (cv2.warpPerspective(each, change, (width, height),
                                       flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
                   for each in (other.image, whole))
    # What lies behind the other camera would be seen mirrored.
    ahead = change[2, 0] * np.arange(width) + (
        change[2, 1] * np.arange(height)[:, None] + change[2, 2]) > 0
    return np.asarray(image), ((np.asarray(seen) == 255) & ahead).astype(np.uint8)


def sweep(image: np.ndarray, others: Sequence[Other], matrix: np.ndarray) -> np.ndarray:
    """Return depth, float32 (H, W) metres, NaN where the pictures do not tell it.

    Args:
        image: uint8 or float32 (H, W), grey.
        others: pictures of the same size and camera.
        matrix: (3, 3).
    """
    here = Patches(image.astype(np.float32))
    inverse = np.geomspace(1 / FARTHEST, 1 / NEAREST, PLANES)
    volume = np.empty((PLANES, *image.shape), np.float32)
    for plane, each in enumerate(inverse):
        volume[plane] = _likeness(here, others, matrix, each)
    best = volume.argmax(0).astype(np.int16)
    alike = np.take_along_axis(volume, best[None], 0)[0]
    second = np.full(image.shape, -1, np.float32)
    for plane in range(PLANES):
        np.maximum(second, volume[plane], out=second, where=np.abs(best - plane) > APART)
    known = (alike > ALIKE) & (alike - second > ALONE) & (best > 0) & (best < PLANES - 1)
    fine = best + _vertex(volume, best)
    depth = np.exp(np.interp(fine, np.arange(PLANES), -np.log(inverse))).astype(np.float32)
    known &= _supported(fine, known)
    known &= np.max([_parallax(other, matrix, image.shape) for other in others], 0) / depth > (
        LEAST_PARALLAX)
    return np.where(known, depth, np.float32(np.nan))


def _likeness(here: Patches, others: Sequence[Other], matrix: np.ndarray,
              inverse: float) -> np.ndarray:
    """Return the mean correlation over the pictures that see a pixel on a plane; else -1.

    Pictures from farther ahead do not see what is near: what they show must not be matched with
    what else is there. So a picture from farther behind has to see it, too.
    """
    total = np.zeros(here.image.shape, np.float32)
    count = np.zeros(here.image.shape, np.float32)
    behind = np.zeros(here.image.shape, bool)
    for other in others:
        if 1 + other.way[2] * inverse < BEHIND:
            continue
        alike = here.correlation(*see_plane(other, matrix, (0, 0, inverse)))
        there = alike > -1
        total[there] += alike[there]
        count += there
        if other.way[2] > 0:
            behind |= there
    return np.where(behind, total / np.maximum(count, 1), np.float32(-1))


def _vertex(volume: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Return where between planes the parabola through three correlations is highest."""
    places = (np.clip(best + step, 0, PLANES - 1)[None] for step in (-1, 0, 1))
    before, at, after = (np.take_along_axis(volume, place, 0)[0] for place in places)
    bend = 2 * at - before - after
    with np.errstate(divide='ignore', invalid='ignore'):
        return np.where(bend > 1e-6, np.clip((after - before) / (2 * bend), -0.5, 0.5), 0)


def _supported(planes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Tell where enough pixels around are as far."""
    value = np.where(known, planes, -100).astype(np.float32)
    count = np.zeros(value.shape, np.float32)
    for shifted in _shifted(value, NEIGHBOURS // 2):
        count += np.abs(shifted - value) <= 2
    enough: np.ndarray = count >= SUPPORT * NEIGHBOURS ** 2
    return enough


def _shifted(image: np.ndarray, reach: int) -> Iterator[np.ndarray]:
    padded = np.pad(image, reach, constant_values=-1000)
    height, width = image.shape
    for row in range(2 * reach + 1):
        for column in range(2 * reach + 1):
            yield padded[row:row + height, column:column + width]


def _parallax(other: Other, matrix: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return how far a point 1 m away, in first order, is from where one at infinity would be."""
    rows, columns = np.mgrid[0:size[0], 0:size[1]]
    back = other.rotation.T @ other.way   # the other camera is at -back
    x = matrix[0, 0] * back[0] - (columns - matrix[0, 2]) * back[2]
    y = matrix[1, 1] * back[1] - (rows - matrix[1, 2]) * back[2]
    return np.asarray(np.hypot(x, y))


def _box(image: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.blur(image, (WINDOW, WINDOW)))
