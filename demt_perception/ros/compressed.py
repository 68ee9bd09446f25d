"""sensor_msgs/CompressedImage to pixels. No rclpy.

Only JPEG and PNG, which is what cameras and image_transport send. The size is read from the
header first: a few bytes must not make the node allocate gigabytes.
"""

from typing import Any

import cv2
import numpy as np

from demt_perception.inference.preprocess import check_size
from demt_perception.ros.bad_image import BadImageError

_PNG = b'\x89PNG\r\n\x1a\n'
_JPEG = b'\xff\xd8'
_JPEG_END = b'\xff\xd9'
_START_OF_SCAN = 0xDA
# Start of frame, all kinds; the three left out are other tables (ITU T.81, table B.1).
_START_OF_FRAME = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length


def decode(message: Any) -> np.ndarray:
    """Return a sensor_msgs/CompressedImage as BGR, uint8 HxWx3.

    ``format`` is not looked at: drivers disagree about it, and the data tell.

    Raises:
        BadImageError: the data are empty, cut short, not JPEG or PNG, or absurdly large.
    """
    data = bytes(memoryview(message.data))
    if not data:
        raise BadImageError('zero_size', 'a compressed image holds no data: check the camera')
    try:
        height, width = image_size(data)
    except (IndexError, ValueError) as error:
        raise BadImageError(
            'decode_failed', f'{len(data)} bytes of format {message.format!r} are no image: '
            f'{error or "the header is cut short"}; want a whole JPEG or PNG') from error
    try:
        check_size(height, width, 'compressed image')
    except ValueError as error:
        raise BadImageError('zero_size' if 0 in (height, width) else 'bad_size',
                            str(error)) from error
    _check_end(data)
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


def image_size(data: bytes) -> tuple[int, int]:
    """Return (height, width) from the header of a JPEG or PNG.

    Raises:
        ValueError, IndexError: it is neither, or the header is damaged.
    """
    if data.startswith(_PNG):
        if data[12:16] != b'IHDR' or len(data) < 24:
            raise ValueError('a PNG without its header')
        return int.from_bytes(data[20:24], 'big'), int.from_bytes(data[16:20], 'big')
    if not data.startswith(_JPEG):
        raise ValueError(f'they begin with {data[:4]!r}')
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ValueError(f'a JPEG without a marker at byte {at}')
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in _ALONE:
            at += 2
        elif marker in _START_OF_FRAME:
            height, width = data[at + 5:at + 7], data[at + 7:at + 9]
            if len(width) < 2:
                raise IndexError
            return int.from_bytes(height, 'big'), int.from_bytes(width, 'big')
        elif marker == _START_OF_SCAN:
            raise ValueError('a JPEG without its size')
        else:
            at += 2 + int.from_bytes(data[at + 2:at + 4], 'big')


def _check_end(data: bytes) -> None:
    """Refuse what was cut short: the decoder would fill the rest with grey and say nothing."""
    # Some cameras send zeros after the end, so it is searched for, in as much as they may send.
    end = b'IEND' if data.startswith(_PNG) else _JPEG_END
    if end not in data[-65536:].rstrip(b'\0')[-64:]:
        raise BadImageError('short_data', f'{len(data)} bytes end before the image does: '
                            'check the connection to the camera')
