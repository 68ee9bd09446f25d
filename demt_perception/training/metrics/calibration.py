"""Whether a confidence keeps its word: of all that is 80 % sure, 80 % should be right."""

import numpy as np

from demt_perception.training.metrics.sums import check_size, Metric

BINS = 15   # as published


class CalibrationError(Metric):
    """Expected calibration error of 8-bit confidences.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017: equal bins over
    (0, 1], each weighted by its share of the pixels. Kept are the counts of all 256 levels.
    """

    MAIN = 'ece'

    def __init__(self) -> None:
        self.sums = {'counts': np.zeros((256, 2), np.int64)}   # pixels, and those that are right

    def add(self, prediction: np.ndarray, label: np.ndarray) -> None:
        """Add one image.

        Args:
            prediction: (H, W) uint8, confidence times 255.
            label: (H, W), 1 where the class is right, 0 where it is wrong, else nothing is known.

        Raises:
            ValueError: the sizes differ, or the confidence is not of 8 bits.
        """
        check_size(prediction, label)
        if prediction.dtype != np.uint8:
            raise ValueError(f'confidence of type {prediction.dtype}: want uint8, times 255')
        counts = self.sums['counts']
        counts[:, 1] += np.bincount(prediction[label == 1], minlength=256)
        counts[:, 0] += np.bincount(prediction[(label == 0) | (label == 1)], minlength=256)

    def bins(self) -> np.ndarray:
        """Return float64 (15, 3): share of the pixels, mean confidence, share that is right.

        The last two are NaN in an empty bin.
        """
        counts = self.sums['counts'].astype(float)
        levels = np.arange(256) / 255
        place = np.maximum(np.ceil(levels * BINS - 1e-9).astype(int) - 1, 0)
        sums = np.array([np.bincount(place, weights, BINS) for weights in (
            counts[:, 0], counts[:, 0] * levels, counts[:, 1])]).T
        sums[:, 1:] /= np.where(sums[:, :1] > 0, sums[:, :1], np.nan)
        sums[:, 0] /= max(counts[:, 0].sum(), 1)
        return sums

    def summary(self) -> dict[str, float]:
        """Return ``ece``, ``confidence`` (the mean) and ``confidence_nll``; NaN of nothing.

        The last is the mean negative log-likelihood of being right or wrong, in nats; the least
        and the greatest level count as half a level from certainty.
        """
        pixels, right = self.sums['counts'].astype(float).T
        total = pixels.sum() or np.nan
        levels = np.clip(np.arange(256) / 255, 0.5 / 255, 1 - 0.5 / 255)
        share, confidence, correct = self.bins().T
        likelihood = right * np.log(levels) + (pixels - right) * np.log(1 - levels)
        return {'ece': float(np.nansum(share * np.abs(confidence - correct)))
                if pixels.any() else float('nan'),
                'confidence': float((pixels * np.arange(256)).sum() / 255 / total),
                'confidence_nll': float(-likelihood.sum() / total)}


def rightness(prediction: np.ndarray, label: np.ndarray, classes: int) -> np.ndarray:
    """Return uint8 (H, W) for `CalibrationError`: 1 right, 0 wrong, 255 not labelled."""
    known = (label >= 0) & (label < classes)
    right: np.ndarray = np.where(known, prediction == label, np.uint8(255)).astype(np.uint8)
    return right
