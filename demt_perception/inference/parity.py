"""How far two engines' outputs of one graph are apart, in units that people can judge.

One figure for each output: the share of pixels with the same class, the relative error of depth,
the angle between normals, the error of a probability. Compared on real pictures: on noise, where
a network is unsure of everything, rounding looks worse than it is on a road.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from demt_perception.inference.resize import shrink
from demt_perception.tasks import TASKS

FOLDER = Path(__file__).resolve().parent / 'pictures'
"""Of the pictures that are shipped; ``SOURCE.txt`` beside them says whose they are."""

SMALLEST = 1e-3
"""Values below this share of the mean count as this: an error relative to nothing says nothing."""

Outputs = Mapping[str, np.ndarray]


class Measure(NamedTuple):
    """A kind of figure: how to take it, its limits, by default and of f32, and how to say it."""

    function: Callable[[np.ndarray, np.ndarray], float]
    limit: float
    exact: float
    at_least: bool
    number: str
    text: str


@dataclass(frozen=True)
class Figure:
    """One output of two engines compared, on the picture where they differ most."""

    output: str
    value: float
    limit: float
    measure: Measure

    @property
    def good(self) -> bool:
        """Tell whether it is within its limit; NaN is not."""
        return (self.value >= self.limit) if self.measure.at_least else (
            self.value <= self.limit)

    def __str__(self) -> str:
        """Return e.g. ``semantic 99.1 % alike``."""
        return f'{self.output} {self.measure.text.format(self._said(self.value))}'

    def trouble(self) -> str:
        """Return the figure and its limit, for what is outside it."""
        wanted = 'at least' if self.measure.at_least else 'at most'
        return f'{self}, want {wanted} {self._said(self.limit)}'

    def _said(self, value: float) -> str:
        return self.measure.number.format(value)


@dataclass(frozen=True)
class Check:
    """What engines are compared on, and how far they may be apart.

    Attributes:
        mean, std: per RGB channel, see ``ModelCard``.
        limits: by ONNX output, where they are not the defaults.
        pictures: uint8 HxWx3 BGR; none: those that are shipped.
    """

    mean: tuple[float, ...] = (127.0, 127.0, 127.0)
    std: tuple[float, ...] = (100.0, 100.0, 100.0)
    limits: Mapping[str, float] = field(default_factory=dict)
    pictures: tuple[np.ndarray, ...] = ()

    def inputs(self, shape: Sequence[int]) -> list[np.ndarray]:
        """Return the pictures as a network is fed them, float32 NxCxHxW of this shape."""
        fed = [self._fed(picture, (shape[2], shape[3]))
               for picture in self.pictures or shipped_pictures()]
        # Each with the pictures that follow it, from the first again after the last.
        return [np.concatenate([fed[(first + more) % len(fed)] for more in range(shape[0])])
                for first in range(len(fed))]

    def _fed(self, bgr: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        rgb = shrink(bgr, size)[..., ::-1].astype(np.float32)
        scaled = (rgb - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])


def shipped_pictures() -> tuple[np.ndarray, ...]:
    """Return the package's own pictures, uint8 HxWx3 BGR.

    Raises:
        FileNotFoundError: the package is not whole.
    """
    read = [cv2.imread(str(path), cv2.IMREAD_COLOR) for path in sorted(FOLDER.glob('*.jpg'))]
    pictures = tuple(picture for picture in read if picture is not None)
    if not pictures:
        raise FileNotFoundError(f'{FOLDER} has no pictures: install demt_perception again')
    return pictures


def compare(wanted: Sequence[Outputs], seen: Sequence[Outputs],
            limits: Mapping[str, float], exact: bool = False) -> list[Figure]:
    """Return one figure for each output, of the picture where it is worst.

    Args:
        wanted: the outputs of the engine to go by, a mapping for each picture.
        seen: those of the engine in question.
        limits: by output; where it has none, the default of its kind.
        exact: both calculate in f32: the limits of f32 hold where they are narrower.
    """
    figures = []
    for name, first in wanted[0].items():
        measure = MEASURES[KINDS.get(name, 'classes' if first.dtype.kind in 'iu' else 'scalar')]
        values = [_value(measure, a[name], b[name]) for a, b in zip(wanted, seen, strict=True)]
        # NaN wins: what cannot be compared is worse than anything that can.
        worst = float((np.min if measure.at_least else np.max)(values))
        limit = limits.get(name, measure.limit)
        if exact:
            limit = (max if measure.at_least else min)(limit, measure.exact)
        figures.append(Figure(name, worst, limit, measure))
    return figures


def trouble(figures: Sequence[Figure]) -> str:
    """Return what is outside its limit, '' where nothing is."""
    return ', '.join(figure.trouble() for figure in figures if not figure.good)


def _value(measure: Measure, wanted: np.ndarray, seen: np.ndarray) -> float:
    if wanted.shape != seen.shape or not np.isfinite(seen).all():
        return np.nan
    return measure.function(wanted, seen)


def _alike(wanted: np.ndarray, seen: np.ndarray) -> float:
    return float((wanted == seen).mean())


def _relative(wanted: np.ndarray, seen: np.ndarray) -> float:
    size = np.abs(wanted)
    return float((np.abs(seen - wanted) / np.maximum(
        size, max(float(size.mean()) * SMALLEST, 1e-12))).mean())


def _degrees(wanted: np.ndarray, seen: np.ndarray) -> float:
    """Return the mean angle of vectors along axis 1; 90 where only one has a direction."""
    (a, long), (b, other) = (_unit(vectors) for vectors in (wanted, seen))
    # Of the half angle: exact also where it is small, unlike the arc cosine.
    half = np.arctan2(np.linalg.norm(a - b, axis=1), np.linalg.norm(a + b, axis=1))
    return float(np.where(long != other, 90, np.degrees(2 * half)).mean())


def _unit(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors of length 1, and where there are any."""
    length = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1), length[:, 0] > 0


def _absolute(wanted: np.ndarray, seen: np.ndarray) -> float:
    return float(np.abs(seen - wanted).mean())


MEASURES = {
    'classes': Measure(_alike, 0.95, 0.99, True, '{:.1%}', '{} alike'),
    'scalar': Measure(_relative, 0.05, 1e-3, False, '{:.2%}', 'off by {}'),
    'vector': Measure(_degrees, 3.0, 0.05, False, '{:.2f} degrees', 'off by {}'),
    'probability': Measure(_absolute, 0.03, 3e-4, False, '{:.4f}', 'off by {}'),
}
"""By kind of task; limits hold for a whole picture's mean.

Those of f32 tell what calculates wrong from what rounds. Of the shipped models OpenVINO and torch
in f32 are off by 6e-7, 2e-5 degrees and 1.4e-7; sampling at the nearest pixel instead of linearly,
which the limits of lower precisions let pass, by 3e-3, 0.5 degrees and 6e-4. Classes do not tell:
it changes 0.05 % of them, and where two classes score the same, as of a grey pixel in the model of
the tests, rounding alone 0.13 %.
"""

KINDS = {name: kind for task in TASKS.values() for name, kind in task.kinds.items()}
