"""Threads that wait for other work when theirs is done, instead of ending.

OpenCV keeps 0.9 kB for each thread that ever called it (measured with opencv-python-headless
5.0.0), and each such piece keeps a page of memory from being given back: a process that lives
long should not end threads and start others. Threads are daemons: one that hangs must not keep
the process from ending.
"""

from collections.abc import Callable
import os
from queue import SimpleQueue
import sys
import threading
from typing import Any

_spare: list['SimpleQueue[Work]'] = []   # of threads that wait; append and pop are atomic
os.register_at_fork(after_in_child=_spare.clear)   # threads do not come along


def keep_ready(count: int) -> None:
    """Start threads until so many wait for work.

    Without it a process has as many as there ever were works at once, and so one more whenever
    there is one more: after hours still, which looks like a leak.
    """
    while len(_spare) < count:
        _spare.append(_new_thread())


class Work:
    """Something that a thread does once; to be looked at like a ``threading.Thread``."""

    def __init__(self, target: Callable[..., None], *arguments: Any, name: str) -> None:
        """Keep what is to be done; ``start`` begins.

        Args:
            target: is called with the arguments.
            arguments: as said.
            name: of the thread meanwhile.
        """
        self._target, self._arguments, self._name = target, arguments, name
        self._done = threading.Event()
        self._started = False

    def start(self) -> None:
        """Begin, in a thread that has nothing else to do, or else in a new one."""
        try:
            orders = _spare.pop()
        except IndexError:
            orders = _new_thread()
        self._started = True
        orders.put(self)

    def join(self, timeout: float | None = None) -> None:
        """Wait until it is done, or for so many seconds; not at all before it was started."""
        if self._started:
            self._done.wait(timeout)

    def is_alive(self) -> bool:
        """Tell whether it is being done."""
        return self._started and not self._done.is_set()

    def _do(self) -> None:
        thread = threading.current_thread()
        thread.name = self._name
        try:
            self._target(*self._arguments)
        except BaseException:   # said as where a thread ends so, which this one does not
            threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), thread)))
        finally:
            del self._target, self._arguments   # whoever looks at the work does not keep them
        thread.name = 'spare'


def _new_thread() -> 'SimpleQueue[Work]':
    orders: SimpleQueue[Work] = SimpleQueue()
    threading.Thread(target=_serve, args=(orders,), name='spare', daemon=True).start()
    return orders


def _serve(orders: 'SimpleQueue[Work]') -> None:
    while True:
        work = orders.get()
        try:
            work._do()
            _spare.append(orders)
        finally:   # where not even the error could be said this thread ends
            work._done.set()
        del work
