"""The scale of a mounted camera's depth, from what is known about the scene. Pure functions.

A network sees shapes, not metres: how far its depth is off is for a good part one factor, which
belongs to the camera, its lens and the kind of place. One known distance, or the camera's height
over the ground, fixes it; several tell how sure that is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
import math

import cv2
import numpy as np

from demt_perception.inference.point_cloud import Camera, rays_at

# Median absolute deviation to standard deviation of a normal distribution.
_MAD = 1.4826
_FEWEST_PIXELS = 20
# A plane of ground is searched in so many points, and by so many tries.
_POINTS, _TRIES = 2000, 200
_NEAR_PLANE = 0.03


class CalibrationError(ValueError):
    """The scale cannot be told; the text says why and what to do."""


@dataclass(frozen=True)
class Scale:
    """What depth has to be multiplied by.

    Attributes:
        factor: true over predicted depth.
        error: relative standard error to be expected of the factor.
        count: independent estimates behind it.
        scatter: relative standard deviation between them; NaN of one.
    """

    factor: float
    error: float
    count: int
    scatter: float


def predicted_distance(depth: np.ndarray, camera: Camera, region: tuple[int, int, int, int]
                       ) -> tuple[float, float]:
    """Return the distance from the lens to what a region shows, and its relative spread.

    Args:
        depth: HxW float32, metres along Z, NaN where invalid.
        camera: that took the picture.
        region: x, y, width, height in pixels of the picture.

    Raises:
        CalibrationError: the region is outside the picture, or mostly without depth.
    """
    x, y, width, height = region
    if x < 0 or y < 0 or x + width > depth.shape[1] or y + height > depth.shape[0]:
        raise CalibrationError(f'the region {x},{y} {width}x{height} is not inside the picture of '
                               f'{depth.shape[1]}x{depth.shape[0]}')
    values = depth[y:y + height, x:x + width]
    values = values[np.isfinite(values)]
    if values.size < max(1, width * height // 2):
        raise CalibrationError(f'the region {x},{y} {width}x{height} has depth at {values.size} '
                               f'of {width * height} pixels: choose a place that is not sky, nor '
                               'nearer or farther than the model knows')
    middle = float(np.median(values))
    across, down = rays_at(camera, np.array(x + width / 2 - 0.5), np.array(y + height / 2 - 0.5))
    if np.isnan(across):
        raise CalibrationError(f'the lens shows nothing at the region {x},{y} {width}x{height}, '
                               'by its distortion in camera_info: is that right?')
    spread = _MAD * float(np.median(np.abs(values - middle))) / middle
    return middle * math.hypot(1, across, down), spread


def predicted_height(depth: np.ndarray, camera: Camera, ground: np.ndarray,
                     generator: np.random.Generator) -> float:
    """Return the height of the camera over a plane through the ground, in predicted metres.

    RANSAC (Fischler and Bolles 1981) with a tolerance of 3 % of the height, then least squares.

    Args:
        depth: HxW float32, metres along Z, NaN where invalid.
        camera: that took the picture.
        ground: HxW bool, True where the picture shows ground.
        generator: draws the points.

    Raises:
        CalibrationError: there is too little ground, or it is no plane below the camera.
    """
    rows, columns = np.nonzero(ground & np.isfinite(depth))
    if rows.size < _FEWEST_PIXELS:
        raise CalibrationError(f'ground is seen at {rows.size} pixels, want '
                               f'{_FEWEST_PIXELS} and more: show the camera its ground, or give '
                               'a known distance')
    some = generator.choice(rows.size, min(_POINTS, rows.size), replace=False)
    rows, columns = rows[some], columns[some]
    z = depth[rows, columns].astype(np.float64)
    across, down = rays_at(camera, columns, rows)
    points = np.stack([across * z, down * z, z], 1)
    points = points[~np.isnan(across)]
    if len(points) < _FEWEST_PIXELS:
        raise CalibrationError(f'the lens shows ground at {len(points)} points, by its distortion '
                               'in camera_info: is that right?')
    best = np.zeros(len(points), bool)
    for _ in range(_TRIES):
        three = points[generator.choice(len(points), 3, replace=False)]
        normal = np.cross(three[1] - three[0], three[2] - three[0])
        offset = normal @ three[0]
        near = np.abs(points @ normal - offset) < _NEAR_PLANE * abs(offset)
        if near.sum() > best.sum():
            best = near
    if best.sum() < len(points) // 4:
        raise CalibrationError('what is taken for ground is no plane: choose a picture with a '
                               'flat piece of it, or give a known distance')
    # n . p = 1 for all points: the plane's distance from the lens is 1 / |n|.
    solution = np.linalg.lstsq(points[best], np.ones(best.sum()), rcond=None)[0]
    length = float(np.linalg.norm(solution))
    if solution[1] < length / 2:
        raise CalibrationError('the plane found is not below the camera (more than 60 degrees '
                               'from level): is the picture upright?')
    return 1 / length


def combine(factors: Sequence[float], spread: float = 0.0) -> Scale:
    """Return one scale from estimates of it.

    Args:
        factors: true over predicted, of different places or pictures.
        spread: relative uncertainty that all of them share, such as that of the tape.

    Raises:
        CalibrationError: there is none.
    """
    if not factors:
        raise CalibrationError('there is nothing to calibrate by')
    logs = np.log(factors)
    middle = float(np.median(logs))
    scatter = (float('nan') if len(logs) < 2 else _MAD * float(np.median(np.abs(logs - middle)))
               if len(logs) > 2 else float(abs(logs[1] - logs[0]) / math.sqrt(2)))
    own = 0.0 if math.isnan(scatter) else scatter / math.sqrt(len(logs))
    return Scale(math.exp(middle), math.hypot(own, spread), len(logs), scatter)


def halves(mask: np.ndarray) -> list[np.ndarray]:
    """Return the near, far, left and right half of a mask: whose estimates may differ."""
    rows, columns = np.nonzero(mask)
    if not rows.size:
        return []
    across, down = np.median(columns), np.median(rows)
    grid_y, grid_x = np.ogrid[:mask.shape[0], :mask.shape[1]]
    return [mask & (grid_y > down), mask & (grid_y <= down),
            mask & (grid_x > across), mask & (grid_x <= across)]


def camera_of(size: tuple[int, int], focal: tuple[float, float] | None, hfov: float) -> Camera:
    """Return a camera for a picture of (height, width) of which no camera_info tells.

    Args:
        size: of the picture.
        focal: (fx, fy) in pixels; None: of a horizontal field of view of ``hfov`` degrees.
        hfov: see above.
    """
    height, width = size
    if focal is None:
        focal = (width / 2 / math.tan(math.radians(hfov) / 2),) * 2
    return Camera(*focal, (width - 1) / 2, (height - 1) / 2)


def shrink_mask(mask: np.ndarray, by: int) -> np.ndarray:
    """Return a mask without its border of so many pixels, where two surfaces mix."""
    kernel = np.ones((2 * by + 1, 2 * by + 1), np.uint8)
    return cv2.erode(mask.astype(np.uint8), kernel) > 0
