"""The calibration YAML of ``camera_calibration`` (and camera_info_manager) as a CameraInfo."""

import math
from pathlib import Path
from typing import Any

from sensor_msgs.msg import CameraInfo
import yaml

from demt_perception.ros.camera_model import scaled_camera_info


class CameraInfoError(ValueError):
    """A calibration is missing, wrong, or does not fit the images."""


def read_camera_info(path: str | Path) -> CameraInfo:
    """Read a calibration file.

    Raises:
        CameraInfoError: the file cannot be read, or a value is missing or wrong.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
        info = CameraInfo()
        info.width, info.height = int(values['image_width']), int(values['image_height'])
        info.distortion_model = str(values['distortion_model'])
        info.d = _matrix(values['distortion_coefficients'])
        info.k = _matrix(values['camera_matrix'])
        info.r = _matrix(values['rectification_matrix'])
        info.p = _matrix(values['projection_matrix'])
    except OSError as error:
        raise CameraInfoError(f'camera_info_file {path} cannot be read: {error}') from error
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AssertionError,
            OverflowError) as error:
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


def _matrix(entry: Any) -> list[float]:
    """Return the values of a ``{rows, cols, data}`` entry."""
    values = [float(v) for v in entry['data']]
    if len(values) != entry['rows'] * entry['cols'] or not all(map(math.isfinite, values)):
        raise ValueError(f'want {entry["rows"]}x{entry["cols"]} finite values, got {values}')
    return values
