"""Several cameras on one engine: which frame is worked on next."""

from collections import Counter
from collections.abc import Hashable, Iterable
import threading
from typing import Generic, TypeVar

C = TypeVar('C', bound=Hashable)
T = TypeVar('T')


class FairSlots(Generic[C, T]):
    """A place for the newest frame of each camera; may be used from any thread.

    The camera whose last turn is longest ago comes first. So nobody starves: of N cameras, each
    that has a frame is served after at most N - 1 others, however fast these send, and what it is
    served with is its newest frame.

    Attributes:
        received, taken, superseded: frames by camera. Received are as many as taken, superseded
            (by a newer one, or thrown away by ``close``) and waiting.

    >>> slots = FairSlots(['front', 'left'])
    >>> for camera, frame in ('front', 1), ('front', 2), ('left', 3), ('front', 4):
    ...     _ = slots.put(camera, frame)
    >>> slots.take(), slots.take()      # the newest of each, in turn
    ([('front', 4)], [('left', 3)])
    >>> slots.superseded['front']
    2
    """

    def __init__(self, cameras: Iterable[C]) -> None:
        """Begin empty and open.

        Args:
            cameras: names; the first turns are in this order.

        Raises:
            ValueError: no camera, or one twice.
        """
        names = list(cameras)
        if not names or len(set(names)) != len(names):
            raise ValueError(f'cameras are {names}: want at least one, each once')
        self.received: Counter[C] = Counter()
        self.taken: Counter[C] = Counter()
        self.superseded: Counter[C] = Counter()
        self._names = frozenset(names)
        self._turns = names   # whose turn was longest ago comes first
        self._frames: dict[C, T] = {}
        self._closed = False
        self._changed = threading.Condition()

    def put(self, camera: C, frame: T) -> bool:
        """Leave a frame, in place of one not yet taken; return whether there was one.

        Never blocks. After ``close`` it is thrown away.

        Raises:
            ValueError: the camera is unknown.
        """
        if camera not in self._names:
            raise ValueError(
                f'camera {camera!r} is unknown, want one of {sorted(map(str, self._names))}')
        with self._changed:
            self.received[camera] += 1
            if self._closed:
                self.superseded[camera] += 1
                return False
            superseded = camera in self._frames
            self.superseded[camera] += superseded
            self._frames[camera] = frame
            self._changed.notify()
        return superseded

    def take(self, together: int = 1) -> list[tuple[C, T]]:
        """Wait for frames and take those whose turn it is, with their cameras; [] once closed.

        Args:
            together: frames that are handed over at once where so many are ready, see
                ``Predictor.batch_with``; fewer go one by one.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._closed)
            ready = [camera for camera in self._turns if camera in self._frames]
            chosen = ready[:together if len(ready) >= together else 1]
            for camera in chosen:
                self._turns.remove(camera)
                self._turns.append(camera)
                self.taken[camera] += 1
            return [(camera, self._frames.pop(camera)) for camera in chosen]

    def close(self) -> None:
        """Throw away what waits, and wake everybody who does."""
        with self._changed:
            self.superseded.update(self._frames.keys())
            self._frames.clear()
            self._closed = True
            self._changed.notify_all()
