"""Semantic classes: pooled confusion and intersection over union."""

import numpy as np

from demt_perception.training.metrics.sums import check_size, Metric


class ConfusionMatrix(Metric):
    """Pooled class confusion; labels that are no class (255) are ignored.

    Attributes:
        counts: int64 (classes, classes); rows are labels, columns predictions.
    """

    MAIN = 'miou'

    def __init__(self, classes: int):
        if classes < 1:
            raise ValueError(f'{classes} classes: want how many the labels have, at least 1')
        self.sums = {'counts': np.zeros((classes, classes), np.int64)}

    @property
    def counts(self) -> np.ndarray:
        """Return the pixels of each label (row) and prediction (column)."""
        return self.sums['counts']

    def add(self, prediction: np.ndarray, label: np.ndarray) -> None:
        """Add one image: both (H, W) integer ids of the same size.

        Raises:
            ValueError: the sizes differ, or a labelled pixel is predicted as an id that is no
                class.
        """
        check_size(prediction, label)
        n = len(self.counts)
        valid = (label >= 0) & (label < n)
        predicted = prediction[valid].astype(np.int64)
        if predicted.size and not 0 <= predicted.min() <= predicted.max() < n:
            raise ValueError(f'predicted ids {predicted.min()}..{predicted.max()}: want '
                             f'0..{n - 1}; is the model made for other classes?')
        pairs = label[valid].astype(np.int64) * n + predicted
        self.counts[...] += np.bincount(pairs, minlength=n * n).reshape(n, n)

    def iou(self) -> np.ndarray:
        """Return the intersection over union of each class, NaN where it never occurs."""
        hit = np.diag(self.counts).astype(float)
        union = self.counts.sum(0) + self.counts.sum(1) - hit
        return np.divide(hit, union, out=np.full(len(hit), np.nan), where=union > 0)

    def miou(self) -> float:
        """Return the mean over the classes that occur, in a label or a prediction."""
        return float(np.nanmean(self.iou())) if self.counts.any() else float('nan')

    def published_miou(self) -> float:
        """Return the mean over all classes as the papers' code has it: 0 for one without IoU."""
        return float(np.nan_to_num(self.iou()).mean())

    def pixel_accuracy(self) -> float:
        """Return the share of labelled pixels with the right class."""
        return float(np.diag(self.counts).sum() / max(self.counts.sum(), 1))

    def summary(self) -> dict[str, float]:
        """Return ``miou``, ``published_miou`` and ``pixel_accuracy``."""
        return {'miou': self.miou(), 'published_miou': self.published_miou(),
                'pixel_accuracy': self.pixel_accuracy()}
