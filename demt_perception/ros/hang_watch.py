"""Notices that a thread does not come back from its work. No rclpy."""


class HangWatch:
    """Knows for how long a thread has been at one and the same piece of work.

    ``enter`` and ``leave`` are for that thread, ``look`` for another one, which looks again and
    again. Time counts as it is looked at: where the whole process stood still, or did not get the
    processor, the thread did not either, and nothing hangs for that.

    >>> watch = HangWatch()
    >>> watch.enter(limit=2.0)
    >>> [watch.look(0.5) for _ in range(6)]
    [0.0, 0.0, 0.0, 0.0, 2.0, 2.5]
    >>> watch.leave()
    >>> watch.look(0.5)
    0.0
    """

    def __init__(self) -> None:
        """Begin outside."""
        self._turn = 0   # odd while the thread is at work
        self._limit = 0.0
        self._seen = 0
        self._seconds = 0.0

    def enter(self, limit: float) -> None:
        """Begin a piece of work that takes less than so many seconds."""
        self._limit = limit
        self._turn += 1

    def allow(self, seconds: float) -> None:
        """Let the piece of work in hand take so long; for the thread that looks."""
        self._limit = max(self._limit, seconds)

    def leave(self) -> None:
        """End it."""
        self._turn += 1

    def look(self, step: float) -> float:
        """Return for how many seconds the thread has been at its work, 0 within the limit.

        Args:
            step: seconds since the last look.
        """
        turn = self._turn
        if turn % 2 == 0 or turn != self._seen:
            self._seen, self._seconds = turn, 0.0
            return 0.0
        self._seconds += step
        return self._seconds if self._seconds >= self._limit else 0.0
