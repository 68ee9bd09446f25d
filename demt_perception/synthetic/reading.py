"""Reading the files of a generated view, within limits: such folders are handed on to others."""

from collections.abc import Callable
import math
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from demt_perception.training.datasets import reading

T = TypeVar('T')
_GREATEST = 1e9   # pixels, metres, degrees


def read_picture(root: Path, name: str) -> np.ndarray:
    """Return the picture of a view, (H, W, 3) RGB.

    Raises:
        OSError: it cannot be read; the text says the remedy.
    """
    return _of_a_view(reading.read_rgb, root / 'images' / f'{name}.jpg')


def read_map(root: Path, folder: str, name: str, deep: bool = False) -> np.ndarray:
    """Return a map of ids of a view, (H, W) uint8, or uint16 where it is deep.

    Raises:
        OSError: see ``read_picture``; it is coloured where it should be grey.
    """
    path = root / folder / f'{name}.png'
    if not deep:
        return _of_a_view(reading.read_image, path, cv2.IMREAD_GRAYSCALE)
    return _of_a_view(reading.read_grey, path)


def read_array(root: Path, folder: str, name: str, channels: tuple[int, ...] = ()) -> np.ndarray:
    """Return the depth of a view, (H, W), or another array with such channels behind.

    Raises:
        OSError: see ``read_picture``; it has another shape.
    """
    def read(path: Path) -> np.ndarray:
        array = reading.read_array(path)
        if array.ndim != 2 + len(channels) or array.shape[2:] != channels or not array.size:
            raise OSError(f'{path} has shape {array.shape}, want '
                          f'({", ".join(["height", "width", *map(str, channels)])})')
        return array

    return _of_a_view(read, root / folder / f'{name}.npy')


def read_camera(root: Path, name: str, numbers: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return what is known of a view; `fx`, and of `numbers` what is there, are numbers.

    Raises:
        OSError: see ``read_picture``.
    """
    def read(path: Path) -> dict[str, Any]:
        camera = reading.read_yaml(path)
        for key in ('fx', *(key for key in numbers if key in camera)):
            value = camera.get(key)
            # Clear air is seen through for ever: an endless visibility is drawn, too.
            if not isinstance(value, int | float) or not (
                    abs(value) < _GREATEST or (value == math.inf and key != 'fx')):
                raise OSError(f'{path}: {key} is {str(value)[:50]!r}, want a number')
        return camera

    return _of_a_view(read, root / 'cameras' / f'{name}.yaml')


def _of_a_view(read: Callable[..., T], path: Path, *more: int) -> T:
    try:
        return read(path, *more)
    except (OSError, ValueError) as error:
        raise OSError(f'{error}: remove the camera file of that view and run `demt generate` '
                      'again') from error
