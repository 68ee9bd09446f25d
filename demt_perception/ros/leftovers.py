"""Shared memory that processes left behind which were killed.

Each process with Fast DDS has a segment in /dev/shm: 64 MiB with our profile. Who is killed, or
ends without clean-up, leaves it there, and only a restart of the machine frees that memory. Its
owner holds a lock on the file ``NAME_el`` beside it for as long as it lives, however it ends; so
what has no lock has no owner. (``fastdds shm clean`` of Fast DDS does the same.)
"""

import contextlib
import os
from pathlib import Path
import re
import time

try:
    import fcntl
except ImportError:   # not on Unix
    fcntl = None  # type: ignore[assignment]

FOLDER = Path('/dev/shm')
# Fast DDS 3, and 2 before it. Not its ports: they are small, and Fast DDS looks after them.
_LOCK = re.compile(r'(fastdds|fastrtps)_[0-9a-f]{16}_el')
YOUNG = 10.0
"""Seconds: a process that starts makes the file, and locks it a moment later."""


def remove_leftovers(folder: Path = FOLDER) -> int:
    """Remove the segments of this user's ended processes; return their size in bytes."""
    freed = 0
    if fcntl is None:
        return freed
    try:
        locks = list(folder.iterdir())
    except OSError:   # none, or not ours to list: a node starts without, too
        return freed
    for lock in locks:
        if _LOCK.fullmatch(lock.name):
            with contextlib.suppress(OSError):   # its owner lives, or somebody else was faster
                freed += _remove(lock)
    return freed


def _remove(lock: Path) -> int:
    """Remove a segment and its lock file; raises OSError where somebody holds that."""
    descriptor = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid() or time.time() - status.st_mtime < YOUNG:
            return 0
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        segment, size = lock.with_name(lock.name.removesuffix('_el')), 0
        with contextlib.suppress(FileNotFoundError):
            size = segment.stat().st_blocks * 512
            segment.unlink()
        lock.unlink()
        return size
    finally:
        os.close(descriptor)
