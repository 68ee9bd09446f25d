"""A place for one item between two threads."""

import threading
from typing import Generic, TypeVar

T = TypeVar('T')


class FrameSlot(Generic[T]):
    """Holds the newest item: whoever takes one never gets a stale one, and nobody queues."""

    def __init__(self) -> None:
        """Begin empty and open."""
        self._item: T | None = None
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: T) -> bool:
        """Leave an item, in place of one not yet taken; return whether there was one.

        Never blocks. After ``close`` the item is thrown away.
        """
        with self._changed:
            superseded = self._item is not None
            self._item = None if self._closed else item
            self._changed.notify_all()
        return superseded

    def take(self) -> T | None:
        """Wait for an item and take it out; None once the slot is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed)
            item, self._item = self._item, None
            self._changed.notify_all()
        return item

    def wait_empty(self) -> bool:
        """Wait until the item has been taken; return False once the slot is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is None or self._closed)
            return not self._closed

    def close(self) -> None:
        """Throw the item away and wake everybody who waits."""
        with self._changed:
            self._item = None
            self._closed = True
            self._changed.notify_all()
