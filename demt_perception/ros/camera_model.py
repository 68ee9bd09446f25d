"""What the node needs of a sensor_msgs/CameraInfo: focal lengths, and a copy that fits. No rclpy.

The 3x4 matrix P belongs to the rectified image, the 3x3 matrix K to the raw one; where there is
no P, K stands in. Region of interest and binning: the comments of ``sensor_msgs/CameraInfo``.
"""

import copy
import math
from typing import Any

from demt_perception.inference.distortion import FISHEYE, is_known

_LEAST_FOCAL = 0.05
"""Of the width. A pinhole would see 168 degrees with it, and no fish-eye has so little."""


class BadCameraInfoError(ValueError):
    """A camera_info cannot be used with the images beside it; the text says why."""


def check_camera_info(info: Any, width: int, height: int) -> None:
    """Check that a camera_info belongs to images of this size and holds a calibration.

    Raises:
        BadCameraInfoError: with the value seen, the value wanted and the remedy.
    """
    left, top, right, bottom = _region(info)
    binning = max(info.binning_x, 1), max(info.binning_y, 1)
    size = (right - left) // binning[0], (bottom - top) // binning[1]
    if size != (width, height):
        raise BadCameraInfoError(
            f'camera_info is for {size[0]}x{size[1]}, the images are {width}x{height}: publish '
            'the camera_info of this image topic')
    if not all(map(math.isfinite, (*info.k, *info.p, *info.d))):
        raise BadCameraInfoError(
            f'camera_info holds NaN or infinity (K = {_text(info.k)}, P = {_text(info.p)}, '
            f'D = {_text(info.d)}): calibrate the camera again')
    fx, fy = focal_lengths(info)   # with binning: 1e-320 pixels over 640 are none
    if not (fx > 0 and fy > 0):
        raise BadCameraInfoError(
            f'camera_info has focal lengths {fx:g} and {fy:g}, want positive pixels: the camera '
            'is not calibrated, run camera_calibration')
    _check_placeholder(info)


def _check_placeholder(info: Any) -> None:
    """Refuse what drivers send that know no calibration: a unit matrix, no principal point."""
    fx, fy = _focal(info)
    least = _LEAST_FOCAL * info.width
    if min(fx, fy) < least:
        raise BadCameraInfoError(
            f'camera_info has focal lengths {fx:g} and {fy:g} for a width of {info.width}, want '
            f'{least:g} pixels and more: it looks like a placeholder, run camera_calibration')
    matrix, across, down = (('P', info.p[2], info.p[6]) if _by_projection(info) else
                            ('K', info.k[2], info.k[5]))
    if across == down == 0:
        raise BadCameraInfoError(
            f'camera_info has its principal point ({matrix}) at 0, 0, the upper left corner: it '
            'looks like a placeholder, run camera_calibration')


def focal_lengths(info: Any) -> tuple[float, float]:
    """Return (fx, fy) in pixels of the image that a checked camera_info belongs to."""
    fx, fy = _focal(info)
    return fx / max(info.binning_x, 1), fy / max(info.binning_y, 1)


def cropped_camera_info(info: Any, left: int, top: int, width: int, height: int) -> Any:
    """Return a copy of a camera_info for a part of its image, in pixels of that image.

    As REP 104 has it: K and P stay, the part is its region of interest, in pixels of the full
    resolution. The copy is shallow.
    """
    new = copy.copy(info)
    x, y = _region(info)[:2]
    across, down = max(info.binning_x, 1), max(info.binning_y, 1)
    new.roi = type(info.roi)(
        x_offset=x + left * across, y_offset=y + top * down, width=width * across,
        height=height * down, do_rectify=info.roi.do_rectify)
    return new


def scaled_camera_info(info: Any, width: int, height: int) -> Any:
    """Return a copy of a checked camera_info for the same view at another size.

    Region of interest and binning are worked into K and P as ``sensor_msgs/CameraInfo`` has it.
    The size then changes about the image's corner, as images are resized, and not about the centre
    of its first pixel, where coordinates begin. The copy is shallow: replace its header, do not
    write into it.
    """
    new = copy.copy(info)
    left, top, right, bottom = _region(info)
    if ((left, top, right, bottom) == (0, 0, width, height) == (0, 0, info.width, info.height)
            and max(info.binning_x, info.binning_y) <= 1):
        new.roi = type(info.roi)()
        return new
    x, y = width / (right - left), height / (bottom - top)
    # By how much an image's pixel grows moves its centre, too.
    right_by = (x * max(info.binning_x, 1) - 1) / 2
    down_by = (y * max(info.binning_y, 1) - 1) / 2
    new.width, new.height = width, height
    new.binning_x = new.binning_y = 0
    new.roi = type(info.roi)()
    k, p = info.k, info.p
    new.k = [k[0] * x, k[1] * x, (k[2] - left * k[8]) * x + right_by * k[8],
             k[3] * y, k[4] * y, (k[5] - top * k[8]) * y + down_by * k[8], *k[6:]]
    new.p = [p[0] * x, p[1] * x, (p[2] - left * p[10]) * x + right_by * p[10], p[3] * x,
             p[4] * y, p[5] * y, (p[6] - top * p[10]) * y + down_by * p[10], p[7] * y, *p[8:]]
    return new


def is_distorted(info: Any) -> bool:
    """Tell whether the camera's raw image is distorted, so that P does not describe it.

    A fish-eye is with all coefficients 0, too: those are its difference to r = f * theta, and not
    to a pinhole's r = f * tan(theta).
    """
    return any(value != 0 for value in info.d) or (
        info.distortion_model in FISHEYE and is_known(info.distortion_model, tuple(info.d)))


def _focal(info: Any) -> tuple[float, float]:
    """Return those of the image: K's where the lens is still in it, see ``rectification``."""
    return (info.p[0], info.p[5]) if _by_projection(info) else (info.k[0], info.k[4])


def _by_projection(info: Any) -> bool:
    return bool(info.p[0] or info.p[5]) and not is_distorted(info)


def _region(info: Any) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom in pixels of the full resolution."""
    roi = info.roi
    if roi.width and roi.height:
        return roi.x_offset, roi.y_offset, roi.x_offset + roi.width, roi.y_offset + roi.height
    return 0, 0, info.width, info.height


def _text(matrix: Any) -> str:
    return '[' + ' '.join(f'{value:g}' for value in matrix) + ']'
