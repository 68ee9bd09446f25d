"""Pictures to check or calibrate on, out of whatever holds pictures."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np


def sample(source: str, count: int) -> list['np.ndarray']:
    """Return up to ``count`` pictures, spread evenly over a source, uint8 HxWx3 BGR.

    Args:
        source: a folder of images, a video, or a bag (which needs rclpy).
        count: the most to return; at least half as many where there are that many.

    Raises:
        SourceError: it cannot be read, or is a camera.
        BadImageError: a recorded image is not valid.
    """
    from demt_perception.ros.sources import open_source, SourceError

    opened = open_source(source)
    if opened.live:
        raise SourceError(f'{opened.description}: want a folder of images, a video or a bag')
    kept: list = []
    step = 1
    for index, frame in enumerate(opened.frames()):
        if index % step == 0:
            kept.append(frame.image)
        if len(kept) > count:   # every other one, from now on too: its length is not known
            kept, step = kept[::2], step * 2
    return [_pixels(image) for image in kept]


def _pixels(image: 'np.ndarray') -> 'np.ndarray':
    import numpy as np

    if isinstance(image, np.ndarray):
        return image
    from demt_perception.ros.compressed import decode
    from demt_perception.ros.conversions import to_bgr

    return (decode if hasattr(image, 'format') else to_bgr)(image)


def recorded_frames(source: str) -> 'Iterator[tuple[float, np.ndarray]]':
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
