"""Angles between predicted and true surface normals."""

import numpy as np

from demt_perception.training.metrics.sums import exact, Metric, value_of

_LIMITS = (11.25, 22.5, 30.0)   # degrees
_BINS = 100                     # a degree


class NormalError(Metric):
    """Pooled angle between normals; label pixels of zero length are ignored.

    Predictions of any length are taken as directions; one without a direction (zero or NaN)
    counts as 90 degrees off.
    """

    MAIN = 'mean_deg'

    def __init__(self) -> None:
        self.sums = {'histogram': np.zeros(180 * _BINS + 1, np.int64),
                     'below': np.zeros(len(_LIMITS), np.int64),
                     'degrees': exact([0, 0])}   # angles and their squares

    def add(self, prediction: np.ndarray, label: np.ndarray) -> None:
        """Add one image: both (H, W, 3) in the same frame.

        Raises:
            ValueError: the sizes are others or differ.
        """
        if prediction.ndim != 3 or prediction.shape != label.shape or label.shape[2] != 3:
            raise ValueError(f'prediction {prediction.shape} against label {label.shape}: want '
                             'both (H, W, 3) of the same size; move the channels to the end, '
                             'resize the prediction to the label')
        valid = (label != 0).any(-1)
        degrees = angles(prediction[valid], label[valid])
        self.sums['degrees'] += exact([degrees.sum(), (degrees ** 2).sum()])
        self.sums['below'] += [int((degrees < limit).sum()) for limit in _LIMITS]
        self.sums['histogram'] += np.bincount((degrees * _BINS).astype(int),
                                              minlength=180 * _BINS + 1)

    def summary(self) -> dict[str, float]:
        """Return mean, median and root mean square in degrees, and shares below three limits.

        The median is known to a hundredth of a degree. NaN where nothing was measured: an error
        of 0 would read as perfect.
        """
        histogram = self.sums['histogram']
        n = int(histogram.sum()) or np.nan
        total, squares = value_of(self.sums['degrees'])
        middle = int(np.searchsorted(np.cumsum(histogram), n / 2)) if n == n else np.nan
        shares = self.sums['below'] / n
        return {'mean_deg': float(total / n), 'median_deg': middle / _BINS,
                'below_11_25': float(shares[0]), 'below_22_5': float(shares[1]),
                'below_30': float(shares[2]), 'rms_deg': float((squares / n) ** 0.5)}


def angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the angles between vectors (..., 3), degrees in 0..180, float64 (...).

    Kahan's formula, 2 atan2(|a - b|, |a + b|): exact for small and for large angles.
    """
    a, b = _unit(a), _unit(b)
    return np.degrees(2 * np.arctan2(np.linalg.norm(a - b, axis=-1),
                                     np.linalg.norm(a + b, axis=-1)))


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = np.nan_to_num(vectors.astype(float))
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
