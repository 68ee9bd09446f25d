"""The head of a serialised sensor_msgs/Image, read without touching its pixels."""

import struct
from typing import NamedTuple


class ImageHead(NamedTuple):
    """The fields before the pixels, and where these begin and how many bytes they have."""

    seconds: int
    nanoseconds: int
    frame_id: str
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    begin: int
    size: int


def byte_order(data: bytes) -> str:
    """Return struct's sign of the byte order: the second byte of the CDR header tells."""
    return '<' if data[1] & 1 else '>'


def read_head(data: bytes) -> ImageHead:
    """Return the head of plain CDR.

    Alignment counts from the end of the CDR header; that is 4 bytes, and so makes no difference.

    Raises:
        ValueError: the bytes end before that, or before the pixels do.
    """
    try:
        order = byte_order(data)
        seconds, nanoseconds = struct.unpack_from(f'{order}iI', data, 4)
        frame_id, at = _text(data, 12, order)
        height, width = struct.unpack_from(f'{order}II', data, at + -at % 4)
        encoding, at = _text(data, at + -at % 4 + 8, order)
        big = data[at]
        at += 1
        step, size = struct.unpack_from(f'{order}II', data, at + -at % 4)
    except (struct.error, IndexError) as error:
        raise _cut_off(data) from error
    begin = at + -at % 4 + 8
    if begin + size > len(data):
        raise _cut_off(data)
    return ImageHead(seconds, nanoseconds, frame_id, height, width, encoding, big, step, begin,
                     size)


def _text(data: bytes, at: int, order: str) -> tuple[str, int]:
    """Return a string and the place after it."""
    (length,) = struct.unpack_from(f'{order}I', data, at)
    end = at + 4 + length
    if end > len(data):
        raise _cut_off(data)
    return data[at + 4:end].removesuffix(b'\0').decode(errors='replace'), end


def _cut_off(data: bytes) -> ValueError:
    return ValueError(f'{len(data)} bytes are no whole Image: it is cut off')
