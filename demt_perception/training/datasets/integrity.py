"""Whether an image file is whole: decoders may fill what is missing without a word."""

import struct
import zlib

from demt_perception.training.datasets.reading import PNG


def damage(data: bytes) -> str:
    """Return what is wrong with the bytes of a PNG or JPEG file, '' where nothing is."""
    if data.startswith(PNG):
        return _png_damage(data)
    if data.startswith(b'\xff\xd8'):
        # A thumbnail inside has its own end mark: the last must follow the last scan's start.
        whole = data.rfind(b'\xff\xd9') > data.rfind(b'\xff\xda') >= 0
        return '' if whole else 'the JPEG is cut off: it has no end mark'
    return ''


def _png_damage(data: bytes) -> str:
    place = len(PNG)
    while place + 12 <= len(data):
        length = struct.unpack('>I', data[place:place + 4])[0]
        end = place + 8 + length
        kind = data[place + 4:place + 8]
        if end + 4 > len(data):
            break
        if zlib.crc32(data[place + 4:end]) != struct.unpack('>I', data[end:end + 4])[0]:
            return f'the PNG is damaged: wrong checksum of its part {kind!r}'
        if kind == b'IEND':
            return ''
        place = end + 4
    return 'the PNG is cut off: it has no end mark'
