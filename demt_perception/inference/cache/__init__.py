"""Built engines, kept from one start to the next.

Building an engine takes seconds to minutes; its result depends on what ``EngineKey`` lists and is
kept in a folder of the user's (``folder.py``). Whatever is wrong with that folder, or with a file
in it, the engine is built as if there were no cache, and the text says why.
"""

from collections.abc import Callable, Iterator
import contextlib
import os
import time
from typing import TypeVar

from demt_perception.inference.cache.entry import (
    DamagedError,
    ENTRY,
    read_entry,
    remove,
    write_entry,
)
from demt_perception.inference.cache.folder import cache_folder, opened
from demt_perception.inference.cache.key import EngineKey
from demt_perception.inference.cache.limits import remove_old
from demt_perception.inference.cache.lock import locked

__all__ = ['LOADED', 'EngineKey', 'cache_folder', 'cached']

LOADED = 'loaded from the cache'
"""What is said of an engine that was there."""

T = TypeVar('T')

MARK, DEATHS = b'loading', 2
"""What a process that died while it loaded an entry leaves, and how often in a row until the entry
counts as damaged: the first may have been ended from outside, and building takes minutes."""

TIMEOUT = 1800.0
"""Seconds to wait for another process that builds the same: the slowest builds take 20 minutes."""


def cached(
    key: EngineKey, build: Callable[[], T], dump: Callable[[T], bytes],
    load: Callable[[bytes], T], progress: Callable[[str], None] | None = None,
    timeout: float = TIMEOUT, fresh: bool = False,
    passed_on: type[Exception] | tuple[type[Exception], ...] = (),
) -> tuple[T, str]:
    """Return a built engine, from the cache where it is there.

    Of processes that want the same at once, one builds and the others wait for it.

    Args:
        key: all that the engine depends on.
        build: builds the engine; what it raises is passed on.
        dump: returns the bytes to keep; where it raises, nothing is kept.
        load: makes the engine of those bytes, which are verified; where it raises, the entry is
            removed and the engine built.
        progress: called about once a second with a line while another process builds.
        timeout: seconds to wait for it before building without the cache.
        fresh: build anew what is there, and keep that instead.
        passed_on: what ``load`` may raise without the entry being at fault: it stays.

    Returns:
        The engine, and one line: loaded from the cache; or built in how many seconds, and why,
        and why it was not kept.
    """
    with contextlib.ExitStack() as held:
        folder, lock, problem = None, None, 'the cache is off'
        try:
            path = cache_folder()
            if path is not None:
                folder = held.enter_context(opened(path))
                lock = held.enter_context(locked(folder, key.stem(), timeout, progress))
        except OSError as error:  # what is there can still be read without the lock
            problem = str(error)
        why = ''
        if folder is not None and not fresh:
            loaded, why = _load(folder, key, load, lock, passed_on)
            if loaded:
                return loaded[0], LOADED
        start = time.monotonic()
        engine = build()
        text = f'built in {time.monotonic() - start:.1f} s' + why
        if folder is None or lock is None:
            return engine, f'{text}, not kept: {problem}'
        return engine, text + _keep(folder, key, dump, engine)


def _load(
    folder: int, key: EngineKey, load: Callable[[bytes], T], lock: int | None,
    passed_on: type[Exception] | tuple[type[Exception], ...],
) -> tuple[list[T], str]:
    """Return the engine in a list, or an empty one and why what is there was of no use."""
    try:
        if lock is not None and os.fstat(lock).st_size >= DEATHS * len(MARK):
            raise DamagedError(f'{DEATHS} processes in a row died while loading it')
        payload = read_entry(folder, key)
        with _marked(lock):
            return [load(payload)], ''
    except FileNotFoundError:
        return [], ''
    except passed_on:
        raise
    except Exception as error:  # an engine raises whatever it likes
        why = f' as the one in the cache was of no use ({_one_line(error)})'
    with contextlib.suppress(OSError):
        remove(folder, key.stem() + ENTRY)
        if lock is not None:
            os.ftruncate(lock, 0)
    return [], why


@contextlib.contextmanager
def _marked(lock: int | None) -> Iterator[None]:
    """Leave one more mark in the lock file if the process dies meanwhile.

    Where a driver has changed without telling, loading may crash: starts must not repeat that for
    ever.
    """
    if lock is None:
        yield
        return
    with contextlib.suppress(OSError):  # a full disk
        os.pwrite(lock, MARK, os.fstat(lock).st_size)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.ftruncate(lock, 0)


def _keep(folder: int, key: EngineKey, dump: Callable[[T], bytes], engine: T) -> str:
    try:
        write_entry(folder, key, dump(engine))
    except Exception as error:
        return f', not kept: {_one_line(error)}'
    try:
        remove_old(folder, key.stem())
    except OSError as error:
        return f', kept for the next start; old ones stay: {_one_line(error)}'
    return ', kept for the next start'


def _one_line(error: Exception) -> str:
    return ' '.join(f'{error}'.split())[:200] or type(error).__name__
