"""Picture files, decoded only when their header says that they are of a sane size.

OpenCV makes room for what a header claims: 3 GB for a file of a hundred bytes. It also reads many
formats that no camera writes, by their content, whatever a file is called; here are those that do.
"""

from pathlib import Path
import re
import struct

import cv2
import numpy as np

from demt_perception.inference.preprocess import LONGEST_SIDE, MOST_PIXELS
from demt_perception.outside import read_file

MOST_BYTES = 2**30
"""Of a picture file: the greatest picture takes half, unpacked, in four colours of 16 bits."""
MOST_SCANS = 64
"""Of a JPEG. Progressive ones have about ten; a file of 40 kB can have thousands, each of which
takes as long as decoding the picture."""
FORMATS = 'JPEG, PNG, BMP, TIFF, WebP or PPM'
PNG = b'\x89PNG\r\n\x1a\n'
_JPEG = b'\xff\xd8'
_END, _START_OF_SCAN = 0xD9, 0xDA
# Start of frame, all kinds; the three left out are other tables (ITU T.81, table B.1).
_START_OF_FRAME = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length
# A comment ends with its line, and a line with either: so OpenCV reads it.
_PPM = re.compile(rb'P[1-6](?:\s|#[^\r\n]*[\r\n])+(\d{1,9})(?:\s|#[^\r\n]*[\r\n])+(\d{1,9})\s')
# In the data of a scan 0 follows what is no marker, and these eight only start anew.
_MARKER = re.compile(rb'\xff([^\x00\xd0-\xd7\xff])')
_TIFF = {b'II*\0': '<', b'MM\0*': '>'}
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_TIFF_KINDS = {3: 'H', 4: 'I'}


class PictureError(ValueError):
    """It is no picture that can be used; the text says why, and does not name the file."""


def read_picture(path: str | Path, flags: int = cv2.IMREAD_COLOR) -> np.ndarray:
    """Return a picture as OpenCV gives it: BGR where it is coloured.

    Raises:
        OSError: the file cannot be read.
        PictureError: see ``decode_picture``.
    """
    return decode_picture(read_file(path, MOST_BYTES), flags)


def decode_picture(data: bytes, flags: int = cv2.IMREAD_COLOR) -> np.ndarray:
    """Return the picture in the content of a file.

    Raises:
        PictureError: it is no picture, of another format, damaged, or absurdly large; the text
            does not name the file.
    """
    check_picture(data)
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise PictureError(f'cannot be decoded ({error}); is it damaged?') from error
    if picture is None:
        raise PictureError('not an image that OpenCV can decode; is it damaged?')
    return picture


def check_picture(data: bytes) -> None:
    """Refuse what would take too much memory or time to decode.

    Raises:
        PictureError: see ``decode_picture``.
    """
    try:
        height, width = picture_size(data)
    except (IndexError, struct.error):
        raise PictureError('the header of the picture is cut short; is it damaged?') from None
    if max(height, width) > LONGEST_SIDE or height * width > MOST_PIXELS:
        raise PictureError(
            f'the picture is {height}x{width}, want sides up to {LONGEST_SIDE} and '
            f'up to {MOST_PIXELS} pixels in all: scale it down')
    if data.startswith(PNG) and not png_is_whole(data):
        raise PictureError('the PNG is cut off or damaged: one of its chunks runs past the end')
    check_scans(data)


def png_is_whole(data: bytes) -> bool:
    """Tell whether every chunk of a PNG lies in the data, up to the last one.

    OpenCV 5 believes the length of a chunk: a wrong bit there cost 4 GB and half a minute.
    """
    at = len(PNG)
    while at + 12 <= len(data):
        kind, at = data[at + 4:at + 8], at + 12 + int.from_bytes(data[at:at + 4], 'big')
        if kind == b'IEND':
            return at <= len(data)
    return False


def check_scans(data: bytes) -> None:
    """Refuse a JPEG that is written over again and again.

    Raises:
        PictureError: it has more than ``MOST_SCANS`` scans.
    """
    if data.startswith(_JPEG) and data.count(bytes((0xFF, _START_OF_SCAN))) > MOST_SCANS and (
            scans := _scans(data)) > MOST_SCANS:
        raise PictureError(
            f'the JPEG has {scans} scans, want at most {MOST_SCANS}: encode it anew')


def _scans(data: bytes) -> int:
    """Count the scans up to the end of the JPEG: phones and cameras append their own data."""
    at, scans = 2, 0
    while found := _MARKER.search(data, at):
        marker, at = found[1][0], found.end()
        if marker == _END:
            break
        scans += marker == _START_OF_SCAN
        if marker not in _ALONE:
            at += int.from_bytes(data[at:at + 2], 'big')
    return scans


def picture_size(data: bytes) -> tuple[int, int]:
    """Return (height, width) from the header of a picture file.

    Raises:
        PictureError, IndexError, struct.error: it is of another format, or its header is damaged.
    """
    if data.startswith((PNG, _JPEG)):
        return image_size(data)
    if data.startswith(b'BM'):
        if data[14:18] == b'\x0c\0\0\0':   # as OS/2 wrote it
            width, height = struct.unpack_from('<HH', data, 18)
        else:
            width, height = struct.unpack_from('<ii', data, 18)
        return abs(height), abs(width)
    if data[:4] == b'RIFF' and data[8:12] == b'WEBP':
        return _webp_size(data)
    if data[:4] in _TIFF:
        return _tiff_size(data, _TIFF[data[:4]])
    if found := _PPM.match(data[:4096]):
        return int(found[2]), int(found[1])
    raise PictureError(f'not a picture: it begins with {data[:4]!r}, want {FORMATS}')


def image_size(data: bytes) -> tuple[int, int]:
    """Return (height, width) from the header of a JPEG or PNG.

    Raises:
        PictureError, IndexError: it is neither, or the header is damaged.
    """
    if data.startswith(PNG):
        if data[12:16] != b'IHDR' or len(data) < 24:
            raise PictureError('a PNG without its header')
        return int.from_bytes(data[20:24], 'big'), int.from_bytes(data[16:20], 'big')
    if not data.startswith(_JPEG):
        raise PictureError(f'they begin with {data[:4]!r}')
    at = 2
    while True:
        if data[at] != 0xFF or data[at + 1] == 0:   # which libjpeg passes over
            raise PictureError(f'a JPEG without a marker at byte {at}')
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in _ALONE:
            at += 2
        elif marker in _START_OF_FRAME:
            height, width = data[at + 5:at + 7], data[at + 7:at + 9]
            if len(width) < 2:
                raise IndexError
            return int.from_bytes(height, 'big'), int.from_bytes(width, 'big')
        elif marker == _START_OF_SCAN:
            raise PictureError('a JPEG without its size')
        else:
            at += 2 + int.from_bytes(data[at + 2:at + 4], 'big')


def _webp_size(data: bytes) -> tuple[int, int]:
    """Source: https://developers.google.com/speed/webp/docs/riff_container."""
    kind = data[12:16]
    if kind == b'VP8 ':
        width, height = struct.unpack_from('<HH', data, 26)
        return height & 0x3FFF, width & 0x3FFF
    if kind == b'VP8L':
        (bits,) = struct.unpack_from('<I', data, 21)
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b'VP8X' and len(data) >= 30:
        return int.from_bytes(data[27:30], 'little') + 1, int.from_bytes(data[24:27], 'little') + 1
    raise PictureError(f'a WebP of the kind {kind!r}; is it damaged?')


def _tiff_size(data: bytes, order: str) -> tuple[int, int]:
    """Source: Adobe, TIFF 6.0, section 2. The first directory is the picture that is decoded."""
    (at,) = struct.unpack_from(f'{order}I', data, 4)
    (count,) = struct.unpack_from(f'{order}H', data, at)
    sides: dict[int, int] = {}
    for index in range(count):
        tag, kind, values = struct.unpack_from(f'{order}HHI', data, at + 2 + 12 * index)
        if tag in (_TIFF_WIDTH, _TIFF_HEIGHT):
            if tag in sides:
                raise PictureError('a TIFF that gives its size twice; is it damaged?')
            if kind not in _TIFF_KINDS or values != 1:
                raise PictureError(
                    f'a TIFF that gives its size as {values} values of type {kind}, want one of '
                    'type 3 or 4: save it anew')
            (sides[tag],) = struct.unpack_from(
                order + _TIFF_KINDS[kind], data, at + 10 + 12 * index)
    if len(sides) < 2:
        raise PictureError('a TIFF without its size; is it damaged?')
    return sides[_TIFF_HEIGHT], sides[_TIFF_WIDTH]
