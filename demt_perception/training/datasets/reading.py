"""Reading one file into one array: pictures, maps of ids, .npy and .mat files.

All raise OSError or DatasetError that name the file and the reason, whatever bytes it holds.
"""

from collections.abc import Collection
from pathlib import Path
import struct
from typing import Any
import zlib

import cv2
import numpy as np

from demt_perception import outside
from demt_perception.inference.picture_file import decode_picture, MOST_BYTES
from demt_perception.outside import read_file
from demt_perception.training.datasets.mat import parse_mat

SUFFIXES = ('.jpg', '.jpeg', '.png')
PNG = b'\x89PNG\r\n\x1a\n'
PALETTE, GREY = 3, 0


class DatasetError(ValueError):
    """A file of a dataset that is not what it should be; the text names it and the reason."""


def read_image(path: Path, flags: int) -> np.ndarray:
    """Read an image file as OpenCV gives it: BGR where it is coloured.

    Raises:
        OSError: the file is missing or not an image.
    """
    return _decode(path, _bytes(path), flags)


def read_rgb(path: Path) -> np.ndarray:
    """Read a picture as (H, W, 3) uint8 RGB."""
    return np.ascontiguousarray(read_image(path, cv2.IMREAD_COLOR)[..., ::-1])


def read_grey(path: Path) -> np.ndarray:
    """Read a one-channel image of any depth as (H, W); a palette image gives its indices.

    Grey of fewer than 8 bits is stretched to 0..255, as by every decoder: white is white.

    Raises:
        OSError: the file is missing or not an image.
        DatasetError: it has more than one channel.
    """
    return _one_channel(path, (PALETTE,))


def read_ids(path: Path) -> np.ndarray:
    """Read a one-channel image as ``read_grey``, but every number as it is stored.

    Raises:
        OSError: the file is missing or not an image.
        DatasetError: it has more than one channel.
    """
    return _one_channel(path, (PALETTE, GREY))


def read_array(path: Path) -> np.ndarray:
    """Read a .npy file, never a pickle.

    Raises:
        OSError: the file is missing, cut off or not a .npy file of numbers.
    """
    try:
        # Mapping compares the size that the header claims with that of the file before any
        # memory is asked for.
        mapped = np.load(path, mmap_mode='r', allow_pickle=False)
        if not isinstance(mapped, np.ndarray) or mapped.dtype.kind not in 'biuf':
            raise OSError(f'{path} holds no array of numbers')
        return np.array(mapped)
    except FileNotFoundError:
        raise OSError(f'{path} is missing') from None
    except OSError:
        raise
    except Exception as error:
        raise OSError(f'{path} is not a readable .npy file: {error}') from error


def read_mat(path: Path) -> dict[str, Any]:
    """Read a MATLAB 5 file; see ``parse_mat``.

    Raises:
        OSError: the file is missing or not one.
    """
    data = _bytes(path)
    try:
        return parse_mat(data)
    except ValueError as error:
        raise OSError(f'{path} is not a readable .mat file: {error}') from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Raises:
        OSError: the file is missing or cannot be read.
        DatasetError: it is not YAML, or no mapping.
    """
    try:
        content = outside.read_yaml(path)
    except FileNotFoundError:
        raise OSError(f'{path} is missing') from None
    except ValueError as error:
        raise DatasetError(f'{path} is {error}') from error
    if not isinstance(content, dict):
        raise DatasetError(f'{path} holds {type(content).__name__}: want key: value lines')
    return content


def _one_channel(path: Path, indices: Collection[int]) -> np.ndarray:
    """Return (H, W); of a PNG of one of these colour types, the numbers as they are stored.

    Label files are often palette PNGs (PASCAL VOC's are), which OpenCV would turn into colours.
    """
    data = _bytes(path)
    bits = 0
    # The header is at a fixed place: bit depth and colour type are its bytes 24 and 25.
    if data[:8] == PNG and len(data) > 29 and data[25] in indices:
        bits = data[24]
        data = _indices_as_grey(data) if data[25] == PALETTE else data
    image = _decode(path, data, cv2.IMREAD_UNCHANGED)
    if image.ndim != 2:
        raise DatasetError(f'{path} has {image.shape[2]} channels: want one (grey or palette)')
    # Every decoder stretches grey of fewer bits to 0..255.
    return image // (255 // (2 ** bits - 1)) if bits in (1, 2, 4) else image


def _bytes(path: Path) -> bytes:
    try:
        data = read_file(path, MOST_BYTES)
    except FileNotFoundError:
        raise OSError(f'{path} is missing') from None
    if not data:
        raise OSError(f'{path} is empty')
    return data


def _decode(path: Path, data: bytes, flags: int) -> np.ndarray:
    try:
        return decode_picture(data, flags)
    except ValueError as error:
        raise OSError(f'{path} is not a readable image, or cut off: {error}') from error


def _indices_as_grey(data: bytes) -> bytes:
    """Return a palette PNG declared as grey, so that its indices are what is decoded."""
    header = data[12:25] + bytes([GREY]) + data[26:29]
    out = data[:12] + header + struct.pack('>I', zlib.crc32(header))
    place = 33
    while place + 8 <= len(data):
        length = struct.unpack('>I', data[place:place + 4])[0]
        # The palette and its transparency mean nothing in a grey image.
        if data[place + 4:place + 8] not in (b'PLTE', b'tRNS'):
            out += data[place:place + 12 + length]
        place += 12 + length
    return out
