"""How much a recording may unpack to: a small file can be made that would take all of a disk."""

from pathlib import Path

from demt_perception.bags.records import BagError

MOST_TIMES, ALWAYS_FINE = 1000, 1 << 30
"""A file may unpack to so many times its size, or so many bytes: pictures become a tenth."""


class Allowance:
    """Counts what one pass over a file unpacks."""

    def __init__(self, path: Path, remedy: str) -> None:
        """Begin with nothing.

        Args:
            path: of the file, as it lies on the disk.
            remedy: the command that unpacks it.
        """
        self._path, self._remedy = path, remedy
        self._left = max(ALWAYS_FINE, MOST_TIMES * path.stat().st_size)

    def take(self, size: int) -> None:
        """Count so many bytes more.

        Raises:
            BagError: that is more than any recording unpacks to.
        """
        self._left -= size
        if self._left < 0:
            raise BagError(
                f'{self._path} unpacks to over {MOST_TIMES} times its size, and over '
                f'{ALWAYS_FINE} bytes, which no recording does: where it can be trusted, unpack '
                f'it with `{self._remedy}`')
