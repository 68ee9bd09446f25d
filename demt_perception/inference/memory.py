"""Memory of processes: what the C library does with freed memory, and how much they have.

Only glibc is told anything.
"""

import ctypes
import functools
from pathlib import Path
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_MOST_MMAP_THRESHOLD, _TRIM_FROM = 32 << 20, 256 << 20


def keep_freed_memory() -> None:
    """Keep freed memory for the next array, instead of asking the kernel for zeroed pages again.

    For programs that make the same large arrays for every frame: the outputs of a 1280x720 frame
    took 5,000 page faults, 12 ms of 43. It is for the whole process: no library must call it.
    """
    share_one_arena()
    library = _glibc()
    if library is not None:
        library.mallopt(_MMAP_THRESHOLD, _MOST_MMAP_THRESHOLD)
        library.mallopt(_TRIM_THRESHOLD, _TRIM_FROM)


def share_one_arena() -> None:
    """Let all threads take memory from one arena, so that what they free can be given back.

    Threads have up to eight arenas for each core, and ``malloc_trim`` does not give back the end
    of theirs, up to 64 MB each: a node that had loaded models in ever new threads for ten minutes
    held 360 MB after it had freed all of them. To be called before there are threads.
    """
    library = _glibc()
    if library is not None:
        library.mallopt(_ARENA_MAX, 1)


def return_freed_memory() -> None:
    """Give freed memory back to the system, after something large has been closed."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def resident_mb(process: int | str = 'self') -> tuple[float, float]:
    """Return the resident memory of a process, now and at its peak, in MB of 2**20 bytes.

    Zeros where the system does not tell, and of a process that is gone.

    Args:
        process: its id.
    """
    try:
        text = Path(f'/proc/{process}/status').read_text(errors='replace')
        values = dict(line.split(':', 1) for line in text.splitlines())
        now, peak = (int(values[key].split()[0]) / 1024 for key in ('VmRSS', 'VmHWM'))
    except (OSError, KeyError, ValueError):
        return 0.0, 0.0
    return now, peak


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith('linux'):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, 'mallopt') and hasattr(library, 'malloc_trim') else None
