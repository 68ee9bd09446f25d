"""Distributions over classes in 8-bit images: what a teacher thinks of every pixel.

The maps of all classes lie one below the other. A value v from 1 to 255 is the probability
exp((v - 255) / 16): as fine as 6 % everywhere, down to one in 8 million. 0 in all maps is a pixel
of which nothing is known.
"""

from pathlib import Path

import numpy as np

from demt_perception.training.datasets.reading import DatasetError, read_grey

STEPS = 16
"""Values to a factor of e."""


def encode(probabilities: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return uint8 (K * h, w) of probabilities (K,h,w) and bool (h,w), what of them is known."""
    with np.errstate(divide='ignore'):
        codes = np.rint(255 + STEPS * np.log(probabilities))
    codes = np.where(known, np.clip(codes, 1, 255), 0)
    return codes.astype(np.uint8).reshape(-1, probabilities.shape[-1])


def read(path: Path, classes: int) -> np.ndarray:
    """Return the image of a file, fit for ``decode``.

    Raises:
        OSError: it cannot be read.
        DatasetError: it is no image, or does not hold as many maps.
    """
    image = read_grey(path)
    if fault := _fault(image, classes):
        raise DatasetError(f'{path}: {fault}')
    return image


def decode(image: np.ndarray, classes: int) -> np.ndarray:
    """Return float32 (K,h,w) that sum to 1, or to 0 where nothing is known.

    Raises:
        ValueError: the image does not hold as many maps.
    """
    if fault := _fault(image, classes):
        raise ValueError(fault)
    codes = image.reshape(classes, -1, image.shape[1])
    likely = TABLE[codes]
    total = likely.sum(0)
    return likely / np.maximum(total, np.float32(1e-30))


def _fault(image: np.ndarray, classes: int) -> str:
    if image.ndim == 2 and image.dtype == np.uint8 and not image.shape[0] % max(classes, 1):
        return ''
    return (f'soft labels are {image.shape} {image.dtype}: want 8 bits, and the {classes} maps of '
            'the classes one below the other')


TABLE = np.exp((np.arange(256, dtype=np.float32) - 255) / STEPS).astype(np.float32)
TABLE[0] = 0
