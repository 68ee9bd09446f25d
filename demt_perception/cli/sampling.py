"""Pictures to check or calibrate on, out of whatever holds pictures."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np

T = TypeVar('T')


def sample(source: str, count: int) -> list['np.ndarray']:
    """Return up to ``count`` pictures, spread evenly over a source, uint8 HxWx3 BGR.

    Args:
        source: a folder of images, a video, or a bag (which needs rclpy).
        count: the most to return; at least half as many where there are that many.

    Raises:
        SourceError: it cannot be read, or is a camera.
        BadImageError: a recorded image is not valid.
    """
    from demt_perception.ros.pixels import pixels_of
    from demt_perception.ros.sources import open_source, SourceError

    opened = open_source(source)
    if opened.live:
        raise SourceError(f'{opened.description}: want a folder of images, a video or a bag')
    return [pixels_of(image) for image in thinned(
        (frame.image for frame in opened.frames()), count)]


def thinned(items: Iterable[T], count: int) -> list[T]:
    """Return up to ``count`` items, evenly spread; at least half as many where there are so many.

    No more than one above that are kept on the way: how many will come is not known.
    """
    kept: list[T] = []
    step = 1
    for index, item in enumerate(items):
        if index % step == 0:
            kept.append(item)
        if len(kept) > count:   # every other one, from now on too
            kept, step = kept[::2], step * 2
    return kept


def recorded_frames(source: str) -> Iterator[tuple[float, 'np.ndarray']]:
    """Yield (seconds, uint8 HxWx3 BGR picture) of a video file or a folder: the same every time.

    Raises:
        SourceError: there is no such thing, it is none of the two, or it cannot be read.
    """
    import numpy as np

    from demt_perception.ros.sources import open_source, SourceError

    opened = open_source(source)
    for frame in opened.frames():
        if opened.live or not isinstance(frame.image, np.ndarray):
            raise SourceError(f'{source} is {opened.description}: want a video file or a folder '
                              'of pictures, which are the same on every run')
        yield frame.offset, frame.image
