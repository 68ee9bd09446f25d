"""The colours that a camera saw while all was well."""

import numpy as np

_BINS = 8
# Checks that are needed before colours count as known, and how fast they are forgotten then.
_FEWEST, _NEW = 15, 0.02
# A turned picture shares 0.85 and more of its colours with those before, another scene up to 0.75
# (CamVid val against pictures of other things): docs/self_check.md.
_SAME = 0.8


class ColorMemory:
    """A slow mean of the histograms of pictures."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self._mean = np.zeros((3, _BINS))
        self._count = 0

    def keep(self, small: np.ndarray) -> None:
        """Learn a good picture, hxwx3 uint8."""
        self._count += 1
        self._mean += (_histogram(small) - self._mean) * max(_NEW, 1 / self._count)

    def likeness(self, small: np.ndarray) -> float | None:
        """Return the share of colours, 0 to 1, common with the good ones; None if not known."""
        if self._count < _FEWEST:
            return None
        return float(np.minimum(self._mean, _histogram(small)).sum() / 3)

    def is_same(self, likeness: float) -> bool:
        """Tell whether so much in common means the same scene."""
        return likeness >= _SAME


def _histogram(small: np.ndarray) -> np.ndarray:
    levels = small // (256 // _BINS)
    return np.stack([np.bincount(levels[..., c].ravel(), minlength=_BINS) for c in range(3)]
                    ) / (small.size / 3)
