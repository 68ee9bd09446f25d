"""What a camera picture tells about the camera, without any model.

Everything is measured on a small copy of one size: the figures then do not depend on the camera's
resolution, and what no network input shows does not count.
"""

import cv2
import numpy as np

SIZE = (144, 256)
"""Height and width of the small copy; other shapes are stretched, as they are for the network."""

_WHITE = 250
_FLAT = 6.0
_BLOCKS = (9, 16)
# Rows in which a street has its distance: there fog is thick, and without it something is dark.
_FAR = slice(48, 80)
_DARKEST = np.ones((7, 7), np.uint8)
_BENT = np.array([[-0.25, 0.5, -0.25]], np.float32)


def small_copy(bgr: np.ndarray) -> np.ndarray:
    """Return the picture, HxWx3 uint8, at ``SIZE``; each pixel is the mean of what it covers."""
    return cv2.resize(bgr, SIZE[::-1], interpolation=cv2.INTER_AREA)


def picture_figures(small: np.ndarray) -> dict[str, float]:
    """Return the figures of a small copy, 144x256x3 uint8 BGR.

    ``brightest``: 95th percentile of grey, 0..255. ``white``: share of pixels at the top of the
    scale. ``detail``: mean strength of the finest detail, grey levels. ``grain``: the finest
    detail over that of twice the size, as root mean square: 1 to 1.6 whatever a picture shows,
    over 2 in noise. ``sharpness``: the same of second differences along rows or columns, whichever
    is less: 1.1 to 2 in a sharp picture, less where it is blurred all over or along a line.
    ``flat``: share of 9 x 16 blocks that vary by less than 6 grey levels. ``haze``: mean of what
    is darkest around each pixel, in the rows of the distance (the dark channel of He, Sun, Tang,
    CVPR 2009).
    """
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    exact = grey.astype(np.float32)
    half = cv2.pyrDown(exact)
    fine, coarse = (each - cv2.GaussianBlur(each, (0, 0), 1) for each in (exact, half))
    mean = cv2.resize(exact, _BLOCKS[::-1], interpolation=cv2.INTER_AREA)
    square = cv2.resize(exact * exact, _BLOCKS[::-1], interpolation=cv2.INTER_AREA)
    darkest = cv2.erode(cv2.min(cv2.min(small[..., 0], small[..., 1]), small[..., 2]), _DARKEST)
    return {
        'brightest': float(np.percentile(grey, 95)),
        'white': float((grey >= _WHITE).mean()),
        'detail': float(np.abs(fine).mean()),
        'grain': _over(fine, coarse),
        'sharpness': min(_over(cv2.filter2D(exact, -1, line), cv2.filter2D(half, -1, line))
                         for line in (_BENT, _BENT.T)),
        'flat': float((square - mean * mean < _FLAT * _FLAT).mean()),
        'haze': float(darkest[_FAR].mean()),
    }


def _over(fine: np.ndarray, coarse: np.ndarray) -> float:
    # A tenth of a grey level squared: a picture of one grey is not a division by zero.
    return float(np.sqrt((fine * fine).mean() / ((coarse * coarse).mean() + 0.1)))
