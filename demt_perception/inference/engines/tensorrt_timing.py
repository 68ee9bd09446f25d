"""What builds learn about the speed of kernels, kept beside the engines.

A second build on the same GPU, at another size or precision, is several times as fast with it.
"""

import contextlib
from dataclasses import replace

from demt_perception.inference.cache import EngineKey
from demt_perception.inference.cache.entry import DamagedError, read_entry, write_entry
from demt_perception.inference.cache.folder import cache_folder, opened
from demt_perception.inference.cache.lock import locked

PATIENCE = 5.0
"""Seconds to wait for another process that writes it: it is worth no more."""


def known_timing(key: EngineKey) -> bytes:
    """Return what builds of this version on this GPU have learned; b'' where nothing is kept."""
    with contextlib.suppress(OSError, DamagedError):
        path = cache_folder()
        if path is not None:
            with opened(path) as folder:
                return read_entry(folder, _shared(key))
    return b''


def keep_timing(key: EngineKey, learned: bytes) -> None:
    """Keep it for the next build; where that fails, that one only takes longer."""
    with contextlib.suppress(OSError):
        path = cache_folder()
        if path is None or not learned:
            return
        shared = _shared(key)
        with opened(path) as folder, locked(folder, shared.stem(), PATIENCE, None):
            write_entry(folder, shared, learned)


def _shared(key: EngineKey) -> EngineKey:
    """Return the key of what all graphs, shapes and precisions on a GPU have in common."""
    return replace(key, graph_sha256='timings', precision='', shape=(), options={})
