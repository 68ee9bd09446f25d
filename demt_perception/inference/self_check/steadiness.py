"""What changes from one check to the next."""

import cv2
import numpy as np

# Beyond, the scene itself may be another.
_LONGEST = 1.0


class Steadiness:
    """Remembers the picture and the classes of the check before, of one camera."""

    def __init__(self) -> None:
        """Begin without a check before."""
        self._small: np.ndarray | None = None
        self._ids: np.ndarray | None = None
        self._time = self._changed_at = 0.0

    def look(self, small: np.ndarray, ids: np.ndarray | None, now: float) -> dict[str, float]:
        """Return what has changed since the last look.

        ``frozen``: seconds for which the picture has been the same to the last grey level.
        ``changed``: share of the picture that has another class than a second ago or less;
        missing where that is not known, or the picture is the same.

        Args:
            small: copy of the picture, see ``picture.small_copy``.
            ids: small map of classes, (h, w) uint8; None: not predicted.
            now: seconds.
        """
        found = {}
        same = self._small is not None and np.array_equal(small, self._small)
        if not same:
            self._changed_at = now
        found['frozen'] = now - self._changed_at
        if (ids is not None and self._ids is not None and ids.shape == self._ids.shape
                and not same and 0 < now - self._time <= _LONGEST):
            found['changed'] = float(cv2.countNonZero(cv2.absdiff(ids, self._ids)) / ids.size)
        self._small, self._ids, self._time = small, ids, now
        return found
