"""A sensor_msgs/Image as it comes from the middleware: its head is read, its pixels wait.

rclpy needs 4 ms to make a message of a 1920x1080 image, under Python's global lock, and most
images of a fast camera are never worked on. The head tells all that is checked of each.
"""

from dataclasses import dataclass
from typing import Any

from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from demt_perception.ros.bad_image import BadImageError
from demt_perception.ros.image_head import read_head
from demt_perception.ros.serialized import deserialize

_PLAIN = (b'\0\0', b'\0\1')   # the kinds of CDR that ROS 2 writes: big and little endian


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
            return _read(data)
        return deserialize(data, Image)
    except ValueError as error:
        raise BadImageError('malformed', f'{error}: check the camera driver, and the '
                            'middleware') from error


def _read(data: bytes) -> ReceivedImage:
    head = read_head(data)
    header = Header(stamp=Time(sec=head.seconds, nanosec=head.nanoseconds),
                    frame_id=head.frame_id)
    return ReceivedImage(header, head.height, head.width, head.encoding, head.is_bigendian,
                         head.step, memoryview(data)[head.begin:head.begin + head.size])
