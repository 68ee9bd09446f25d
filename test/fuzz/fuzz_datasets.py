"""Targets: the files of datasets."""

from contextlib import suppress
from functools import cache
import io
from pathlib import Path

import cv2
from fuzz_images import pictures
from fuzz_target import scratch_folder, Target
import numpy as np

from demt_perception.training.datasets.mat import parse_mat
from demt_perception.training.datasets.reading import read_array, read_grey, read_rgb, read_yaml


@cache
def folder() -> Path:
    return scratch_folder()


def written(data: bytes, name: str) -> Path:
    path = folder() / name
    path.write_bytes(data)
    return path


def picture(data: bytes) -> None:
    """A picture to train on."""
    with suppress(OSError):
        rgb = read_rgb(written(data, 'picture.jpg'))
        assert rgb.ndim == 3 and rgb.shape[2] == 3 and rgb.dtype == np.uint8


def files() -> list[bytes]:
    """Return pictures of every format that is read."""
    ramp = np.arange(12 * 10 * 3, dtype=np.uint8).reshape(12, 10, 3)
    return pictures() + [cv2.imencode(suffix, ramp)[1].tobytes()
                         for suffix in ('.tiff', '.webp', '.ppm')]


def label(data: bytes) -> None:
    """A picture of labels, which may be one with a palette."""
    with suppress(OSError, ValueError):
        assert read_grey(written(data, 'label.png')).ndim == 2


def labels() -> list[bytes]:
    """Return PNGs of one channel, also with a palette of 1, 2, 4 and 8 bits."""
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack('>I', len(content)) + kind + content + struct.pack(
            '>I', zlib.crc32(kind + content))

    found = [one for one in pictures() if one.startswith(b'\x89PNG')]
    for bits in (1, 2, 4, 8):
        rows = (b'\0' + bytes(range(bits))) * 8   # 8 rows of 8 pixels
        found.append(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack(
            '>IIBBBBB', 8, 8, bits, 3, 0, 0, 0)) + chunk(b'PLTE', bytes(6)) + chunk(
                b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b''))
    return found


def array(data: bytes) -> None:
    """A .npy file."""
    with suppress(OSError):
        assert read_array(written(data, 'depth.npy')).dtype.kind in 'biuf'


def arrays() -> list[bytes]:
    found = []
    for values in (np.ones((2, 3), np.float32), np.arange(3, dtype='>u2'), np.array([{}])):
        file = io.BytesIO()
        np.save(file, values, allow_pickle=True)
        found.append(file.getvalue())
    return found


def mat(data: bytes) -> None:
    """A MATLAB file."""
    with suppress(ValueError):
        assert isinstance(parse_mat(data), dict)


def mats() -> list[bytes]:
    from scipy.io import savemat
    inner = np.empty((1, 2), object)
    inner[0, 0], inner[0, 1] = {'mask': np.eye(2, dtype=bool)}, 'x'
    found = []
    for compressed in (False, True):
        file = io.BytesIO()
        savemat(file, {'a': {'b': inner, 'c': 'text'}, 'd': np.arange(4, dtype='u2')},
                do_compression=compressed)
        found.append(file.getvalue())
    return found


def text(data: bytes) -> None:
    """A dataset.yaml."""
    with suppress(OSError, ValueError):
        assert isinstance(read_yaml(written(data, 'dataset.yaml')), dict)


TARGETS = {
    'picture of a dataset': Target(picture, files, 1024),
    'label picture': Target(label, labels, 512),
    'NumPy file': Target(array, arrays, 512),
    'MATLAB file': Target(mat, mats, 2048),
    'dataset.yaml': Target(text, lambda: [b'tasks: {depth: {unit: m}}\n', b'a: !!int ""'], 256),
}
