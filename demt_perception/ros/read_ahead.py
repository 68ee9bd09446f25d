"""Reads and decodes frames in a thread of its own, a few ahead of their publication."""

from collections.abc import Callable, Iterator
import dataclasses
import logging
import queue
import threading
from typing import Any

from demt_perception.ros.bad_image import BadImageError
from demt_perception.ros.sources import Frame, Source, SourceError

_AHEAD = 3

logger = logging.getLogger(__name__)


class ReadAhead:
    """Iterates over the prepared frames of a source, pass after pass.

    A live source keeps only its newest frame; a recorded one waits for its reader.
    """

    def __init__(self, source: Source, loop: bool, prepare: Callable[[Frame], Frame]) -> None:
        """Start reading. ``prepare`` runs in the reading thread: encoding belongs there."""
        self._source = source
        self._loop = loop
        self._prepare = prepare
        self._queue: queue.Queue[Any] = queue.Queue(1 if source.live else _AHEAD)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name='read_ahead', daemon=True)
        self._thread.start()

    def close(self, patience: float | None = None) -> bool:
        """Stop reading and wait so many seconds; return whether the thread has ended.

        It may hang in a call of a driver or the network.
        """
        self._stop.set()
        self._thread.join(patience)
        return not self._thread.is_alive()

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames; an error of the source is raised here."""
        while not self._stop.is_set():
            try:
                item = self._queue.get(timeout=0.1)
            except queue.Empty:
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def _read(self) -> None:
        try:
            start = 0.0
            while not self._stop.is_set():
                offset, good = 0.0, 0
                for frame in self._source.frames():
                    offset = frame.offset
                    try:
                        prepared = self._prepare(frame)
                    except BadImageError as error:
                        logger.warning('a frame is left out: %s', error)
                        continue
                    good += 1
                    self._put(dataclasses.replace(prepared, offset=start + offset))
                    if self._stop.is_set():
                        return
                if self._stop.is_set():
                    return
                if not good:
                    raise SourceError(f'not one image of {self._source.description} is good')
                if not self._loop or self._source.live:
                    break
                start += offset + 1 / self._source.rate
            self._put(None)
        except Exception as error:  # handed to the reader of the frames
            self._put(error)

    def _put(self, item: Any) -> None:
        newest = self._source.live and isinstance(item, Frame)
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0 if newest else 0.1)
                return
            except queue.Full:
                if newest:
                    try:
                        self._queue.get_nowait()
                    except queue.Empty:
                        continue
