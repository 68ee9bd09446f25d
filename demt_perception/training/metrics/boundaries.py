"""odsF: boundaries against the true ones, one to one, at the best threshold of the set."""

from collections.abc import Sequence

import numpy as np

from demt_perception.training.metrics.matching import matching_sizes, pixel_pairs
from demt_perception.training.metrics.sums import check_probability, check_size, Metric
from demt_perception.training.metrics.suppression import suppress
from demt_perception.training.thinning import thin, thin_words

# The list HED.txt of SEISM, with which DeMT, ATRC and InvPT were evaluated (spec 1.10).
HED_THRESHOLDS = (0.001, *(step / 100 for step in range(1, 100)), 0.999)
_IGNORE = 255
_WORD = 64   # thresholds that are thinned at once


class BoundaryScore(Metric):
    """The F-measure of the Berkeley benchmark at the best threshold over the set (odsF).

    Predictions are reduced to their ridges, cut at each threshold and thinned. Each remaining
    pixel may be paired with one true pixel, each true pixel with one of these, at most
    ``tolerance`` of the diagonal apart. Pairs and pixels are pooled over the set.

    Args:
        tolerance: greatest distance, as a share of the image diagonal: 0.0075 for
            PASCAL-Context, 0.011 for NYUD.
        thresholds: how many, evenly spaced (99: 0.01, 0.02 .. 0.99), or the rising thresholds
            themselves (`HED_THRESHOLDS`); a pixel counts where it is greater.
    """

    MAIN = 'f'

    def __init__(self, tolerance: float = 0.0075, thresholds: int | Sequence[float] = 99):
        if isinstance(thresholds, int):
            thresholds = [step / (thresholds + 1) for step in range(1, thresholds + 1)]
        self.thresholds = tuple(float(threshold) for threshold in thresholds)
        if not self.thresholds or any(np.diff(self.thresholds) <= 0):
            raise ValueError(f'thresholds {self.thresholds}: want one or more that rise')
        if not 0 < tolerance < 1:
            raise ValueError(f'tolerance {tolerance}: want a share of the image diagonal, such '
                             'as 0.0075 or 0.011')
        self.tolerance = tolerance
        # pairs, found pixels, true pixels
        self.sums = {'counts': np.zeros((len(self.thresholds), 3), np.int64)}

    def add(self, prediction: np.ndarray, label: np.ndarray) -> None:
        """Add one image.

        Args:
            prediction: (H, W), probability of a boundary in 0..1.
            label: (H, W), 1 on boundaries, which need not be thin, 0 elsewhere; 255 where it is
                not known: what lies there, on either side, does not count.

        Raises:
            ValueError: the sizes differ, or the prediction is no probability.
        """
        check_size(prediction, label)
        check_probability(prediction)
        places, present = self._found(prediction, label != _IGNORE)
        truth = thin(label == 1)
        reach = self.tolerance * float(np.hypot(*label.shape))
        true_pixels = int(truth.sum())
        # From the highest threshold down, pixels mostly come: cheaper than when they go.
        matched = matching_sizes(pixel_pairs(places, truth, reach), present[::-1],
                                 true_pixels)[::-1]
        counts = self.sums['counts']
        counts[:, 0] += matched
        counts[:, 1] += present.sum(1)
        counts[:, 2] += true_pixels

    def curve(self) -> dict[str, np.ndarray]:
        """Return ``threshold``, ``precision``, ``recall`` and ``f``, float64 (thresholds,)."""
        matched, found, true = self.sums['counts'].T
        precision = matched / np.maximum(found, 1)
        recall = matched / np.maximum(true, 1)
        f = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        return {'threshold': np.array(self.thresholds), 'precision': precision,
                'recall': recall, 'f': f}

    def summary(self) -> dict[str, float]:
        """Return ``f`` and its ``threshold``, ``precision``, ``recall``; 0 without boundaries."""
        curve = self.curve()
        best = int(curve['f'].argmax())
        return {name: float(curve[name][best])
                for name in ('f', 'threshold', 'precision', 'recall')}

    def _found(self, prediction: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return int (N, 2), rows and columns, and bool (K, N): found at which thresholds."""
        count = len(self.thresholds)
        # As float32, like the published code: 51/255 is not greater than 0.2.
        passed = np.searchsorted(np.array(self.thresholds, np.float32), suppress(prediction))
        planes = []
        for first in range(0, count, _WORD):
            # How many thresholds a pixel passes, as a word with as many low bits set.
            bits = np.clip(np.arange(count + 1) - first, 0, _WORD)
            words = np.array([(1 << int(bit)) - 1 for bit in bits], '<u8')[passed]
            planes.append(np.where(known, thin_words(words), np.uint64(0)))
        places = np.argwhere(np.logical_or.reduce([plane != 0 for plane in planes]))
        found = np.stack([plane[tuple(places.T)] for plane in planes], 1)
        present = np.unpackbits(found.view(np.uint8), axis=1, count=count, bitorder='little')
        return places, present.T.astype(bool)
