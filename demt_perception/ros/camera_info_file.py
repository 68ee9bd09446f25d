"""The calibration YAML of ``camera_calibration`` (and camera_info_manager) as a CameraInfo."""

import math
from pathlib import Path
from typing import Any

from sensor_msgs.msg import CameraInfo

from demt_perception.inference.preprocess import LONGEST_SIDE
from demt_perception.outside import read_yaml
from demt_perception.ros.camera_model import scaled_camera_info


class CameraInfoError(ValueError):
    """A calibration is missing, wrong, or does not fit the images."""


def read_camera_info(path: str | Path) -> CameraInfo:
    """Read a calibration file.

    Raises:
        CameraInfoError: the file cannot be read, or a value is missing or wrong.
    """
    try:
        values = read_yaml(path)
    except OSError as error:
        raise CameraInfoError(f'camera_info_file {path} cannot be read: {error}') from error
    except ValueError as error:
        raise CameraInfoError(f'camera_info_file {path} is {error}') from error
    try:
        info = CameraInfo()
        info.width, info.height = _side(values['image_width']), _side(values['image_height'])
        info.distortion_model = _text(values['distortion_model'])
        info.d = _matrix(values['distortion_coefficients'])
        info.k = _matrix(values['camera_matrix'], 3, 3)
        info.r = _matrix(values['rectification_matrix'], 3, 3)
        info.p = _matrix(values['projection_matrix'], 3, 4)
    except (KeyError, TypeError, ValueError, AssertionError, OverflowError) as error:
        raise CameraInfoError(
            f'camera_info_file {path} is not a calibration as camera_calibration writes it '
            f'({type(error).__name__}: {error})') from error
    return info


def fit_camera_info(info: CameraInfo, width: int, height: int) -> CameraInfo:
    """Return the calibration for the same camera at another image size.

    Raises:
        CameraInfoError: the images have another shape than the calibration.
    """
    ratio = width * info.height / (height * info.width)
    if abs(ratio - 1) > 0.01:
        raise CameraInfoError(
            f'the images are {width}x{height}, camera_info_file is for {info.width}x{info.height}:'
            ' another shape, so another camera or a crop; give the calibration of this camera')
    scaled: CameraInfo = scaled_camera_info(info, width, height)
    return scaled


def _side(value: Any) -> int:
    if not isinstance(value, int) or not 0 < value <= LONGEST_SIDE:
        raise ValueError(f'a side of the images is {value!r:.40}, want 1 to {LONGEST_SIDE} pixels')
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f'a {type(value).__name__} where a text belongs')
    return value


def _matrix(entry: Any, rows: int | None = None, cols: int | None = None) -> list[float]:
    """Return the values of a ``{rows, cols, data}`` entry; of any size where none is wanted.

    Newer rclpy takes any number of values, and sends what lies behind them in memory, too.
    """
    shape = entry['rows'], entry['cols']
    if not all(isinstance(length, int) for length in shape):
        raise TypeError('rows and cols of a matrix are not both whole numbers')
    wanted = shape[0] if rows is None else rows, shape[1] if cols is None else cols
    values = [float(v) for v in entry['data']]
    if shape != wanted or len(values) != wanted[0] * wanted[1] or (
            not all(map(math.isfinite, values))):
        raise ValueError(f'want {wanted[0]}x{wanted[1]} finite values, got {len(values)} called '
                         f'{shape[0]}x{shape[1]}: {values!r:.200}')
    return values
