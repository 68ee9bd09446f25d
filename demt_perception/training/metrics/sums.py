"""What all metrics are made of: integer arrays that add, so that any split merges exactly.

Processes that each saw a part of the set merge by adding their arrays (`Metric.merge`, or an
all-reduce over `Metric.sums`), and get to the last bit what one process would have got.
Counts are integers anyway. Sums of floats depend on their order; here each image's sum is kept
as an exact fixed-point number, cut into 32-bit pieces that lie in an int64 array.
"""

from collections.abc import Iterable

import numpy as np

# A float64 is a whole multiple of 2^-1074 below 2^1024: 2098 bits.
_UNIT_BITS, _PIECES = 1074, 66


def exact(values: Iterable[float]) -> np.ndarray:
    """Return int64 (N, 66) whose rows represent the given numbers exactly.

    Up to 2^31 such arrays can be added before a piece could overflow.

    Raises:
        ValueError: a number is not finite.
    """
    rows = []
    for value in values:
        if not np.isfinite(value):
            raise ValueError(f'a metric cannot add {value}: want finite numbers; look for NaN or '
                             'inf among the predictions')
        top, bottom = float(value).as_integer_ratio()
        units = abs(top) * (2 ** _UNIT_BITS // bottom)
        pieces = np.frombuffer(units.to_bytes(4 * _PIECES, 'little'), '<u4').astype(np.int64)
        rows.append(-pieces if top < 0 else pieces)
    return np.array(rows, np.int64).reshape(-1, _PIECES)


def value_of(pieces: np.ndarray) -> np.ndarray:
    """Return float64 (N,): the correctly rounded numbers of the rows of added `exact` arrays."""
    return np.array([sum(int(piece) << 32 * i for i, piece in enumerate(row)) / 2 ** _UNIT_BITS
                     for row in pieces])


def check_size(prediction: np.ndarray, label: np.ndarray) -> None:
    """Raise ValueError unless both have the same shape."""
    if prediction.shape != label.shape:
        raise ValueError(f'prediction {prediction.shape} against label {label.shape}: want the '
                         'same size; resize the prediction to the label')


def check_probability(prediction: np.ndarray) -> None:
    """Raise ValueError unless all values are probabilities, 0..1."""
    low, high = prediction.min(initial=0), prediction.max(initial=0)
    if not 0 <= low <= high <= 1:   # NaN fails as well
        raise ValueError(f'predicted probabilities {low}..{high}: want 0..1; apply the sigmoid '
                         'or softmax to scores, divide 8-bit maps by 255')


class Metric:
    """A metric whose whole memory is a dictionary of int64 arrays that add.

    Subclasses name their arrays in ``sums``; all their other attributes are settings, which have
    to be equal for two metrics to merge.
    """

    MAIN: str   # key of the figure in the summary that papers compare, and Delta_m takes
    sums: dict[str, np.ndarray]

    def add(self, prediction: np.ndarray, label: np.ndarray) -> None:
        """Add one image."""
        raise NotImplementedError

    def summary(self) -> dict[str, float]:
        """Return the figures of all that was added."""
        raise NotImplementedError

    @property
    def main(self) -> float:
        """Return the figure that papers compare, and Delta_m takes."""
        return self.summary()[self.MAIN]

    def merge(self, other: 'Metric') -> None:
        """Add what another metric saw: the result is that of one metric that saw both.

        Raises:
            ValueError: the other is another metric or has other settings.
        """
        if type(self) is not type(other) or self._settings() != other._settings():
            raise ValueError(
                f'{type(self).__name__}{self._settings()} cannot merge '
                f'{type(other).__name__}{other._settings()}: make both with the same arguments')
        for name, array in other.sums.items():
            self.sums[name] += array

    def _settings(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != 'sums'} | {
            'shapes': {name: array.shape for name, array in self.sums.items()}}
