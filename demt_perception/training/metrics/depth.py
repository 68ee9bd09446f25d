"""Depth errors, pooled over all pixels and averaged over images."""

from collections.abc import Iterable

import numpy as np

from demt_perception.training.metrics.sums import check_size, exact, Metric, value_of

_ERRORS = ('abs_rel', 'sq_rel', 'squared', 'squared_log')
_SMALLEST = 1e-9   # metres; what MTL-PyTorch takes the logarithm of where nothing is left


class DepthError(Metric):
    """Depth errors over pixels with a finite label in range and a finite prediction.

    Args:
        near: nearest label that counts, metres; labels of 0 and less never do.
        far: farthest label that counts, metres.
        floor: smaller predictions are raised to it, metres; 0 in the papers (spec 1.10).
        missing: metres that a missing prediction counts as in ``rmse_all_m``; NaN: not at all.
    """

    MAIN = 'rmse_all_m'

    def __init__(self, near: float = 0.0, far: float = np.inf, floor: float = 0.0,
                 missing: float = np.nan):
        if not near < far:
            raise ValueError(f'depths from {near} to {far} metres: want the nearer first')
        self.near, self.far, self.floor = near, far, floor
        self.missing = float(missing) if missing == missing else None   # NaN equals nothing
        # asked, given, within 1.25, 1.25^2, 1.25^3, images with a given pixel
        self.sums = {'counts': np.zeros(6, np.int64),
                     'pooled': exact([0] * len(_ERRORS)),
                     'squared_missing': exact([0]),
                     'per_image': exact([0] * len(_ERRORS))}

    def add(self, prediction: np.ndarray, label: np.ndarray) -> None:
        """Add one image: (H, W) metres; NaN in the prediction counts as a miss of delta.

        Raises:
            ValueError: the sizes differ, or a prediction is absurdly far.
        """
        check_size(prediction, label)
        asked = (np.isfinite(label) & (label > 0)
                 & (label >= self.near) & (label <= self.far))
        given = asked & np.isfinite(prediction)
        p, t = np.maximum(prediction[given].astype(float), self.floor), label[given].astype(float)
        inside = [int(((p < limit * t) & (t < limit * p)).sum())
                  for limit in (1.25, 1.25 ** 2, 1.25 ** 3)]
        pooled = per_image = exact([0] * len(_ERRORS))
        if len(p):
            with np.errstate(over='ignore'):   # `exact` refuses what is not finite
                squared = (p - t) ** 2
            logs = np.log(np.maximum(p, _SMALLEST)) - np.log(np.maximum(t, _SMALLEST))
            sums = np.array([(np.abs(p - t) / t).sum(), (squared / t).sum(), squared.sum(),
                             (logs ** 2).sum()])
            pooled = exact(sums)
            means = sums / len(p)
            per_image = exact([*means[:2], *np.sqrt(means[2:])])
        self.sums['counts'] += [int(asked.sum()), len(p), *inside, len(p) > 0]
        self.sums['pooled'] += pooled
        if self.missing is not None:
            lost = label[asked & ~given].astype(float)
            self.sums['squared_missing'] += exact([((lost - self.missing) ** 2).sum()])
        self.sums['per_image'] += per_image

    def summary(self) -> dict[str, float]:
        """Return the figures; NaN where nothing was measured.

        Pooled over pixels: ``abs_rel``, ``sq_rel`` (m), ``rmse_m``, ``log_rmse`` (natural
        logarithm), ``delta1`` to ``delta3`` (shares of the asked pixels within a factor 1.25,
        1.25^2, 1.25^3), ``coverage`` (share of the asked pixels that have a prediction). Mean of
        the images' own figures: the first four with ``image_`` before them. ``rmse_all_m`` is
        the RMSE with what has no prediction counted as ``missing``: a model that calls what is
        hard sky does not become better by it.
        """
        asked, given, *inside, images = (int(count) for count in self.sums['counts'])
        # An error of 0 would read as perfect.
        sums = value_of(self.sums['pooled'])
        pooled = sums / (given or np.nan)
        counted = given if self.missing is None else asked
        every = (sums[2] + value_of(self.sums['squared_missing'])[0]) / (counted or np.nan)
        pooled[2:] **= 0.5
        per_image = value_of(self.sums['per_image']) / (images or np.nan)
        names = ('abs_rel', 'sq_rel', 'rmse_m', 'log_rmse')
        return {**_floats(names, pooled), 'rmse_all_m': float(every ** 0.5),
                **_floats(('delta1', 'delta2', 'delta3', 'coverage'),
                          np.array([*inside, given]) / (asked or np.nan)),
                **_floats([f'image_{name}' for name in names], per_image)}


def _floats(names: Iterable[str], values: np.ndarray) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True)}
