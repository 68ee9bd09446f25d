"""One image that came, decoded and compressed when somebody first looks at it."""

from collections.abc import Callable
import threading

import cv2
import numpy as np

WIDTHS = (240, 320, 480, 640, 800, 960, 1280, 1920)
"""Widths of the pictures sent, in pixels: few, so that viewers share what was compressed."""

QUALITY = 82


class Frame:
    """An image of a topic. Threads may share it.

    Attributes:
        stamp: of the camera, nanoseconds.
        received: when it came, seconds since the epoch.
        number: that the hub gave it. It tells frames apart, which stamps need not: there are
            cameras that leave theirs at 0.
    """

    def __init__(self, stamp: int, received: float, decode: Callable[[], np.ndarray],
                 rgb: bool = False) -> None:
        """Take what gives the pixels.

        Args:
            stamp: of the camera, nanoseconds.
            received: seconds since the epoch.
            decode: returns uint8 HxW or HxWx3 to look at, else values; called once at most, by
                whoever looks first. It may raise ValueError.
            rgb: colours are in this order, not BGR.
        """
        self._rgb = rgb
        self.stamp = stamp
        self.received = received
        self.number = 0
        self._decode: Callable[[], np.ndarray] | None = decode
        self._pixels: np.ndarray | None = None
        self._error: ValueError | None = None
        self._jpegs: dict[int, bytes] = {}
        self._lock = threading.Lock()

    @property
    def pixels(self) -> np.ndarray:
        """The values; ValueError where the message is damaged."""
        with self._lock:
            return self._look()

    def jpeg(self, width: int) -> bytes:
        """Return it as JPEG, made narrower to the next of ``WIDTHS`` where it is wider.

        Raises:
            ValueError: it is no picture, or damaged.
        """
        with self._lock:
            pixels = self._look()
            wanted = min(fitting(width), pixels.shape[1])
            if wanted not in self._jpegs:
                self._jpegs[wanted] = _compress(pixels, wanted, self._rgb)
            return self._jpegs[wanted]

    def _look(self) -> np.ndarray:
        if self._decode is not None:
            decode, self._decode = self._decode, None
            try:
                self._pixels = decode()
            except ValueError as error:
                self._error = error
        if self._pixels is None:
            raise self._error or ValueError('no pixels')
        return self._pixels


def fitting(width: int) -> int:
    """Return the smallest of ``WIDTHS`` that is at least this, or the largest."""
    return next((step for step in WIDTHS if step >= width), WIDTHS[-1])


def _compress(pixels: np.ndarray, width: int, rgb: bool) -> bytes:
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        raise ValueError(f'{pixels.dtype} {pixels.shape} is no picture: want uint8 HxW or HxWx3')
    if width < pixels.shape[1]:
        height = max(1, round(pixels.shape[0] * width / pixels.shape[1]))
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    if rgb and pixels.ndim == 3:   # as small as it is now
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    good, data = cv2.imencode('.jpg', pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not good:
        raise ValueError(f'OpenCV cannot compress a picture of {pixels.shape}')
    return data.tobytes()
