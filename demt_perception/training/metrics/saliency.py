"""Saliency: maximal F-measure over thresholds, in both published definitions.

They differ in thresholds, comparison, beta and in what is averaged, and are not comparable.
"""

import numpy as np

from demt_perception.training.metrics.sums import (
    check_probability,
    check_size,
    exact,
    Metric,
    value_of,
)

_IGNORE = 255


class PooledMaxF(Metric):
    """The maxF of DeMT, ATRC and InvPT (spec 1.10).

    Pixels are pooled over the set; probability >= 0.05, 0.10 .. 0.95; beta squared 0.3.
    """

    MAIN = 'max_f'
    THRESHOLDS = (np.arange(1, 20) * 0.05).astype(np.float32)

    def __init__(self) -> None:
        # true positives, predicted positives, actual positives
        self.sums = {'counts': np.zeros((len(self.THRESHOLDS), 3), np.int64)}

    def add(self, prediction: np.ndarray, label: np.ndarray) -> None:
        """Add one image: probability (H, W) in 0..1, label (H, W) of 0, 1 and 255 (ignored).

        Raises:
            ValueError: the sizes differ, or the prediction is no probability.
        """
        check_size(prediction, label)
        check_probability(prediction)
        valid = label != _IGNORE
        # As float32, like the published code, where 51/255 reaches the threshold 0.2.
        passed = np.searchsorted(self.THRESHOLDS, prediction[valid].astype(np.float32), 'right')
        self.sums['counts'] += _counts(passed, label[valid] == 1, len(self.THRESHOLDS))

    def summary(self) -> dict[str, float]:
        """Return ``max_f`` and its ``threshold``, ``precision`` and ``recall``."""
        hit, found, actual = self.sums['counts'].astype(float).T
        precision = hit / np.maximum(found, 1)
        recall = hit / np.maximum(actual, 1)
        return _best(precision, recall, 0.3, self.THRESHOLDS)


class ImageMaxF(Metric):
    """The maxF of MTL-PyTorch and ASTMT (spec section 2), and the IoU they report for saliency.

    Precision and recall are averaged over images; probability > 0.20, 0.25 .. 0.90; beta 1.
    Ignored pixels, which those papers' sets do not have, count nowhere.
    """

    MAIN = 'max_f'
    THRESHOLDS = np.linspace(0.2, 0.9, 15).astype(np.float32)

    def __init__(self) -> None:
        count = len(self.THRESHOLDS)
        self.sums = {'images': np.zeros(1, np.int64), 'precision': exact([0] * count),
                     'recall': exact([0] * count), 'iou': exact([0] * count)}

    def add(self, prediction: np.ndarray, label: np.ndarray) -> None:
        """Add one image: probability (H, W) in 0..1, label (H, W) of 0, 1 and 255 (ignored).

        Raises:
            ValueError: the sizes differ, or the prediction is no probability.
        """
        check_size(prediction, label)
        check_probability(prediction)
        valid = label != _IGNORE
        passed = np.searchsorted(self.THRESHOLDS, prediction[valid].astype(np.float32), 'left')
        hit, found, actual = _counts(passed, label[valid] == 1, len(self.THRESHOLDS)).T
        union = found + actual - hit
        self.sums['images'] += 1
        self.sums['precision'] += exact(hit / np.maximum(found, 1))
        self.sums['recall'] += exact(hit / np.maximum(actual, 1))
        # Nothing wanted and nothing found is right.
        self.sums['iou'] += exact(np.where(union == 0, 1, hit / np.maximum(union, 1)))

    def summary(self) -> dict[str, float]:
        """Return ``max_f`` with its ``threshold``, ``precision``, ``recall``, and ``miou``.

        ``miou`` is the mean over images of the IoU of the salient class at the best threshold.
        """
        n = max(int(self.sums['images'][0]), 1)
        precision, recall, iou = (value_of(self.sums[name]) / n
                                  for name in ('precision', 'recall', 'iou'))
        return {**_best(precision, recall, 1.0, self.THRESHOLDS), 'miou': float(iou.max())}


def _counts(passed: np.ndarray, actual: np.ndarray, thresholds: int) -> np.ndarray:
    """Return int64 (thresholds, 3): hits, found and actual pixels.

    Args:
        passed: int (N,), how many of the rising thresholds each pixel passes.
        actual: bool (N,), which pixels are salient.
        thresholds: how many there are.
    """
    found = np.bincount(passed, minlength=thresholds + 1)[::-1].cumsum()[::-1][1:]
    hit = np.bincount(passed[actual], minlength=thresholds + 1)[::-1].cumsum()[::-1][1:]
    return np.stack((hit, found, np.full(thresholds, actual.sum())), 1)


def _best(precision: np.ndarray, recall: np.ndarray, beta_squared: float,
          thresholds: np.ndarray) -> dict[str, float]:
    below = beta_squared * precision + recall
    f = np.divide((1 + beta_squared) * precision * recall, below,
                  out=np.zeros(len(below)), where=below > 0)
    best = int(f.argmax())
    return {'max_f': float(f[best]), 'threshold': float(thresholds[best]),
            'precision': float(precision[best]), 'recall': float(recall[best])}
