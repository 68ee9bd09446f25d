"""Errors of callbacks that a node outlives. No rclpy."""

from collections import deque
import time
import traceback

MOST, WITHIN = 10, 10.0
"""So many within so many seconds are too many: going on is no use then."""


class Mishaps:
    """What went wrong in callbacks: such as memory that was not to be had to take a message."""

    def __init__(self) -> None:
        """Begin without one."""
        self._times: deque[float] = deque(maxlen=MOST)
        self._text = ''

    def outlive(self, error: Exception) -> tuple[bool, str]:
        """Note an error; return whether to go on, and what happened, in words."""
        now, where = time.monotonic(), traceback.extract_tb(error.__traceback__)[-1]
        self._text = (f'a callback failed: {type(error).__name__}: {error} '
                      f'({where.filename}:{where.lineno})')
        self._times.append(now)
        return len(self._times) < MOST or now - self._times[0] > WITHIN, self._text

    def take(self) -> str:
        """Return the newest since the last call, in words; '' for none."""
        text, self._text = self._text, ''
        return text
