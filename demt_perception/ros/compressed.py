"""sensor_msgs/CompressedImage to pixels. No rclpy.

Only JPEG and PNG, which is what cameras and image_transport send. The size is read from the
header first: a few bytes must not make the node allocate gigabytes.

compressed_image_transport sends a Bayer image as the grey picture of its mosaic, and tells so only
by the ``format``: ``bayer_rggb8; jpeg compressed `` with nothing at the end, where
``bayer_rggb8; jpeg compressed bgr8`` is a picture that has its colours.
"""

from typing import Any

import cv2
import numpy as np

from demt_perception.inference.picture_file import check_scans, image_size, PNG, png_is_whole
from demt_perception.inference.preprocess import check_size
from demt_perception.ros.bad_image import BadImageError
from demt_perception.ros.conversions import convert, ENCODINGS

TRANSPORTS = ('raw', 'compressed')
"""Of image_transport, those that the nodes know: Image and CompressedImage."""

_JPEG_END = b'\xff\xd9'
_BAYER = 'bayer_'


def decode(message: Any) -> np.ndarray:
    """Return a sensor_msgs/CompressedImage as BGR, uint8 HxWx3.

    ``format`` is only looked at for what the data do not tell, that they are a Bayer mosaic:
    drivers disagree about the rest.

    Raises:
        BadImageError: the data are empty, cut short, not JPEG or PNG, or absurdly large; or the
            format is of a Bayer mosaic that they are not.
    """
    bayer = message.format.startswith(_BAYER)
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
                           cv2.IMREAD_UNCHANGED if bayer else
                           cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if bayer and bgr is not None:
            bgr = _with_colours(bgr, message.format)
    except cv2.error as error:
        raise BadImageError('decode_failed', f'OpenCV cannot decode it: {error}') from error
    if bgr is None:
        raise BadImageError('decode_failed', f'{len(data)} bytes of format {message.format!r} '
                            'are damaged: check the connection to the camera')
    return bgr


def _with_colours(pixels: np.ndarray, text: str) -> np.ndarray:
    """Return what was decoded of a Bayer image as BGR, uint8 HxWx3."""
    after = text.partition('compressed')[2].strip()
    encoding = ENCODINGS.get(f'{text[:len(_BAYER) + 4]}{8 * pixels.itemsize}')
    if pixels.ndim == 2 and not after and encoding is not None:
        return convert(pixels, encoding)
    if pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.itemsize == 1 and after:
        return pixels
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    raise BadImageError(
        'unknown_encoding', f'a compressed image of {channels} channels has the format {text!r}: '
        "want the mosaic in one channel with 'bayer_rggb8; png compressed ' (or bggr, gbrg, "
        "grbg), or three channels with '... compressed bgr8': let image_proc debayer it before "
        'it is compressed, or take the raw images (image_transport: raw)')


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
