"""How labels lie in files: one ``Format`` says how to read, judge and decode a task's label."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from demt_perception.training.datasets.reading import (
    read_array,
    read_grey,
    read_ids,
    read_image,
)
from demt_perception.training.datasets.sample import IGNORE

UNIT_TOLERANCE = 0.05   # three channels of 8 bits miss a unit vector by up to 0.014
NOT_UNIT_SHARE = 0.001
UNKNOWN_GREY = 127
FAR_OFF = 500.0
"""Metres: more than half of a picture is never farther, sky left out."""
SKY = 65535   # of 16-bit depth in a unit of its own


@dataclass(frozen=True)
class Format:
    """The storage of one label.

    Attributes:
        load: of the label's files (mostly one), the raw array; raises OSError or ValueError.
        faults: of the raw array, everything that is wrong with it, in words.
        decode: of the raw array, the label in the convention of ``Sample``; raises ValueError.
    """

    load: Callable[..., np.ndarray]
    faults: Callable[[np.ndarray], list[str]]
    decode: Callable[[np.ndarray], np.ndarray]


def load_any(path: Path) -> np.ndarray:
    """Read a .npy file as it is; an image as (H, W), or as (H, W, 3) RGB."""
    return read_array(path) if path.suffix == '.npy' else read_grey(path)


def load_ids(path: Path) -> np.ndarray:
    """Read a .npy file as it is; an image as the ids that it stores, of however few bits."""
    return read_array(path) if path.suffix == '.npy' else read_ids(path)


def load_vectors(path: Path) -> np.ndarray:
    """Read (H, W, 3): a .npy file, or an 8-bit RGB image."""
    if path.suffix == '.npy':
        return read_array(path)
    return read_image(path, cv2.IMREAD_COLOR)[..., ::-1]


def ids(count: int, meaning: dict[int, int] | None = None, shift: int = 0) -> Format:
    """Return the format of a one-channel 8-bit image of class ids.

    Args:
        count: number of classes; 255 is ignored.
        meaning: stored id to class id, where they differ.
        shift: added to every stored id, modulo 256: -1 makes a stored 0 ignored.
    """
    table = ((np.arange(256) + shift) % 256).astype(np.uint8)
    for stored, wanted in (meaning or {}).items():
        table[stored] = wanted

    def faults(raw: np.ndarray) -> list[str]:
        if raw.dtype != np.uint8 or raw.ndim != 2:
            return [f'{_kind(raw)}: want (H, W) uint8 class ids']
        strange = [int(v) for v in _values(raw) if count <= table[v] != IGNORE]
        return [f'ids {_few(strange)} beyond the {count} classes'] if strange else []

    def decode(raw: np.ndarray) -> np.ndarray:
        if wrong := faults(raw):
            raise ValueError(wrong[0])
        return table[raw]

    return Format(load_ids, faults, decode)


def depth(unit: float = 0.0) -> Format:
    """Return the format of depth: float metres, or 16-bit millimetres; 0 and NaN unknown.

    Args:
        unit: metres of one count of 16 bits, of which 65535 is then the sky; 0: millimetres, of
            which every one is meant.
    """
    def shape(raw: np.ndarray) -> list[str]:
        if raw.ndim != 2 or not (raw.dtype == np.uint16 or raw.dtype.kind == 'f'):
            return [f'{_kind(raw)}: want (H, W) float metres (.npy) or uint16 millimetres (.png)']
        return []

    def faults(raw: np.ndarray) -> list[str]:
        if wrong := shape(raw):
            return wrong
        unknown = int((np.isnan(raw) | (raw == 0)).sum())
        if unknown == raw.size:
            return [f'no known depth: {np.isnan(raw).mean():.1%} NaN, {(raw == 0).mean():.1%} 0']
        out = []
        if negative := int((raw < 0).sum()):
            out.append(f'{negative} negative depths, down to {float(np.nanmin(raw)):.4g}')
        known = raw[np.isfinite(raw) & (raw > 0)]
        if raw.dtype.kind == 'f' and known.size and np.median(known) > FAR_OFF:
            out.append(f'the middle one of the depths is {float(np.median(known)):.4g} m: are '
                       'they millimetres? want metres')
        return out

    def decode(raw: np.ndarray) -> np.ndarray:
        if wrong := shape(raw):
            raise ValueError(wrong[0])
        metres = raw.astype(np.float32)
        if raw.dtype == np.uint16:
            metres = metres * np.float32(unit) if unit else metres / np.float32(1000)
            metres[(raw == SKY) & bool(unit)] = np.inf
        metres[~(metres > 0)] = np.nan
        return metres

    return Format(load_any, faults, decode)


def normals(cleaned: bool = False) -> Format:
    """Return the format of normals: float (.npy), or 8-bit RGB that stands for 2x/255 - 1.

    Args:
        cleaned: make every vector a unit vector, and those zero that are far from it (black
            and mid-grey pixels of an image, NaN); False: as stored, as the papers' code has it.
    """
    def shape(raw: np.ndarray) -> list[str]:
        if raw.ndim != 3 or raw.shape[2] != 3 or not (raw.dtype == np.uint8
                                                      or raw.dtype.kind == 'f'):
            return [f'{_kind(raw)}: want (H, W, 3) float, or 8-bit RGB']
        return []

    def vectors(raw: np.ndarray) -> np.ndarray:
        return raw.astype(np.float32) * 2 / 255 - 1 if raw.dtype == np.uint8 \
            else raw.astype(np.float32)

    def faults(raw: np.ndarray) -> list[str]:
        if wrong := shape(raw):
            return wrong
        out = []
        known = vectors(raw)
        if empty := int(np.isnan(known).any(2).sum()):
            out.append(f'{empty / known[..., 0].size:.1%} NaN: want zero vectors where unknown')
        length = _length(known)
        stray = (np.abs(length - 1) > UNIT_TOLERANCE) & (length != 0) & ~np.isnan(length)
        if raw.dtype == np.uint8:
            stray &= ~(_is_unknown(length))
        if stray.mean() > NOT_UNIT_SHARE:
            out.append(f'{stray.mean():.1%} of the normals are no unit vectors: lengths '
                       f'{length[stray].min():.3g} to {length[stray].max():.3g}')
        return out

    def decode(raw: np.ndarray) -> np.ndarray:
        if wrong := shape(raw):
            raise ValueError(wrong[0])
        out = vectors(raw)
        if cleaned:
            length = _length(out)
            unknown = _is_unknown(length)
            out /= np.where(unknown, 1, length)[..., None]
            out[unknown] = 0
        return out

    return Format(load_vectors, faults, decode)


def mask(soft: bool = False, unknown: int | None = None) -> Format:
    """Return the format of a yes-or-no map: 8 bits, 0 no and 255 yes, or 0..1 (.npy).

    Args:
        soft: values between are meant, and yes above one half.
        unknown: the 8-bit value of pixels to ignore.
    """
    def faults(raw: np.ndarray) -> list[str]:
        if raw.ndim != 2 or not (raw.dtype == np.uint8 or raw.dtype.kind in 'bfi'):
            return [f'{_kind(raw)}: want (H, W) uint8, 0 and 255']
        if raw.dtype != np.uint8:
            outside = ~((raw >= 0) & (raw <= 1))
            return [f'{outside.mean():.1%} of the values are not within 0..1'] \
                if outside.any() else []
        values = set(_values(raw).tolist())
        if values <= {0, 1} and 1 in values:
            return ['the values are 0 and 1: want 0 and 255']
        other = sorted(values - {0, 255, unknown})
        return [f'values {_few(other)}: want 0 and 255'] if other and not soft else []

    def decode(raw: np.ndarray) -> np.ndarray:
        if raw.ndim != 2 or not (raw.dtype == np.uint8 or raw.dtype.kind in 'bfi'):
            raise ValueError(faults(raw)[0])
        if raw.dtype != np.uint8:
            return (raw >= 0.5).astype(np.uint8)
        out = (raw > 127).astype(np.uint8)
        if unknown is not None:
            out[raw == unknown] = IGNORE
        return out

    return Format(load_any, faults, decode)


def _length(vectors: np.ndarray) -> np.ndarray:
    # Stray files hold numbers whose square is too large: that is a finding, not a warning.
    with np.errstate(over='ignore', invalid='ignore'):
        return np.sqrt((vectors.astype(np.float64) ** 2).sum(2))


def _is_unknown(length: np.ndarray) -> np.ndarray:
    return ~((length > 0.5) & (length < 1.5))


def _values(raw: np.ndarray) -> np.ndarray:
    # Counting 8-bit values is much faster than the sorting of np.unique.
    return np.flatnonzero(np.bincount(raw.ravel(), minlength=256))


def _kind(raw: np.ndarray) -> str:
    return f'the array is {raw.shape} {raw.dtype}'


def _few(values: list[int]) -> str:
    return ', '.join(map(str, values[:8])) + (', ...' if len(values) > 8 else '')
