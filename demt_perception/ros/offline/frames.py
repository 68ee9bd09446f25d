"""The images of a bag, one by one, as the node's subscription hands them over. No rclpy."""

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np

from demt_perception.bags import Bag, BagError, Message, ReadingError
from demt_perception.bags.camera_topics import Camera, CAMERA_INFO, COMPRESSED_IMAGE, IMAGE
from demt_perception.bags.ros_types import decode as decode_message
from demt_perception.ros.bad_image import BadImageError
from demt_perception.ros.camera_model import BadCameraInfoError, check_camera_info
from demt_perception.ros.offline.recording import plain_info
from demt_perception.ros.pixels import pixels_of
from demt_perception.ros.rectification import describe_image, is_rectified


class Frame(NamedTuple):
    """One image of a bag.

    Attributes:
        camera: its name.
        is_raw: whether it is a sensor_msgs/Image, and no CompressedImage.
        message: still serialised.
        info: its camera_info, serialised; None where there is none.
        seen: images read when it was, itself included.
    """

    camera: str
    is_raw: bool
    message: Message
    info: bytes | None
    seen: int


def read_frames(bag: Bag, cameras: Sequence[Camera], every: int, skip: int,
                ) -> Generator[Frame, None, None]:
    """Yield images, each with the camera_info that came before it.

    An image may stand before the camera_info of its moment: the first ones have the first.

    Args:
        bag: to read.
        cameras: of it.
        every: take every n-th image of a camera.
        skip: pass over so many images at the beginning, of those that are not taken, too.

    Raises:
        BagError: the bag is damaged; what came before it has been yielded.
    """
    by_topic = {camera.image.name: camera for camera in cameras}
    infos = {camera.info.name: _first(bag, camera.info.name)
             for camera in cameras if camera.info is not None}
    numbers = dict.fromkeys(by_topic, 0)
    seen = 0
    for message in bag.messages([*by_topic, *infos]):
        if message.topic in infos:
            infos[message.topic] = message.data
            continue
        camera = by_topic[message.topic]
        number = numbers[message.topic]
        numbers[message.topic] += 1
        seen += 1
        if seen > skip and number % every == 0:
            info = None if camera.info is None else infos[camera.info.name]
            yield Frame(camera.name, camera.image.type == IMAGE, message, info, seen)


def look(frame: Frame, rectified: str = 'auto') -> tuple[Any, np.ndarray, Any, str]:
    """Return header, pixels and, where it can be used, camera_info of a frame; else why not.

    Args:
        frame: still serialised.
        rectified: see ``is_rectified``.

    Raises:
        BadImageError: the image is damaged.
    """
    kind = IMAGE if frame.is_raw else COMPRESSED_IMAGE
    try:
        message = decode_message(frame.message.data, kind)
    except ValueError as error:
        raise BadImageError('decode_failed', str(error)) from error
    bgr = pixels_of(message)
    if frame.info is None:
        return message.header, bgr, None, ''
    try:
        info = describe_image(plain_info(decode_message(frame.info, CAMERA_INFO)),
                              is_rectified(frame.message.topic, rectified))
        check_camera_info(info, bgr.shape[1], bgr.shape[0])
    except (BadCameraInfoError, ValueError) as error:
        return message.header, bgr, None, str(error)
    return message.header, bgr, info, ''


def first_size(bag: Bag, cameras: Sequence[Camera]) -> tuple[int, int] | None:
    """Return (height, width) of the first image that can be read; None where none can."""
    kinds = {camera.image.name: camera.image.type == IMAGE for camera in cameras}
    with closing(bag.messages(kinds)) as messages:
        for message in messages:
            try:
                bgr = look(Frame('', kinds[message.topic], message, None, 0))[1]
            except BadImageError:
                continue
            return bgr.shape[0], bgr.shape[1]
    return None


def _first(bag: Bag, topic: str) -> bytes | None:
    try:
        with closing(bag.messages([topic])) as messages:
            first = next(messages, None)
    except ReadingError:
        raise   # else there would be no camera_info, and nobody would know why
    except BagError:
        return None
    return None if first is None else first.data
