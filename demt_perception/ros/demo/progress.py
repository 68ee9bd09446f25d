"""A progress line for a run of known length."""

import sys
import time

_WIDTH = 30
_QUIET_PERIOD = 5.0


class Progress:
    """Draws one line again and again on a terminal; elsewhere prints a line now and then."""

    def __init__(self, seconds: float) -> None:
        """Expect a run of so many seconds."""
        self._seconds = seconds
        self._began = time.monotonic()
        self._printed = -_QUIET_PERIOD

    def wait(self, text: str) -> None:
        """Show that something without a known length is under way."""
        self._draw(f'{text} ... {time.monotonic() - self._began:.0f} s')

    def show(self, elapsed: float, frames: int) -> None:
        """Show how far the run is."""
        share = min(elapsed / self._seconds, 1.0)
        self._draw(f'[{"#" * int(share * _WIDTH):<{_WIDTH}}] {elapsed:3.0f} of '
                   f'{self._seconds:g} s, {frames} frames, {frames / max(elapsed, 0.1):.1f}/s')

    def close(self, text: str) -> None:
        """End the line; say what comes next."""
        self._printed = -_QUIET_PERIOD
        if sys.stdout.isatty():
            print()
        if text:
            print(text, flush=True)

    def _draw(self, text: str) -> None:
        if sys.stdout.isatty():
            print(f'\r{text:<78}', end='', flush=True)
        elif time.monotonic() - self._printed > _QUIET_PERIOD:
            self._printed = time.monotonic()
            print(text, flush=True)
