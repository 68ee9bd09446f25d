"""From small network outputs to images at the output size. Pure functions of arrays.

Whatever can be done on the small map is done there, before resizing: see the measurements in
each function's comment.
"""

import cv2
import numpy as np

Size = tuple[int, int]
"""(height, width) of the output."""


def resize(image: np.ndarray, size: Size, interpolation: int = cv2.INTER_LINEAR) -> np.ndarray:
    """Return the image at the output size."""
    if image.shape[:2] == size:
        return image.copy()
    return cv2.resize(image, (size[1], size[0]), interpolation=interpolation)


def nearest(image: np.ndarray, size: Size) -> np.ndarray:
    """Return an image of ids at the output size: no new values appear."""
    return resize(image, size, cv2.INTER_NEAREST)


def probability(values: np.ndarray, size: Size) -> np.ndarray:
    """Return probabilities 0..1 as uint8 0..255 at the output size."""
    small = np.clip(values * 255 + 0.5, 0, 255).astype(np.uint8)
    return resize(small, size)


def valid_depth(raw: np.ndarray, scale: float, depth_range: tuple[float, float]) -> np.ndarray:
    """Return small depth in metres, NaN outside the range."""
    depth = raw * np.float32(scale)
    depth[(depth < depth_range[0]) | (depth > depth_range[1])] = np.nan
    return depth


def depth(small: np.ndarray, size: Size) -> np.ndarray:
    """Return depth in metres at the output size; invalid (NaN) does not bleed into valid."""
    invalid = np.isnan(small)
    if not invalid.any():
        return resize(small, size)
    # Invalid pixels take their nearest valid neighbour's value, so that interpolating towards
    # the sky does not push the edge of a roof away.
    filled = np.where(invalid, np.float32(3e38), small)
    filled = np.where(invalid, cv2.erode(filled, np.ones((3, 3), np.uint8)), small)
    filled = np.where(filled > 1e38, np.float32(0), filled)
    full = resize(filled, size)
    full[nearest(invalid.astype(np.uint8), size) != 0] = np.nan
    return full


def normals(raw: np.ndarray, size: Size) -> np.ndarray:
    """Return HxWx3 float32 unit normals at the output size from raw 3xhxw ones."""
    x, y, z = (resize(channel, size) for channel in raw)
    length = cv2.magnitude(cv2.magnitude(x, y), z)
    length = np.maximum(length, np.float32(1e-12))
    return cv2.merge([cv2.divide(x, length), cv2.divide(y, length), cv2.divide(z, length)])


def normals_color(raw: np.ndarray, size: Size) -> np.ndarray:
    """Return normals as RGB colours (n + 1) / 2 at the output size."""
    small = np.clip(raw * 127.5 + 128, 0, 255).astype(np.uint8)
    return resize(cv2.merge(list(small)), size)


def overlay(bgr: np.ndarray, color: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return the RGB camera image tinted with the class colours, class borders in white."""
    size = color.shape[:2]
    camera = resize(bgr, size, cv2.INTER_AREA) if bgr.shape[:2] != size else bgr
    camera = cv2.cvtColor(camera, cv2.COLOR_BGR2RGB)
    blended = cv2.addWeighted(camera, 0.55, color, 0.45, 0)
    border = cv2.morphologyEx(ids, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    blended[border != 0] = 255
    return blended
