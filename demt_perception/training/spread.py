"""One function over many shards of work: in this process, in several, or on a Ray cluster.

What comes back is the same whichever way is taken, but in the order in which shards finish. The
function, the shards and the results must be picklable; files that they name must be reachable
under the same path from every machine.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    as_completed,
    BrokenExecutor,
    Executor,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
import multiprocessing
import os
import socket
from typing import Any, TypeVar

from demt_perception.child import guard_multiprocessing

S = TypeVar('S')
R = TypeVar('R')

# Results are small. Ray would take a third of the machine's memory for them.
_RAY_STORE_BYTES = 128 * 2 ** 20


def spread(function: Callable[[S], R], shards: Iterable[S], processes: int = 1,
           ray: str | None = None, fresh: bool = False) -> Iterator[R]:
    """Yield the function's result for every shard, as they finish.

    Args:
        function: a function of a module, or a `functools.partial` of one.
        shards: its arguments.
        processes: shards worked on at a time; 1 without Ray is this process. On a Ray of this
            machine 1 is as many as it has cores; a cluster decides by itself, a core a shard.
        ray: None; ``local``, a Ray of this machine for the time of the call; or the address of
            a cluster, such as ``auto`` or ``host:6379``.
        fresh: a new process for every shard, where the function leaves memory behind.

    Raises:
        ValueError: processes is less than 1.
        ImportError: Ray is wanted and not installed.
        ConnectionError: there is no cluster at the address.
        ChildProcessError: a process was killed.
        Exception: whatever the function raises; shards that wait are then dropped.
    """
    if processes < 1:
        raise ValueError(f'processes {processes}: want 1 or more')
    shards = list(shards)
    if ray is not None:
        yield from _on_ray(function, shards, processes, ray, fresh)
    elif fresh:
        with ThreadPoolExecutor(processes) as threads:
            yield from _results(threads, _in_new_process, [(function, s) for s in shards])
    elif processes == 1:
        yield from map(function, shards)
    else:
        with ProcessPoolExecutor(processes, _context()) as pool:
            yield from _results(pool, function, shards)


def _results(executor: Executor, function: Callable[[Any], R],
             shards: list[Any]) -> Iterator[R]:
    futures = [executor.submit(function, shard) for shard in shards]
    try:
        for future in as_completed(futures):
            yield future.result()
    except BrokenExecutor as error:
        raise ChildProcessError('a process ended without a result, perhaps killed for want of '
                                'memory: use fewer processes') from error
    finally:
        for future in futures:
            future.cancel()


def _in_new_process(call: tuple[Callable[[S], R], S]) -> R:
    function, shard = call
    with ProcessPoolExecutor(1, _context()) as pool:
        return pool.submit(function, shard).result()


def _context() -> multiprocessing.context.SpawnContext:
    guard_multiprocessing()
    # Forked threads of OpenCV, torch and inference engines hang.
    return multiprocessing.get_context('spawn')


def _on_ray(function: Callable[[S], R], shards: list[S], processes: int, address: str,
            fresh: bool) -> Iterator[R]:
    ray = _import_ray()
    mine = not ray.is_initialized()
    if mine:
        _start(ray, address, processes)
    try:
        run = ray.remote(num_cpus=1, max_calls=int(fresh))(_call)
        shipped = ray.put(function)
        waiting = [run.remote(shipped, shard) for shard in shards]
        while waiting:
            done, waiting = ray.wait(waiting)
            try:
                yield from ray.get(done)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
    finally:
        if mine:
            ray.shutdown()


def _call(function: Callable[[S], R], shard: S) -> R:
    return function(shard)


def _import_ray() -> Any:
    # Read when it is imported and by the processes that it starts: it must not call home.
    os.environ['RAY_USAGE_STATS_ENABLED'] = '0'
    try:
        import ray
    except ImportError as error:
        raise ImportError('Ray is not installed: pip install ray, or use --processes on this '
                          'machine') from error
    return ray


def _start(ray: Any, address: str, processes: int) -> None:
    options: dict[str, Any] = {'log_to_driver': False, 'logging_level': 'ERROR'}
    if address == 'local':
        options.update(num_cpus=None if processes == 1 else processes, include_dashboard=False,
                       object_store_memory=_RAY_STORE_BYTES)
    try:
        host, _, port = address.rpartition(':')
        if host and port.isdecimal() and '/' not in host:
            # Ray itself tries for minutes, then ends the process.
            socket.create_connection((host, int(port)), 10).close()
        ray.init(address=address, **options)
    except (OSError, RuntimeError, ValueError) as error:
        raise ConnectionError(
            f'Ray at {address!r} does not answer ({error}): start a cluster with `ray start '
            '--head` and give its address, or `local` for a Ray of this machine') from error
