"""A sensor_msgs/Image as it comes from the middleware: its head is read, its pixels wait.

rclpy needs 4 ms to make a message of a 1920x1080 image, under Python's global lock, and most
images of a fast camera are never worked on. The head tells all that is checked of each.
"""

from dataclasses import dataclass
import struct
from typing import Any

from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from demt_perception.ros.bad_image import BadImageError
from demt_perception.ros.serialized import deserialize

_PLAIN = (b'\0\0', b'\0\1')   # the kinds of CDR that ROS 2 writes: big and little endian
_START = 4                    # of what counts for alignment


@dataclass(frozen=True)
class ReceivedImage:
    """The fields of sensor_msgs/Image; ``data`` is a view of what came, to be read only."""

    header: Header
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: memoryview


def receive_image(data: bytes) -> Any:
    """Return a ``ReceivedImage``; rclpy's message of what is serialised in another way.

    Raises:
        BadImageError: ``malformed``: the bytes are no whole image.
    """
    try:
        if data[:2] in _PLAIN:
            return _read(data, '<' if data[1] else '>')
        return deserialize(data, Image)
    except (struct.error, IndexError, ValueError) as error:
        raise BadImageError('malformed', f'{len(data)} bytes are no whole Image: {error}: check '
                            'the camera driver, and the middleware') from error


def _read(data: bytes, order: str) -> ReceivedImage:
    seconds, nanoseconds = struct.unpack_from(f'{order}iI', data, _START)
    frame_id, at = _text(data, _START + 8, order)
    at += -at % 4
    height, width = struct.unpack_from(f'{order}II', data, at)
    encoding, at = _text(data, at + 8, order)
    big = data[at]
    at += 1
    at += -at % 4
    step, size = struct.unpack_from(f'{order}II', data, at)
    pixels = memoryview(data)[at + 8:at + 8 + size]
    if len(pixels) < size:
        raise ValueError('it is cut off')
    header = Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=frame_id)
    return ReceivedImage(header, height, width, encoding, big, step, pixels)


def _text(data: bytes, at: int, order: str) -> tuple[str, int]:
    """Return a string and the place after it."""
    (length,) = struct.unpack_from(f'{order}I', data, at)
    end = at + 4 + length
    if end > len(data):
        raise ValueError('it is cut off')
    return data[at + 4:end].removesuffix(b'\0').decode(errors='replace'), end
