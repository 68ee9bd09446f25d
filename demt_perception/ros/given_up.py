"""What the node has given up: waited for where a thread of it is still at work, and then freed."""

import gc

from demt_perception.inference.memory import return_freed_memory
from demt_perception.ros.perception import Perception


class GivenUp:
    """Perceptions that were closed, while a thread of theirs still frees; for one thread."""

    def __init__(self) -> None:
        """Begin with none."""
        self._closed: list[Perception] = []

    def add(self, perception: Perception) -> None:
        """Wait for one that was closed; call ``free`` when nobody holds it any more."""
        self._closed.append(perception)

    def free(self) -> None:
        """Forget those that are no longer at work, and free that and all else at once."""
        self._forget()
        free_garbage()

    def look(self) -> None:
        """Free those that have come to their end since the last look."""
        if self._forget():
            free_garbage()

    def is_preparing(self) -> bool:
        """Tell whether a thread of one is still at work."""
        return any(closed.is_preparing() for closed in self._closed)

    def _forget(self) -> bool:
        """Give up what is no longer at work; return whether there was any."""
        before = len(self._closed)
        self._closed = [closed for closed in self._closed if closed.is_preparing()]
        return len(self._closed) < before


def free_garbage() -> None:
    """Free what has just been given up: cameras, messages and callbacks refer to each other.

    Python looks for such cycles when there are many new objects, however large they are: ten
    cameras that were gone still held their messages, 14 MB each at 640x360.
    """
    gc.collect()
    return_freed_memory()
