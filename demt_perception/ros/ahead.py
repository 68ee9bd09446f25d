"""An iterator that runs ahead of its reader in a thread of its own."""

from collections.abc import Generator
import queue
import threading
from typing import Any, TypeVar

T = TypeVar('T')

_END = object()
_POLL = 0.1
"""Seconds after which a thread that waits for its reader looks whether there still is one."""


def ahead(items: Generator[T, None, None], depth: int, name: str,
          ) -> Generator[T, None, None]:
    """Yield what a generator yields, which works meanwhile on up to ``depth`` more.

    What it raises is raised here after all that it has yielded. When this generator is closed, so
    is that one.
    """
    waiting: queue.Queue[Any] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: Any) -> None:
        while not stop.is_set():
            try:
                return waiting.put(item, timeout=_POLL)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put(item)
                if stop.is_set():
                    break
            put(_END)
        except BaseException as error:
            put(error)
        finally:
            items.close()

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not _END:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()
