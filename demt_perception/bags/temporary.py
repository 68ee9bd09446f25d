"""The temporary file that a storage file is unpacked into.

Who is killed while it unpacks leaves it behind, as large as it was by then. Its owner holds a lock
on it, which ends with the owner; so what has no lock has no owner, and the next who unpacks
removes it.
"""

from collections.abc import Iterator
import contextlib
import os
from pathlib import Path
import stat
import tempfile
import time
from typing import IO

try:
    import fcntl
except ImportError:   # not on Unix
    fcntl = None  # type: ignore[assignment]

_PREFIX = 'demt_bag_'
YOUNG = 10.0
"""Seconds: who unpacks makes the file, and locks it a moment later."""


@contextlib.contextmanager
def temporary_file() -> Iterator[IO[bytes]]:
    """Lend a new file in ``TMPDIR``, by its ``name`` too, which the block's end removes."""
    with tempfile.NamedTemporaryFile(prefix=_PREFIX, delete=False) as file:
        path = Path(file.name)
        try:
            if fcntl is not None:
                with contextlib.suppress(OSError):   # no locks on this disk: nobody removes any
                    fcntl.flock(file, fcntl.LOCK_EX)
                _remove_leftovers(path.parent)
            yield file
        finally:
            path.unlink(missing_ok=True)


def _remove_leftovers(folder: Path) -> None:
    """Remove this user's files that nobody holds."""
    for path in folder.glob(f'{_PREFIX}*'):
        with contextlib.suppress(OSError):   # its owner lives, or somebody else was faster
            _remove(path)


def _remove(path: Path) -> None:
    """Remove a file; raises OSError where somebody holds it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if (stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
                and time.time() - status.st_mtime > YOUNG):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    finally:
        os.close(descriptor)
