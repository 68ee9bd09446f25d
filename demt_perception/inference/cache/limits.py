"""The cache stays small: what was not used for longest is removed."""

import contextlib
import os
import re

from demt_perception.inference.cache.entry import ENTRY, PARTIAL, remove
from demt_perception.inference.cache.lock import LOCK, locked

MOST_BYTES = 8_000_000_000
MOST_ENTRIES = 40

_OURS = re.compile(
    rf'([a-z0-9_]+-[a-z0-9_]+-[0-9a-f]{{32}})(?:{ENTRY}|{PARTIAL}|{LOCK})'.replace('.', r'\.'))


def remove_old(folder: int, kept: str) -> None:
    """Remove entries beyond the limits, longest unused first, and what dead processes left.

    Args:
        folder: descriptor of the cache's folder.
        kept: stem of the entry that the caller works on.

    Raises:
        OSError: the folder cannot be read, or a file cannot be removed.
    """
    sizes: dict[str, int] = {}
    used: dict[str, float] = {}
    with os.scandir(folder) as files:
        for file in files:
            ours = _OURS.fullmatch(file.name)
            if ours is None:
                continue  # somebody else's file: never touched
            with contextlib.suppress(FileNotFoundError):
                status = file.stat(follow_symlinks=False)
                sizes[ours[1]] = sizes.get(ours[1], 0) + status.st_size
                if file.name.endswith(ENTRY):
                    used[ours[1]] = status.st_mtime
    # Those without an entry come first: 0 is longer ago than any use.
    oldest = sorted(sizes.keys() - {kept}, key=lambda stem: used.get(stem, 0))
    total, count = sum(sizes.values()), len(used)
    for stem in oldest:
        if stem in used and total <= MOST_BYTES and count <= MOST_ENTRIES:
            break
        # What another process holds is being built or loaded.
        with contextlib.suppress(TimeoutError), locked(folder, stem, 0):
            for ending in (ENTRY, PARTIAL, LOCK):
                remove(folder, stem + ending)
            total -= sizes[stem]
            count -= stem in used
