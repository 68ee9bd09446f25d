"""Thinning of masks to lines of one pixel that keep their connections.

The two-pass rule of Guo and Hall, CACM 1989, in the form of Lam, Lee and Suen, PAMI 1992 (p.
879), as MATLAB's ``bwmorph(.., 'thin')`` and scikit-image's ``thin`` have it.
"""

import numpy as np


def thin(mask: np.ndarray) -> np.ndarray:
    """Return bool (H, W): the mask with its lines thinned until nothing changes.

    Args:
        mask: (H, W) bool; outside counts as False.
    """
    height, width = mask.shape
    image = np.zeros((height + 2, width + 2), np.uint8)
    image[1:-1, 1:-1] = mask
    flat = image.ravel()
    places = np.flatnonzero(flat)
    while True:
        before = len(places)
        for table in _TABLES:
            # Only pixels that are still set can fall: few, next to the whole picture.
            code = np.zeros(len(places), np.uint8)
            for bit, (down, right) in enumerate(_AROUND):
                code |= flat[places + down * (width + 2) + right] << bit
            falls = table[code]
            flat[places[falls]] = 0
            places = places[~falls]
        if len(places) == before:
            return image[1:-1, 1:-1].astype(bool)


# The neighbours x1..x8 of the papers: east, then counter-clockwise.
_AROUND = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))


def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Return, for either pass, which of the 256 neighbourhoods lets a pixel fall."""
    codes = np.arange(256)
    x = [(codes >> (k % 8) & 1).astype(bool) for k in range(9)]   # x[k] is the papers' x_{k+1}
    crossings = sum((~x[k] & (x[k + 1] | x[k + 2 if k < 6 else 0])).astype(int)
                    for k in (0, 2, 4, 6))
    odd = sum((x[k] | x[k + 1]).astype(int) for k in (0, 2, 4, 6))
    even = sum((x[k + 1] | x[(k + 2) % 8]).astype(int) for k in (0, 2, 4, 6))
    least = np.minimum(odd, even)
    common = (crossings == 1) & (least >= 2) & (least <= 3)
    return (common & ~((x[1] | x[2] | ~x[7]) & x[0]),
            common & ~((x[5] | x[6] | ~x[3]) & x[4]))


_TABLES = _tables()
