"""One process at a time works on an entry.

A lock is the kernel's, on an empty file beside the entry: it ends with the process that holds
it, however that ends.
"""

from collections.abc import Callable, Iterator
import contextlib
import os
import time

try:
    import fcntl
except ImportError:  # not on Unix, where ``cache_folder`` says that there is no cache
    fcntl = None  # type: ignore[assignment]

from demt_perception.inference.cache.folder import check_safe

LOCK = '.lock'
POLL, REPORT = 0.05, 1.0
"""Seconds between two attempts, and between two reports."""


@contextlib.contextmanager
def locked(
    folder: int, stem: str, timeout: float, progress: Callable[[str], None] | None = None,
) -> Iterator[int]:
    """Hold the lock of an entry; yield the descriptor of the lock file.

    Args:
        folder: descriptor of the cache's folder.
        stem: name of the entry's files without an ending.
        timeout: seconds to wait for another process; 0 tries once.
        progress: called about once a second with a line that says for how long this has waited.

    Raises:
        TimeoutError: another process holds it all the time.
        OSError: the lock file cannot be made, or the file system has no locks.
    """
    start = reported = time.monotonic()
    while (descriptor := _try(folder, stem + LOCK)) is None:
        now = time.monotonic()
        if now - start >= timeout:
            raise TimeoutError(f'another process has been building it for {now - start:.0f} s')
        if progress is not None and now - reported >= REPORT:
            reported = now
            progress(f'another process builds this engine; waiting for {now - start:.0f} s')
        time.sleep(POLL)
    try:
        yield descriptor
    finally:
        # Not by closing alone: a forked child may hold the same file open.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _try(folder: int, name: str) -> int | None:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(name, flags, 0o600, dir_fd=folder)
    try:
        status = check_safe(descriptor, name)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The file may have been removed between opening and locking it: then others lock another.
        if os.path.samestat(status, os.stat(name, dir_fd=folder, follow_symlinks=False)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
