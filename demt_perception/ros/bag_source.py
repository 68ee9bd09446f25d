"""Frames from a bag, with the camera_info that was recorded beside them."""

from collections.abc import Generator, Iterator
from contextlib import closing
import logging
from pathlib import Path
from statistics import median

from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from demt_perception.bags import Bag, BagError, camera_topics, Message, open_bag, ReadingError
from demt_perception.bags.camera_topics import IMAGE
from demt_perception.ros.serialized import deserialize
from demt_perception.ros.sources import Frame, Source, SourceError

BAG_RATE = 10.0

_MEASURED = 20
"""Images whose times tell the rate: to read a long bag to its end takes minutes."""
_APART = 4
"""Images between two whose times are compared: over some networks they come in pairs."""

logger = logging.getLogger(__name__)


def open_bag_source(path: Path) -> Source:
    """Open the first image topic of a bag and its camera_info.

    Raises:
        SourceError: the bag cannot be read, or holds no images.
    """
    try:
        with open_bag(path) as bag:
            image, info = camera_topics(bag.topics)
            names = [image.name] + ([info.name] if info else [])
            times, first_info = _beginning(bag, image.name, names)
            if info and first_info is None:
                first_info = _first(bag, info.name)
    except BagError as error:
        raise SourceError(str(error)) from error
    if not times:
        raise SourceError(f'{path}: not one message of {image.name} can be read')
    rate = _rate(times)
    image_type = Image if image.type == IMAGE else CompressedImage

    def frames() -> Iterator[Frame]:
        camera_info = _deserialize(first_info, CameraInfo) if first_info else None
        try:
            with open_bag(path) as bag, closing(_readable(bag, names)) as messages:
                for message in messages:
                    if info is not None and message.topic == info.name:
                        camera_info = _deserialize(message, CameraInfo)
                    else:
                        recorded = _deserialize(message, image_type)
                        yield Frame(recorded, (message.time_ns - times[0]) / 1e9, camera_info,
                                    recorded.header.frame_id, image.name)
        except BagError as error:
            raise SourceError(str(error)) from error

    count = '' if image.count is None else f'{image.count} '
    return Source(f'bag {path}, {count}messages of {image.name} at {rate:.3g} Hz'
                  + (f' with {info.name}' if info else ', no camera_info'), False, rate, frames)


def _beginning(bag: Bag, image: str, names: list[str]) -> tuple[list[int], Message | None]:
    """Return the times of the first images, and the first camera_info among them."""
    times: list[int] = []
    first_info = None
    with closing(_readable(bag, names)) as messages:
        for message in messages:
            if message.topic == image:
                times.append(message.time_ns)
            elif first_info is None:
                first_info = message
            if len(times) == _MEASURED:
                break
    return times, first_info


def _rate(times: list[int]) -> float:
    """Return images a second, by the median of what lies between them: a gap says nothing."""
    apart = min(_APART, len(times) - 1)
    span = median(later - time for time, later in zip(times, times[apart:], strict=False))
    return apart * 1e9 / span if span > 0 else BAG_RATE


def _first(bag: Bag, name: str) -> Message | None:
    """Return the first message of a topic; none where the bag is damaged before it."""
    try:
        with closing(bag.messages([name])) as messages:
            return next(messages, None)
    except ReadingError:
        raise
    except BagError:
        return None


def _readable(bag: Bag, names: list[str]) -> Generator[Message, None, None]:
    """Yield what a damaged bag still holds, and say where it ends."""
    some = False
    try:
        for message in bag.messages(names):
            some = True
            yield message
    except ReadingError:
        raise
    except BagError as error:
        if not some:
            raise
        logger.warning('%s', error)


def _deserialize(message: Message, kind: type) -> Image | CompressedImage | CameraInfo:
    try:
        return deserialize(message.data, kind)
    except ValueError as error:
        raise SourceError(f'a message of {message.topic} is damaged: {error}') from error
