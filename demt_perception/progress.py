"""How far something long is, on standard error, where no bar of tqdm fits: there is no count."""

import sys
import time

QUIET_PERIOD = 10.0
"""Seconds between two lines where standard error is no terminal."""


class Progress:
    """One line that is drawn anew on a terminal; elsewhere one now and then."""

    def __init__(self) -> None:
        """Begin."""
        self._shown = -QUIET_PERIOD
        self._width = 0

    def show(self, text: str, left: float | None = None) -> None:
        """Show what is done now, and about how many seconds all of it will still take."""
        if left is not None:
            text += f', {_span(left)} left'
        if sys.stderr.isatty():
            print(f'\r{text:<{self._width}}', end='', file=sys.stderr, flush=True)
            self._width = len(text)
        elif time.monotonic() - self._shown > QUIET_PERIOD:
            self._shown = time.monotonic()
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the line."""
        if self._width:
            print(file=sys.stderr)
        self._width = 0


def _span(seconds: float) -> str:
    return f'{seconds:.0f} s' if seconds < 90 else f'{seconds / 60:.0f} min'
