"""Frames that an engine fails on, one after the other. No rclpy."""

from dataclasses import dataclass
import time

FRAMES, SECONDS = 5, 2.0
"""An engine is broken that fails on so many frames in a row, over so long."""


@dataclass(frozen=True)
class Failures:
    """How many, since when (monotonic), over how many seconds, and why the last."""

    frames: int = 0
    begin: float = 0.0
    seconds: float = 0.0
    why: str = ''

    def another(self, why: str) -> 'Failures':
        """Return them with one more, of now."""
        now = time.monotonic()
        begin = self.begin if self.frames else now
        return Failures(self.frames + 1, begin, now - begin, why)

    @property
    def text(self) -> str:
        """Say that the engine is broken; '' where it is not."""
        if self.frames < FRAMES or self.seconds < SECONDS:
            return ''
        return f'the engine failed on {self.frames} frames in a row: {self.why}'
