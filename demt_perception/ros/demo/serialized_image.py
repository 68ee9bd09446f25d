"""Looks into a serialised sensor_msgs/Image without deserialising it.

A raw subscription hands over the bytes of a message. For whoever only needs the stamp, or only
looks at some of the images, that saves a conversion of several milliseconds for each.
"""

import struct

import numpy as np

_CHANNELS = {'mono8': 1, 'rgb8': 3, 'bgr8': 3}


def stamp_ns(data: bytes) -> int:
    """Return the stamp in nanoseconds of any serialised message that begins with a Header."""
    seconds, nanoseconds = struct.unpack_from(_order(data) + 'iI', data, 4)
    return seconds * 1_000_000_000 + nanoseconds


def image_array(data: bytes) -> np.ndarray:
    """Return the pixels, uint8 HxW or HxWx3, as a view of the bytes.

    Raises:
        ValueError: the encoding is none of mono8, rgb8, bgr8, or the data are short.
    """
    order = _order(data)
    _, at = _text(data, 12, order)  # frame_id
    at += -at % 4
    height, width = struct.unpack_from(order + 'II', data, at)
    encoding, at = _text(data, at + 8, order)
    at += 1  # is_bigendian
    at += -at % 4
    step, size = struct.unpack_from(order + 'II', data, at)
    channels = _CHANNELS.get(encoding)
    if channels is None or step < width * channels or size < step * height:
        raise ValueError(f'image {width}x{height} {encoding!r} with step {step} and {size} bytes, '
                         f'want one of {sorted(_CHANNELS)} and enough data')
    rows = np.frombuffer(data, np.uint8, step * height, at + 8).reshape(height, step)
    pixels = rows[:, :width * channels]
    return pixels if channels == 1 else pixels.reshape(height, width, channels)


def _order(data: bytes) -> str:
    """Return struct's sign of the byte order: the second byte of the CDR header tells."""
    return '<' if data[1] & 1 else '>'


def _text(data: bytes, at: int, order: str) -> tuple[str, int]:
    """Return a CDR string and the position after it.

    Alignment counts from the end of the CDR header; that is 4 bytes, and so makes no difference.
    """
    (length,) = struct.unpack_from(order + 'I', data, at)
    return data[at + 4:at + 3 + length].decode(), at + 4 + length
