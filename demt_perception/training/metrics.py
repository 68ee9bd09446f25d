"""Metrics, accumulated over a set."""

import cv2
import numpy as np


class ConfusionMatrix:
    """Pooled class confusion; rows are labels, columns predictions; 255 is ignored."""

    def __init__(self, classes: int):
        self.counts = np.zeros((classes, classes), np.int64)

    def add(self, prediction: np.ndarray, label: np.ndarray) -> None:
        """Add one image: both (H, W) integer ids of the same size."""
        n = len(self.counts)
        valid = label < n
        pairs = label[valid].astype(np.int64) * n + prediction[valid]
        self.counts += np.bincount(pairs, minlength=n * n).reshape(n, n)

    def iou(self) -> np.ndarray:
        """Return the intersection over union of each class, NaN where it never occurs."""
        hit = np.diag(self.counts).astype(float)
        union = self.counts.sum(0) + self.counts.sum(1) - hit
        return np.divide(hit, union, out=np.full(len(hit), np.nan), where=union > 0)

    def miou(self) -> float:
        """Return the mean over the classes that occur."""
        return float(np.nanmean(self.iou()))

    def pixel_accuracy(self) -> float:
        """Return the share of labelled pixels with the right class."""
        return float(np.diag(self.counts).sum() / max(self.counts.sum(), 1))


class DepthError:
    """Pooled depth errors over pixels with a finite label in range and a prediction."""

    def __init__(self, near: float, far: float):
        self.near, self.far = near, far
        self.count = self.asked = 0
        self.abs_rel = self.squared = self.delta1 = 0.0

    def add(self, prediction: np.ndarray, label: np.ndarray) -> None:
        """Add one image: (H, W) metres; NaN in the prediction counts as a miss of delta."""
        asked = np.isfinite(label) & (label >= self.near) & (label <= self.far)
        given = asked & np.isfinite(prediction)
        p, t = prediction[given].astype(float), label[given].astype(float)
        self.asked += int(asked.sum())
        self.count += len(p)
        self.abs_rel += float((np.abs(p - t) / t).sum())
        self.squared += float(((p - t) ** 2).sum())
        self.delta1 += float(((p < 1.25 * t) & (t < 1.25 * p)).sum())

    def summary(self) -> dict[str, float]:
        """Return abs_rel, rmse (m), delta1 and coverage."""
        n = max(self.count, 1)
        return {'abs_rel': self.abs_rel / n, 'rmse_m': (self.squared / n) ** 0.5,
                'delta1': self.delta1 / max(self.asked, 1),
                'coverage': self.count / max(self.asked, 1)}


class NormalError:
    """Pooled angle between unit normals; label pixels of zero length are ignored."""

    def __init__(self) -> None:
        self.histogram = np.zeros(1801, np.int64)
        self.total = 0.0

    def add(self, prediction: np.ndarray, label: np.ndarray) -> None:
        """Add one image: both (H, W, 3)."""
        valid = (label != 0).any(-1)
        p, t = prediction[valid].astype(float), label[valid].astype(float)
        t = t / np.linalg.norm(t, axis=-1, keepdims=True)
        degrees = np.degrees(2 * np.arctan2(np.linalg.norm(p - t, axis=-1),
                                            np.linalg.norm(p + t, axis=-1)))
        self.total += float(degrees.sum())
        self.histogram += np.bincount((degrees * 10).astype(int), minlength=1801)[:1801]

    def summary(self) -> dict[str, float]:
        """Return mean and median angle in degrees and the share below 11.25 degrees."""
        n = max(int(self.histogram.sum()), 1)
        cumulative = np.cumsum(self.histogram)
        return {'mean_deg': self.total / n,
                'median_deg': float(np.searchsorted(cumulative, n / 2)) / 10,
                'below_11_25': float(cumulative[112] / n)}


class BoundaryScore:
    """Boundary F-measure at the best threshold over the set, pixels within a tolerance.

    Predictions are thinned by a ridge test along both axes. A pixel counts as matched if the
    other map has one within ``tolerance`` of the diagonal; unlike the Berkeley benchmark the
    matching is not one-to-one, so figures are a little kinder than odsF.
    """

    THRESHOLDS = np.arange(1, 20) / 20

    def __init__(self, tolerance: float = 0.0075):
        self.tolerance = tolerance
        self.counts = np.zeros((len(self.THRESHOLDS), 4), np.int64)

    def add(self, prediction: np.ndarray, label: np.ndarray) -> None:
        """Add one image: prediction (H, W) in 0..1, label (H, W) with 1 on boundaries."""
        reach = self.tolerance * float(np.hypot(*label.shape))
        truth = label == 1
        smooth = cv2.GaussianBlur(prediction.astype(np.float32), (0, 0), 1.0)
        ridge = ((smooth >= cv2.dilate(smooth, np.ones((1, 3), np.uint8)) - 1e-6)
                 | (smooth >= cv2.dilate(smooth, np.ones((3, 1), np.uint8)) - 1e-6))
        to_truth = cv2.distanceTransform((~truth).astype(np.uint8), cv2.DIST_L2, 5)
        for index, threshold in enumerate(self.THRESHOLDS):
            found = ridge & (smooth >= threshold) & (label != 255)
            to_found = cv2.distanceTransform((~found).astype(np.uint8), cv2.DIST_L2, 5)
            self.counts[index] += (int((to_truth[found] <= reach).sum()), int(found.sum()),
                                   int((to_found[truth] <= reach).sum()), int(truth.sum()))

    def summary(self) -> dict[str, float]:
        """Return the best F, its threshold, precision and recall."""
        hit_p, found, hit_r, truth = (self.counts[:, i].astype(float) for i in range(4))
        precision = hit_p / np.maximum(found, 1)
        recall = hit_r / np.maximum(truth, 1)
        f = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        best = int(f.argmax())
        return {'f': float(f[best]), 'threshold': float(self.THRESHOLDS[best]),
                'precision': float(precision[best]), 'recall': float(recall[best])}
