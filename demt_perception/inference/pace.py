"""How long an engine takes for an image, and whether that has become more than it was."""

from collections import deque
from statistics import median

WINDOW = 20
"""Images whose median counts."""

TIMES, MORE = 2.0, 0.02
"""An engine is slow where it takes so many times what it took, and so many seconds more."""


class Pace:
    """Of one engine; ``note`` is for the thread that runs it, the rest for any.

    Attributes:
        usual: seconds for an image, the median of the last; 0 before the first.
        slow: why the engine counts as slow, in words; '' where it does not.

    >>> pace = Pace()
    >>> for milliseconds in [10] * WINDOW + [40] * WINDOW:
    ...     pace.note(milliseconds / 1000)
    >>> pace.usual, pace.slow
    (0.04, 'the engine takes 40 ms for an image, it has taken 10')
    """

    def __init__(self) -> None:
        """Begin without an image."""
        self.usual = 0.0
        self.slow = ''
        self._best = float('inf')
        self._last: deque[float] = deque(maxlen=WINDOW)

    def note(self, seconds: float) -> None:
        """Count an image that took so long."""
        self._last.append(seconds)
        self.usual = median(self._last)
        if len(self._last) < WINDOW:   # the first are slow anyway
            return
        self._best = min(self._best, self.usual)
        slow = self.usual > max(TIMES * self._best, self._best + MORE)
        self.slow = (f'the engine takes {self.usual * 1000:.0f} ms for an image, it has taken '
                     f'{self._best * 1000:.0f}') if slow else ''
