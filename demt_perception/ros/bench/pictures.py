"""The pictures that benchmarks run on. No rclpy."""

import numpy as np

from demt_perception.inference.parity import shipped_pictures
from demt_perception.inference.resize import linear, shrink

COUNT = 8
"""More would only take memory from what is measured."""


def load_pictures(source: str, size: tuple[int, int]) -> list[np.ndarray]:
    """Return up to ``COUNT`` pictures, uint8 HxWx3 BGR of a size (height, width).

    Args:
        source: video file or folder of images; '' takes those that ship with the package.
        size: they are stretched to it.

    Raises:
        SourceError: the source cannot be read, or holds messages of a bag.
    """
    pictures: list[np.ndarray] = []
    if not source:
        pictures = list(shipped_pictures())
    else:
        from demt_perception.ros.sources import open_source, SourceError
        for frame in open_source(source).frames():
            if not isinstance(frame.image, np.ndarray):
                raise SourceError(f'source {source!r} is a bag: want a video file or a folder of '
                                  'images')
            pictures.append(frame.image)
            if len(pictures) == COUNT:
                break
    return [np.ascontiguousarray(_resized(picture, size)) for picture in pictures]


def _resized(bgr: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    smaller = size[0] <= bgr.shape[0] and size[1] <= bgr.shape[1]
    return shrink(bgr, size) if smaller else linear(bgr, size)
