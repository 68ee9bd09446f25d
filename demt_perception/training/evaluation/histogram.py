"""Depth errors with their distribution, for the plot."""

import numpy as np

from demt_perception.training.metrics import DepthError

BINS = 200        # of the absolute relative error, from 0
BIN_WIDTH = 0.005  # the last one takes everything beyond


class BinnedDepthError(DepthError):
    """`DepthError` that counts relative errors, too: ``sums['histogram']``, int64 (BINS,)."""

    def __init__(self, near: float, far: float, floor: float = -np.inf,
                 missing: float = np.nan):
        super().__init__(near, far, floor, missing)
        self.sums['histogram'] = np.zeros(BINS, np.int64)

    def add(self, prediction: np.ndarray, label: np.ndarray) -> None:
        """Add one image: (H, W) metres, as `DepthError.add`."""
        super().add(prediction, label)
        given = (np.isfinite(prediction) & np.isfinite(label)
                 & (label >= self.near) & (label <= self.far))
        p, t = np.maximum(prediction[given].astype(float), self.floor), label[given].astype(float)
        place = np.minimum(np.abs(p - t) / t / BIN_WIDTH, BINS - 1).astype(int)
        self.sums['histogram'] += np.bincount(place, minlength=BINS)
