"""Looks into a serialised sensor_msgs/Image without deserialising it.

A raw subscription hands over the bytes of a message. For whoever only needs the stamp, or only
looks at some of the images, that saves a conversion of several milliseconds for each.
"""

import struct

import numpy as np

from demt_perception.ros.image_head import byte_order, read_head

# Type of a value without its byte order, and channels.
_PIXELS = {'mono8': ('u1', 1), 'rgb8': ('u1', 3), 'bgr8': ('u1', 3), '32FC1': ('f4', 1),
           '32FC3': ('f4', 3)}


def stamp_ns(data: bytes) -> int:
    """Return the stamp in nanoseconds of any serialised message that begins with a Header.

    Raises:
        ValueError: the data are too short to have one.
    """
    try:
        seconds, nanoseconds = struct.unpack_from(byte_order(data) + 'iI', data, 4)
    except (struct.error, IndexError) as error:
        raise ValueError(f'{len(data)} bytes hold no stamp: {error}') from error
    return seconds * 1_000_000_000 + nanoseconds


def image_array(data: bytes) -> np.ndarray:
    """Return the pixels, uint8 or float32 HxW or HxWx3, as a view of the bytes.

    Raises:
        ValueError: the encoding is none of mono8, rgb8, bgr8, 32FC1, 32FC3, or the data are short.
    """
    head = read_head(data)
    name, channels = _PIXELS.get(head.encoding, ('', 0))
    kind = np.dtype(f'{">" if head.is_bigendian else "<"}{name or "u1"}')
    row, whole = head.width * channels * kind.itemsize, head.step * head.height
    if not name or head.step < row or head.size < whole:
        raise ValueError(f'image {head.width}x{head.height} {head.encoding!r} with step '
                         f'{head.step} and {head.size} bytes, want one of {sorted(_PIXELS)} and '
                         'enough data')
    rows = np.frombuffer(data, np.uint8, whole, head.begin).reshape(head.height, head.step)
    pixels = rows[:, :row].view(kind)
    return pixels if channels == 1 else pixels.reshape(head.height, head.width, channels)
