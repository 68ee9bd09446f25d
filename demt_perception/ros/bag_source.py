"""Frames from a bag, with the camera_info that was recorded beside them."""

from collections.abc import Iterator
import logging
from pathlib import Path

from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from demt_perception.bags import BagError, camera_topics, IncompleteBagError, Message, open_bag
from demt_perception.bags.camera_topics import IMAGE
from demt_perception.ros.serialized import deserialize
from demt_perception.ros.sources import Frame, Source, SourceError

BAG_RATE = 10.0

logger = logging.getLogger(__name__)


def open_bag_source(path: Path) -> Source:
    """Open the first image topic of a bag and its camera_info.

    Raises:
        SourceError: the bag cannot be read, or holds no images.
    """
    try:
        with open_bag(path) as bag:
            image, info = camera_topics(bag.topics)
            times = [message.time_ns for message in _readable(bag.messages([image.name]))]
            # An image may stand before the camera_info of the same moment.
            first_info = next(_readable(bag.messages([info.name])), None) if info else None
    except BagError as error:
        raise SourceError(str(error)) from error
    if not times:
        raise SourceError(f'{path}: not one message of {image.name} can be read')
    span = (times[-1] - times[0]) / 1e9
    rate = (len(times) - 1) / span if span > 0 else BAG_RATE
    names = [image.name] + ([info.name] if info else [])
    image_type = Image if image.type == IMAGE else CompressedImage

    def frames() -> Iterator[Frame]:
        camera_info = _deserialize(first_info, CameraInfo) if first_info else None
        try:
            with open_bag(path) as bag:
                for message in _readable(bag.messages(names)):
                    if info is not None and message.topic == info.name:
                        camera_info = _deserialize(message, CameraInfo)
                    else:
                        recorded = _deserialize(message, image_type)
                        yield Frame(recorded, (message.time_ns - times[0]) / 1e9, camera_info,
                                    recorded.header.frame_id, image.name)
        except BagError as error:
            raise SourceError(str(error)) from error

    return Source(f'bag {path}, {len(times)} messages of {image.name} at {rate:.3g} Hz'
                  + (f' with {info.name}' if info else ', no camera_info'), False, rate, frames)


def _readable(messages: Iterator[Message]) -> Iterator[Message]:
    """Yield what a cut-off bag still holds, and say that it is cut off."""
    try:
        yield from messages
    except IncompleteBagError as error:
        logger.warning('%s', error)


def _deserialize(message: Message, kind: type) -> Image | CompressedImage | CameraInfo:
    try:
        return deserialize(message.data, kind)
    except ValueError as error:
        raise SourceError(f'a message of {message.topic} is damaged: {error}') from error
