"""Whether depth knows where it is wrong, and by how much."""

import numpy as np

from demt_perception.training.metrics.sums import check_size, Metric

LOWEST, OCTAVES, STEPS = 2.0 ** -12, 24, 64   # metres: 0.24 mm to 4 km, bins of 1.1 %
BINS = OCTAVES * STEPS
UNIT = 1e-6   # metres: errors add as whole micrometres, so that parts merge exactly


class SparsificationError(Metric):
    """Area under the sparsification error curve, and how often the error is as expected.

    Leave out the share x of the pixels that are the least sure: the mean error of the rest is the
    sparsification curve. Leave out those with the greatest errors instead: the oracle. The area
    between both, over x from 0 to 1, is the AUSE. Source: Ilg et al., Uncertainty Estimates and
    Multi-Hypotheses Networks for Optical Flow, ECCV 2018; not normalised here, so in metres.
    Pixels are ordered by fine logarithmic bins, not one by one, so that parts of a set merge.
    """

    MAIN = 'ause_m'

    def __init__(self) -> None:
        # Pixels and micrometres of error, by uncertainty and by error; micrometres of uncertainty,
        # pixels, those with an error within it, and within three times it.
        self.sums = {'by_uncertainty': np.zeros((BINS, 2), np.int64),
                     'by_error': np.zeros((BINS, 2), np.int64), 'counts': np.zeros(4, np.int64)}

    def add(self, prediction: np.ndarray, label: np.ndarray) -> None:
        """Add one image.

        Args:
            prediction: (H, W) metres, the error that is expected.
            label: (H, W) metres, the absolute error that is; NaN where unknown.

        Raises:
            ValueError: the sizes differ.
        """
        check_size(prediction, label)
        given = np.isfinite(prediction) & np.isfinite(label)
        expected, error = prediction[given].astype(float), label[given].astype(float)
        small = np.rint(error / UNIT)
        for name, values in (('by_uncertainty', expected), ('by_error', error)):
            place = np.log2(np.maximum(values, LOWEST) / LOWEST) * STEPS
            place = np.minimum(place, BINS - 1).astype(int)
            self.sums[name][:, 0] += np.bincount(place, minlength=BINS)
            # Exact: whole numbers, below 2^53 in any image.
            self.sums[name][:, 1] += np.bincount(place, small, BINS).astype(np.int64)
        self.sums['counts'] += [int(np.rint(expected / UNIT).sum()), len(error),
                                int((error <= expected).sum()), int((error <= 3 * expected).sum())]

    def curves(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return shares of pixels left out, from 0, and the mean error (m) of the rest, by both.

        All float64 (N,); the share 1 is left out.
        """
        shares = np.linspace(0, 1, 1000, endpoint=False)
        curves = []
        for name in ('by_uncertainty', 'by_error'):
            pixels, errors = np.cumsum(self.sums[name], axis=0, dtype=float).T
            left = (1 - shares) * pixels[-1]
            # Inside a bin all pixels count as alike.
            rest = np.interp(left, np.concatenate([[0], pixels]), np.concatenate([[0], errors]))
            curves.append(rest * UNIT / np.where(left > 0, left, np.nan))
        return shares, curves[0], curves[1]

    def summary(self) -> dict[str, float]:
        """Return the figures; NaN where nothing was measured.

        ``ause_m``; ``ause_share``: it as a share of what a random order would have, 0 is perfect
        and 1 useless; ``error_m`` and ``uncertainty_m``: the means; ``within_1`` and ``within_3``:
        shares of the pixels whose error is at most the uncertainty, and three times that. If
        errors are distributed as Laplace says, these are 0.632 and 0.950.
        """
        _, sparse, oracle = self.curves()
        uncertainty, pixels, within_1, within_3 = (float(v) for v in self.sums['counts'])
        total = pixels or np.nan
        error = self.sums['by_error'][:, 1].sum() * UNIT / total
        ause, random = float((sparse - oracle).mean()), float((error - oracle).mean())
        return {'ause_m': ause, 'ause_share': ause / (random or np.nan), 'error_m': float(error),
                'uncertainty_m': uncertainty * UNIT / total, 'within_1': within_1 / total,
                'within_3': within_3 / total}


def depth_error(prediction: np.ndarray, label: np.ndarray, near: float,
                far: float) -> np.ndarray:
    """Return the absolute error (H, W) in metres for `SparsificationError`.

    NaN where there is no prediction, or no label from ``near`` to ``far``.
    """
    asked = np.isfinite(label) & (label >= near) & (label <= far)
    error: np.ndarray = np.abs(prediction - np.where(asked, label, np.nan))
    return error
