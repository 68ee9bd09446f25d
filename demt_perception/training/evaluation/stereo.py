"""Measured depth out of rectified stereo pairs, as a reference for predicted depth.

Layout: ``image_l/NAME.png`` and ``image_r/NAME.png``; ``calib.txt`` with the 3x4 projections of
both cameras, left first, 12 numbers a line (KITTI's P0 and P1: f, 0, cx, 0, 0, f, cy, ...,
-f * baseline); and, where known, ``poses.txt`` with a 3x4 pose a line, camera to world, of frame
0, 1, 2, ...: names are the numbers of the frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass
import math
from pathlib import Path

import cv2
import numpy as np

from demt_perception.inference.picture_file import read_picture
from demt_perception.training.evaluation.errors import EvaluationError
from demt_perception.training.evaluation.motion import fetch, is_inside, pixel_grid

FARTHEST = 50.0   # metres; beyond, half a pixel of disparity is more than 6 % for KITTI
BLOCK = 5         # pixels
DISPARITIES = 128  # from 1 on; the nearest depth is focal * baseline / 128
AGREEMENT = 1     # pixels between the disparities of left and right


@dataclass(frozen=True)
class StereoClip:
    """A folder of rectified pairs.

    Attributes:
        root: the folder.
        names: of the pairs, in order.
        focal: (fx, fy) pixels.
        center: (cx, cy) pixels.
        baseline: metres.
        poses: {name: 4x4, camera to world}; those that are known.
    """

    root: Path
    names: tuple[str, ...]
    focal: tuple[float, float]
    center: tuple[float, float]
    baseline: float
    poses: dict[str, np.ndarray]


def open_clip(root: str | Path) -> StereoClip:
    """Read what a folder holds.

    Raises:
        EvaluationError: the calibration is not as above, or there is no pair.
        OSError: it cannot be read.
    """
    root = Path(root)
    rows = _rows(root / 'calib.txt')
    if len(rows) < 2 or rows[0][0] <= 0 or rows[0][5] <= 0 or rows[1][3] >= 0:
        raise EvaluationError(f'{root / "calib.txt"}: want two lines of 12 numbers, the 3x4 '
                              'projections of the left and the right camera, fx 0 cx 0 ... and '
                              'fx 0 cx -fx*baseline ...')
    left, right = rows[0], rows[1]
    names = sorted((path.stem for path in (root / 'image_l').glob('*.png')
                    if (root / 'image_r' / path.name).is_file()), key=_number)
    if not names:
        raise EvaluationError(f'no pair in {root}: want image_l/NAME.png and image_r/NAME.png')
    poses = {}
    if (root / 'poses.txt').is_file():
        table = _rows(root / 'poses.txt')
        poses = {name: np.vstack([np.reshape(table[int(name)], (3, 4)), (0, 0, 0, 1)])
                 for name in names if name.isdecimal() and int(name) < len(table)}
    return StereoClip(root, tuple(names), (left[0], left[5]), (left[2], left[6]),
                      -right[3] / right[0], poses)


def _number(name: str) -> tuple[float, str]:
    """Return what puts 9 before 10: poses and neighbours go by the numbers of frames."""
    return (int(name) if name.isdecimal() else math.inf), name


def read_pair(clip: StereoClip, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the left and the right picture, uint8 (H, W, 3) BGR.

    Raises:
        EvaluationError: they cannot be decoded, or differ in size.
        OSError: they cannot be read.
    """
    pair = []
    for side in ('image_l', 'image_r'):
        path = clip.root / side / f'{name}.png'
        try:
            pair.append(read_picture(path))
        except ValueError as error:
            raise EvaluationError(f'{path} is not a picture that can be read: {error}') from error
    if pair[0].shape != pair[1].shape:
        raise EvaluationError(f'pair {name} of {clip.root}: left is {pair[0].shape}, right '
                              f'{pair[1].shape}; want rectified pictures of one size')
    return pair[0], pair[1]


def reference_depth(clip: StereoClip, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return metres along Z in the left camera, float32 (H, W); NaN where it is not sure.

    Semi-global matching (Hirschmueller, PAMI 2008) as OpenCV has it, with all the checks on: best
    of all paths, left against right, uniqueness, no small islands.
    """
    matcher = cv2.StereoSGBM.create(
        minDisparity=1, numDisparities=DISPARITIES, blockSize=BLOCK, P1=8 * BLOCK ** 2,
        P2=32 * BLOCK ** 2, disp12MaxDiff=AGREEMENT, preFilterCap=31, uniquenessRatio=10,
        speckleWindowSize=150, speckleRange=1, mode=cv2.STEREO_SGBM_MODE_HH)
    grey = [cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in (left, right)]
    disparity = matcher.compute(*grey).astype(np.float32) / 16   # it counts sixteenths
    with np.errstate(divide='ignore'):
        depth = np.float32(clip.focal[0] * clip.baseline) / disparity
    return np.where((disparity >= 1) & (depth <= FARTHEST), depth, np.float32(np.nan))


def reprojection_errors(clip: StereoClip, name: str, depth: np.ndarray, other: str,
                        other_depth: np.ndarray) -> np.ndarray:
    """Return how far two frames contradict each other, float64 (N,), relative to the depth.

    Every pixel of a frame becomes a point, goes to the camera of the other frame by the true
    poses, and its depth there is compared with that of the other frame at the pixel it falls on.
    Points that are hidden there count as errors, so the median says more than the mean.

    Args:
        clip: calibration and poses.
        name: of a frame.
        depth: of it, (H, W) metres; NaN is unknown.
        other: name of another one; both have poses.
        other_depth: the same of it.
    """
    (fx, fy), (cx, cy) = clip.focal, clip.center
    columns, rows = np.moveaxis(pixel_grid(*depth.shape).astype(np.float64), 2, 0)
    points = np.stack([(columns - cx) / fx * depth, (rows - cy) / fy * depth, depth,
                       np.ones_like(columns)])
    x, y, z, _ = np.tensordot(np.linalg.inv(clip.poses[other]) @ clip.poses[name], points, 1)
    there_at = np.dstack([fx * x / z + cx, fy * y / z + cy])
    usable = (z > 0) & is_inside(there_at)   # NaN is neither
    # The inverse of depth is linear on planes: nothing is lost between pixels.
    there = 1 / fetch(1 / other_depth, np.where(usable[..., None], there_at, 0))[usable]
    z = z[usable]
    errors = np.abs(there - z) / z
    return errors[np.isfinite(errors)]


def _rows(path: Path) -> Sequence[list[float]]:
    """Return the lines of 12 finite numbers of a file; names such as ``P0:`` may come first."""
    rows = []
    for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
        words = line.split()
        try:
            row = [float(word) for word in words[-12:]]
        except ValueError:
            row = []
        if words and not (len(row) == 12 and all(map(math.isfinite, row))):
            raise EvaluationError(f'{path}:{number}: want 12 numbers of a 3x4 matrix, row by row')
        if words:
            rows.append(row)
    return rows
