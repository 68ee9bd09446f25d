"""Targets: serialised messages as ROS itself reads them."""

from contextlib import suppress

from bag_samples import cdr, image
from drawing import Draw
from fuzz_bags import recorded_seeds
from fuzz_target import Target
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from demt_perception.bags import Message
from demt_perception.ros.bad_image import BadImageError
from demt_perception.ros.bag_source import _deserialize
from demt_perception.ros.camera_model import BadCameraInfoError, check_camera_info
from demt_perception.ros.compressed import decode
from demt_perception.ros.conversions import to_bgr
from demt_perception.ros.serialized_image import image_array, stamp_ns
from demt_perception.ros.sources import SourceError

KINDS = (Image, CompressedImage, CameraInfo)


def message(data: bytes) -> None:
    """A message of a bag, read by rclpy and used as the camera source does."""
    draw = Draw(data)
    kind = draw.pick(KINDS)
    with suppress(SourceError, BadImageError, BadCameraInfoError):
        read = _deserialize(Message('/a', 0, draw.rest()), kind)
        if kind is CameraInfo:
            check_camera_info(read, 32, 24)
        else:
            (to_bgr if kind is Image else decode)(read)


def shown(data: bytes) -> None:
    """An image as `demt view` and `demt demo` look into it without ROS."""
    with suppress(ValueError):
        stamp_ns(data)
    with suppress(ValueError):
        assert image_array(data).ndim in (2, 3)


def images() -> list[bytes]:
    return [cdr(image(0)), *(one[1:] for one in recorded_seeds())]


TARGETS = {'message read by ROS': Target(message, recorded_seeds, 4096),
           'image shown': Target(shown, images, 4096)}
