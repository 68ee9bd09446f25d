"""Ridges of a boundary map: what SEISM's reader of contour images does before the thresholds.

Smoothing by a triangle filter gives the direction across each ridge; a pixel lower than the map
one step away in that direction is dropped. After ``read_one_cont_png`` of SEISM with
``edgesNmsMex(map, orientation, 1, 5, 1.01)`` of Dollar's structured edges (spec 1.10). Float32
throughout, as there.
"""

import cv2
import numpy as np

_TRIANGLE = np.array([1, 2, 3, 4, 5, 4, 3, 2, 1], np.float32) / 25   # radius 4
_TOLERANCE = np.float32(1.01)   # a pixel may be this much lower than its neighbour
_BORDER = 5                     # pixels along the image border that fade to zero


def suppress(boundary: np.ndarray) -> np.ndarray:
    """Return the boundary map, float32 (H, W) in 0..1, with zero beside its ridges."""
    boundary = np.asarray(boundary, np.float32)
    angle = across(boundary)
    rows, columns = np.nonzero(boundary)
    for step in (-1, 1):
        direction = angle[rows, columns]
        beside = _interpolated(boundary, columns + step * np.cos(direction),
                               rows + step * np.sin(direction))
        kept = boundary[rows, columns] * _TOLERANCE >= beside
        rows, columns = rows[kept], columns[kept]
    ridges = np.zeros_like(boundary)
    ridges[rows, columns] = boundary[rows, columns]
    reach = min(_BORDER, *(size // 2 for size in boundary.shape))
    down, right = (_fade(size, reach) for size in boundary.shape)
    return ridges * down[:, None] * right


def across(boundary: np.ndarray) -> np.ndarray:
    """Return the direction across the ridges: float32 (H, W), radians in 0..pi from the x axis.

    Raises:
        ValueError: it is no map of at least 2x2 pixels, and has no gradient.
    """
    if boundary.ndim != 2 or min(boundary.shape) < 2:
        raise ValueError(f'a boundary map of shape {boundary.shape} has no direction: '
                         'want (H, W) of at least 2x2')
    smooth = cv2.sepFilter2D(boundary, cv2.CV_32F, _TRIANGLE, _TRIANGLE,
                             borderType=cv2.BORDER_REFLECT)
    dy, dx = np.gradient(smooth)
    dxx = np.gradient(dx, axis=1)
    dyy, dxy = np.gradient(dy)
    angle = np.arctan(dyy * np.sign(-dxy) / (dxx + np.float32(1e-5)))
    return np.mod(angle, np.float32(np.pi))


def _interpolated(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the image at points, bilinear, held inside its border as the original does."""
    height, width = image.shape
    x = np.clip(x, 0, width - 1.001).astype(np.float32)
    y = np.clip(y, 0, height - 1.001).astype(np.float32)
    left, top = x.astype(int), y.astype(int)
    fx, fy = x - left.astype(np.float32), y - top.astype(np.float32)
    flat, corner = image.ravel(), top * width + left
    return ((flat[corner] * (1 - fx) + flat[corner + 1] * fx) * (1 - fy)
            + (flat[corner + width] * (1 - fx) + flat[corner + width + 1] * fx) * fy)


def _fade(size: int, reach: int) -> np.ndarray:
    """Return the factor of each row or column: it climbs from 0 at both borders to 1."""
    from_border = np.minimum(np.arange(size), np.arange(size)[::-1])
    return np.minimum(from_border / reach, 1).astype(np.float32)
