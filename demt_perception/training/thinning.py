"""Thinning of maps to lines of one pixel that keep their connections, many maps at once.

The two-pass rule of Guo and Hall, CACM 32, 1989, in the form of Lam, Lee and Suen, PAMI 14, 1992
(p. 879), as MATLAB's ``bwmorph(.., 'thin')`` and scikit-image's ``thin`` have it. It keeps the
number of 8-connected components.

Every rule is a Boolean formula of eight neighbours, so one pass over machine words thins as many
maps as a word has bits: all thresholds of an evaluation at the price of a few.
"""

import numpy as np

# The neighbours x1..x8 of the papers: east, then counter-clockwise.
_AROUND = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))


def thin(mask: np.ndarray) -> np.ndarray:
    """Return bool (H, W): the mask with its lines thinned until nothing changes.

    Args:
        mask: (H, W) bool; outside counts as False.
    """
    return thin_words(np.asarray(mask, bool))


def thin_words(words: np.ndarray) -> np.ndarray:
    """Thin many maps at once.

    Args:
        words: (H, W) of bool or of an unsigned integer type; each bit is a map of its own.

    Returns:
        Thinned words of the same shape and type.
    """
    height, width = words.shape
    stride = width + 2
    image = np.zeros((height + 2, stride), words.dtype)
    image[1:-1, 1:-1] = words
    flat = image.ravel()
    around = [down * stride + right for down, right in _AROUND]
    places = np.flatnonzero(flat)
    # A pixel keeps its answer to a rule until its neighbourhood changes; each rule comes back
    # every second step, so only the neighbours of the last two steps' changes are looked at.
    changed = [places, places]
    look, step = places, 0
    near = np.zeros(len(flat), bool)
    while len(look):
        x = [flat[look + offset] for offset in around]
        here = flat[look]
        doomed = here & _deletable(x, step % 2)
        fell = np.flatnonzero(doomed)
        flat[look[fell]] = here[fell] ^ doomed[fell]
        changed[step % 2] = look[fell]
        step += 1
        either = np.concatenate(changed)
        for offset in (0, *around):
            near[either + offset] = True
        look = places[near[places]]
        for offset in (0, *around):
            near[either + offset] = False
    return image[1:-1, 1:-1].copy()


def _deletable(x: list[np.ndarray], half: int) -> np.ndarray:
    """Return the bits that a subiteration (0 or 1) deletes; ``x`` holds x1..x8 as x[0]..x[7]."""
    x1, x2, x3, x4, x5, x6, x7, x8 = x
    p, q, r, s = x2 | x3, x4 | x5, x6 | x7, x8 | x1
    once, twice, _ = _counts(p & ~x1, q & ~x3, r & ~x5, s & ~x7)
    _, two, four = _counts(p, q, r, s)
    _, other_two, other_four = _counts(x1 | x2, x3 | x4, x5 | x6, x7 | x8)
    kept = (r | ~x4) & x5 if half else (p | ~x8) & x1
    return once & two & other_two & ~(twice | (four & other_four) | kept)


def _counts(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> tuple[
        np.ndarray, np.ndarray, np.ndarray]:
    """Return where at least one, at least two and all four of the bits are set."""
    either, other, both, others = a | b, c | d, a & b, c & d
    return either | other, both | others | (either & other), both & others
