"""Where each pixel of a frame was in the frame before: dense optical flow that is checked."""

from typing import NamedTuple

import cv2
import numpy as np

TOLERANCE = 1.0   # pixels that going there and back may miss the start by
SLACK = 0.02      # the same, per pixel of the way there and back


class Motion(NamedTuple):
    """How a frame came out of the one before.

    Attributes:
        source: float32 (H, W, 2), x and y in the frame before, of every pixel of this frame.
        seen: bool (H, W); False where the pixel was hidden or outside, or the flow is unsure.
    """

    source: np.ndarray
    seen: np.ndarray


def estimate_motion(before: np.ndarray, now: np.ndarray) -> Motion:
    """Return the motion between two BGR frames of one size, uint8 (H, W, 3).

    Dense inverse search (Kroeger, Timofte, Dai, Van Gool, ECCV 2016), preset "medium", from `now`
    to `before`. A pixel counts as seen where the flow from `before` to `now`, started where the
    first one ends, comes back to it: occlusions do not. Deterministic.
    """
    old, new = (cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in (before, now))
    backward = _flow(new, old)
    forward = _flow(old, new)
    source = pixel_grid(*new.shape) + backward
    there_and_back = backward + fetch(forward, source)
    way = np.linalg.norm(backward, axis=2)
    seen = np.linalg.norm(there_and_back, axis=2) <= TOLERANCE + SLACK * 2 * way
    return Motion(source, seen & is_inside(source))


def still(height: int, width: int) -> Motion:
    """Return the motion of a camera that stands still before a scene that does."""
    return Motion(pixel_grid(height, width), np.ones((height, width), bool))


def fetch(picture: np.ndarray, points: np.ndarray,
          interpolation: int = cv2.INTER_LINEAR) -> np.ndarray:
    """Return what a picture, (H, W) or (H, W, C), has at points, (H, W, 2) x and y; NaN spreads.

    Points outside take the nearest pixel.
    """
    x, y = (np.ascontiguousarray(points[..., axis], np.float32) for axis in (0, 1))
    return np.asarray(cv2.remap(picture, x, y, interpolation, borderMode=cv2.BORDER_REPLICATE))


def pixel_grid(height: int, width: int) -> np.ndarray:
    """Return x and y of every pixel, float32 (height, width, 2)."""
    return np.stack(np.meshgrid(np.arange(width, dtype=np.float32),
                                np.arange(height, dtype=np.float32)), axis=2)


def is_inside(points: np.ndarray) -> np.ndarray:
    """Tell which points, (H, W, 2), lie in a picture of their own size: bool (H, W)."""
    height, width = points.shape[:2]
    return np.all((points >= 0) & (points <= (width - 1, height - 1)), axis=2)


def _flow(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    # Made anew each time: the object keeps what it found last.
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(search.calc(start, end, np.zeros((*start.shape, 2), np.float32)))
