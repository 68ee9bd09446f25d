"""Judges camera stamps: out of order, started anew, too old. Integers in nanoseconds. No rclpy."""

from enum import Enum

SECOND = 1_000_000_000
# A bag that loops jumps back by its length; a frame that comes late by less than this.
RESTART = SECOND
# Shorter loops than that: so many older frames in a row cannot all be late ones.
LATE_IN_A_ROW = 5


class Order(Enum):
    """How a stamp follows the ones before it."""

    GOOD = 'good'
    LATE = 'late'
    RESTART = 'restart'


class StampOrder:
    """Tells a frame that comes late, to be dropped, from a recording that starts anew."""

    def __init__(self) -> None:
        """Begin without a past."""
        self._newest: int | None = None
        self._late = 0

    def judge(self, stamp: int) -> Order:
        """Judge the stamp of the next frame. Equal stamps are good: some cameras send only 0."""
        back = 0 if self._newest is None else self._newest - stamp
        if back <= 0:
            order = Order.GOOD
        elif back < RESTART and self._late + 1 < LATE_IN_A_ROW:
            self._late += 1
            return Order.LATE
        else:
            order = Order.RESTART
        self._newest, self._late = stamp, 0
        return order


def since_stamp(now: int, stamp: int) -> float | None:
    """Return now minus a stamp in seconds, negative where the stamp is ahead.

    None without a stamp, and before the first message of a simulated clock (now = 0).
    """
    return (now - stamp) / SECOND if now > 0 and stamp > 0 else None


def age_seconds(now: int, stamp: int) -> float | None:
    """Return how old a frame is; None where that cannot be known.

    As ``since_stamp``, and where the stamp is ahead: a clock that was set back, or another
    machine's.
    """
    age = since_stamp(now, stamp)
    return None if age is None or age < 0 else age
