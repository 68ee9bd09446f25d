"""Where in the picture which class lies: sky above, road below, if the camera is upright."""

import cv2
import numpy as np

from demt_perception.model_card import BANDS

# What a band has never shown is unlikely, not impossible.
_LEAST = 1e-3


def shares(ids: np.ndarray, classes: int) -> np.ndarray:
    """Return the share of each class in bands of rows, and in bands of columns.

    Args:
        ids: class ids, (h, w) uint8, all below ``classes``.
        classes: how many there are.

    Returns: (2, BANDS, classes) float64; each band sums to 1.
    """
    small = cv2.resize(ids, (BANDS * 16, BANDS * 16), interpolation=cv2.INTER_NEAREST)
    band = np.repeat(np.arange(BANDS), 16) * classes
    counts = [np.bincount((small + band[:, None]).ravel(), minlength=BANDS * classes),
              np.bincount((small + band[None, :]).ravel(), minlength=BANDS * classes)]
    return np.stack(counts).reshape(2, BANDS, classes) / (BANDS * 16 * 16)


def layout_figures(ids: np.ndarray, usual: np.ndarray) -> dict[str, float]:
    """Compare where classes lie with where they usually do.

    ``layout``: mean log-likelihood of a pixel's class, nats. ``upright``: by how much it is above
    that of the likeliest of the picture turned by 90, 180 and 270 degrees.

    Args:
        ids: class ids, (h, w) uint8.
        usual: share of each class in each band of rows, (BANDS, classes).
    """
    likelihood = np.log(usual * (1 - _LEAST) + _LEAST / usual.shape[1])
    rows, columns = shares(ids, usual.shape[1])
    upright = float((rows * likelihood).sum() / BANDS)
    turned = max(float((turned * likelihood).sum() / BANDS)
                 for turned in (rows[::-1], columns, columns[::-1]))
    return {'layout': upright, 'upright': upright - turned}
