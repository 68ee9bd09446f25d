"""The search for the greatest rate that something keeps up with."""

from collections.abc import Callable

TOLERANCE = 1.06
"""The search ends where the rates known to be good and bad are this close."""

STEP = 1.5
LEAST, GREATEST = 0.5, 480.0


def find_peak(is_good: Callable[[float], bool], start: float) -> float:
    """Return the greatest rate found good, within ``TOLERANCE``; 0 where none is.

    Args:
        is_good: tries a rate in Hz; the lower ones of a good one are taken to be good.
        start: rate to begin with.
    """
    rate = min(max(start, LEAST), GREATEST)
    good = bad = 0.0
    while not (good and bad):
        if is_good(rate):
            good = rate
            if rate == GREATEST:
                return rate
            rate = min(rate * STEP, GREATEST)
        else:
            bad = rate
            if rate == LEAST:
                return 0.0
            rate = max(rate / STEP, LEAST)
    while bad / good > TOLERANCE:
        rate = (good * bad) ** 0.5
        if is_good(rate):
            good = rate
        else:
            bad = rate
    return good
