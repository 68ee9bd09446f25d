"""The one file that knows the encodings of sensor_msgs/Image, in and out. No rclpy.

In: any usual encoding becomes BGR, uint8 HxWx3; ``bgr8`` without a copy. Out: an array becomes
the data of a message, with one copy. Encoding names: ``sensor_msgs/image_encodings.hpp``; what
they hold is taken to be what cv_bridge takes it to be, so that both give the same picture.
"""

from array import array
from dataclasses import dataclass
import sys
from typing import Any

import cv2
import numpy as np

from demt_perception.inference.preprocess import check_size
from demt_perception.ros.bad_image import BadImageError

try:  # for encodings not in the table below; numpy 2 breaks some builds with other errors
    import cv_bridge
except Exception:
    cv_bridge = None


@dataclass(frozen=True)
class Encoding:
    """How the pixels of an encoding lie, and how OpenCV makes them BGR.

    Attributes:
        channels: values of each pixel.
        to_bgr: OpenCV's conversion code; None: the channels are B, G, R already.
        bytes: size of each value; 16-bit values are scaled to 8 by 255/65535, rounded.
        even: the width must be even, because two pixels share their colour.
    """

    channels: int
    to_bgr: int | None
    bytes: int = 1
    even: bool = False


_MONO, _RGB, _BGRA, _RGBA = (
    cv2.COLOR_GRAY2BGR, cv2.COLOR_RGB2BGR, cv2.COLOR_BGRA2BGR, cv2.COLOR_RGBA2BGR)
# OpenCV names a Bayer pattern by its second row and column, ROS by its first.
_BAYER = {'rggb': cv2.COLOR_BayerBG2BGR, 'bggr': cv2.COLOR_BayerRG2BGR,
          'gbrg': cv2.COLOR_BayerGR2BGR, 'grbg': cv2.COLOR_BayerGB2BGR}
_UYVY = Encoding(2, cv2.COLOR_YUV2BGR_UYVY, even=True)
_YUYV = Encoding(2, cv2.COLOR_YUV2BGR_YUYV, even=True)

ENCODINGS = {
    'bgr8': Encoding(3, None), '8UC3': Encoding(3, None), 'rgb8': Encoding(3, _RGB),
    'mono8': Encoding(1, _MONO), '8UC1': Encoding(1, _MONO),
    'bgra8': Encoding(4, _BGRA), '8UC4': Encoding(4, _BGRA), 'rgba8': Encoding(4, _RGBA),
    'yuv422': _UYVY, 'uyvy': _UYVY, 'yuv422_yuy2': _YUYV, 'yuyv': _YUYV,
    'mono16': Encoding(1, _MONO, 2), 'bgr16': Encoding(3, None, 2), 'rgb16': Encoding(3, _RGB, 2),
    **{f'bayer_{name}8': Encoding(1, code) for name, code in _BAYER.items()},
    **{f'bayer_{name}16': Encoding(1, code, 2) for name, code in _BAYER.items()},
}


def check_image(message: Any) -> None:
    """Check size, encoding, step and amount of data of a sensor_msgs/Image. Cheap.

    Raises:
        BadImageError: with its reason, the value seen, the value wanted and the remedy.
    """
    height, width, step = message.height, message.width, message.step
    if not height or not width:
        raise BadImageError('zero_size', f'image is {width}x{height}, want at least 1x1: '
                            'check the camera driver')
    try:
        check_size(height, width, 'image')
    except ValueError as error:
        raise BadImageError('bad_size', str(error)) from error
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        if cv_bridge is None:
            raise BadImageError(
                'unknown_encoding', f'encoding is {message.encoding!r}, want one of '
                f'{", ".join(ENCODINGS)}; for others install cv_bridge')
        row = 1
    else:
        row = width * encoding.channels * encoding.bytes
        if encoding.even and width % 2:
            raise BadImageError('bad_size', f'width is {width}, want an even one for '
                                f'{message.encoding!r}: check the camera driver')
    if step < row:
        raise BadImageError('wrong_step', f'step is {step}, want at least {row} bytes a row for '
                            f'{width} pixels of {message.encoding!r}: check the camera driver')
    wanted = step * (height - 1) + row  # some drivers leave out the padding of the last row
    if len(message.data) < wanted:
        raise BadImageError('short_data', f'data holds {len(message.data)} bytes, want {wanted} '
                            f'for {height} rows of {step}: check the camera driver')


def to_bgr(message: Any) -> np.ndarray:
    """Return a sensor_msgs/Image as BGR, uint8 HxWx3, C-contiguous.

    A ``bgr8`` image without padding is a view: valid as long as ``message.data`` is.

    Raises:
        BadImageError: as ``check_image``, or the pixels cannot be converted.
    """
    check_image(message)
    encoding = ENCODINGS.get(message.encoding)
    try:
        if encoding is None:
            bgr = cv_bridge.CvBridge().imgmsg_to_cv2(message, 'bgr8')
        else:
            bgr = convert(_pixels(message, encoding), encoding)
    except Exception as error:  # cv2.error, and whatever cv_bridge raises
        raise BadImageError(
            'decode_failed', f'an image of {message.width}x{message.height} {message.encoding!r} '
            f'cannot be converted to bgr8: {error}') from error
    return bgr


def _pixels(message: Any, encoding: Encoding) -> np.ndarray:
    """Return the values in the machine's byte order, HxW or HxWxC, a view where possible."""
    kind = np.dtype(f'{">" if message.is_bigendian else "<"}u{encoding.bytes}')
    height, width = message.height, message.width
    channels = (encoding.channels,) if encoding.channels > 1 else ()
    view: np.ndarray = np.ndarray(
        (height, width, *channels), kind, np.frombuffer(message.data, np.uint8),
        strides=(message.step, encoding.channels * encoding.bytes, encoding.bytes)[
            :2 + len(channels)])
    return np.require(view, kind.newbyteorder('='), ('C', 'A'))


def convert(pixels: np.ndarray, encoding: Encoding) -> np.ndarray:
    """Return pixels of an encoding, in the machine's byte order, as BGR, uint8 HxWx3."""
    bgr = pixels if encoding.to_bgr is None else cv2.cvtColor(pixels, encoding.to_bgr)
    return bgr if encoding.bytes == 1 else cv2.convertScaleAbs(bgr, alpha=255 / 65535)


class ImageFiller:
    """Puts arrays into one sensor_msgs/Image message, whose memory it uses again.

    Filling an ``array.array`` through a memoryview takes a tenth of the time of anything else
    that a generated message accepts.
    """

    def __init__(self, message: Any, encoding: str) -> None:
        """Take an empty message, and the encoding of the arrays: mono8, rgb8, 32FC1 or 32FC3."""
        self.message = message
        message.encoding = encoding
        message.is_bigendian = int(sys.byteorder == 'big')

    def fill(self, pixels: np.ndarray, header: Any) -> Any:
        """Copy uint8 or float32 HxW or HxWxC into the message and return it.

        The message is valid until the next call. Values are published as they are: depth in
        metres with NaN where invalid (REP 117, REP 118), normals in the optical frame (REP 103).
        """
        message = self.message
        message.header = header
        height, width = pixels.shape[:2]
        if (message.height, message.width) != (height, width):
            message.height, message.width, message.step = height, width, pixels.strides[0]
            message.data = array('B', bytes(pixels.nbytes))
        memoryview(message.data)[:] = pixels.data.cast('B')
        return message
