"""sensor_msgs/CompressedImage to pixels. No rclpy.

Only JPEG and PNG, which is what cameras and image_transport send. The size is read from the
header first: a few bytes must not make the node allocate gigabytes.
"""

from typing import Any

import cv2
import numpy as np

from demt_perception.inference.picture_file import check_scans, image_size, PNG, png_is_whole
from demt_perception.inference.preprocess import check_size
from demt_perception.ros.bad_image import BadImageError

_JPEG_END = b'\xff\xd9'


def decode(message: Any) -> np.ndarray:
    """Return a sensor_msgs/CompressedImage as BGR, uint8 HxWx3.

    ``format`` is not looked at: drivers disagree about it, and the data tell.

    Raises:
        BadImageError: the data are empty, cut short, not JPEG or PNG, or absurdly large.
    """
    data = bytes(memoryview(message.data))
    checked_size(data, message.format)
    _check_end(data)
    try:
        check_scans(data)
    except ValueError as error:
        raise BadImageError('decode_failed', str(error)) from error
    try:
        # A camera's picture is as the sensor sees it: an orientation tag would break camera_info.
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8),
                           cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise BadImageError('decode_failed', f'OpenCV cannot decode it: {error}') from error
    if bgr is None:
        raise BadImageError('decode_failed', f'{len(data)} bytes of format {message.format!r} '
                            'are damaged: check the connection to the camera')
    return bgr


def checked_size(data: bytes, text: str) -> tuple[int, int]:
    """Return (height, width) of what can be an image, by its header.

    Args:
        data: of a CompressedImage.
        text: its ``format``, for the error.

    Raises:
        BadImageError: the data are empty, not JPEG or PNG, or absurdly large.
    """
    if not data:
        raise BadImageError('zero_size', 'a compressed image holds no data: check the camera')
    try:
        height, width = image_size(data)
    except (IndexError, ValueError) as error:
        why = 'the header is cut short' if isinstance(error, IndexError) else error
        raise BadImageError(
            'decode_failed', f'{len(data)} bytes of format {text!r} are no image: {why}; '
            'want a whole JPEG or PNG') from error
    try:
        check_size(height, width, 'compressed image')
    except ValueError as error:
        raise BadImageError('zero_size' if 0 in (height, width) else 'bad_size',
                            str(error)) from error
    return height, width


def _check_end(data: bytes) -> None:
    """Refuse what was cut short: the decoder would fill the rest with grey and say nothing."""
    # Some cameras send zeros after the end, so it is searched for, in as much as they may send.
    whole = png_is_whole(data) if data.startswith(PNG) else (
        _JPEG_END in data[-65536:].rstrip(b'\0')[-64:])
    if not whole:
        raise BadImageError('short_data', f'{len(data)} bytes end before the image does: '
                            'check the connection to the camera')
