"""Ends a process on SIGINT or SIGTERM from ordinary code, whenever the signal comes.

With rclpy's handlers a signal shuts ROS down under threads that publish, and Python's raise
KeyboardInterrupt wherever the main thread happens to be: in an import or a ``__del__``, where it
is swallowed, or in the clean-up itself. A signal that comes just before ``spin`` begins to wait
is missed by both, and the process stays. Here a handler only notes the signal; no exception
comes out of nowhere, and nothing is missed. (But for the first 0.1 s of the process, which are
Python's own: a SIGINT may get lost there, a SIGTERM does not.)

    reasons = note_signals()       # first of all, before imports that take long
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    ...
    reason, ended = spin_until(node, reasons)
"""

from collections.abc import Callable
import contextlib
import os
from queue import Empty, SimpleQueue
import signal
import sys
import threading
from typing import Any

HUNG = 75
"""Exit code where something hangs that only another process can do better (EX_TEMPFAIL)."""

GLANCE = 0.5
"""Seconds between two looks for a signal that did not wake the main thread."""

PATIENCE = 2.0
"""Seconds that threads have to end, before the process ends without them."""


def note_signals() -> 'SimpleQueue[Any]':
    """Return the queue that gets the number of every SIGINT and SIGTERM from now on.

    A SimpleQueue, as its ``put`` may interrupt its ``get``; an Event would lock itself out.
    """
    reasons: SimpleQueue[Any] = SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda seen, _: reasons.put(seen))
    return reasons


def spin_until(node: Any, reasons: 'SimpleQueue[Any]',
               outlive: Callable[[Exception], bool] = lambda error: False) -> tuple[Any, bool]:
    """Spin in a thread until there is a reason to end; return it, and whether the thread ended.

    It did not where a callback is in a call that takes long: see ``end_at_once``.

    Args:
        node: of a context that was initialised without rclpy's signal handlers.
        reasons: see ``note_signals``; other threads may put other reasons, e.g. an exception.
        outlive: tells, in the thread that spins, whether to go on after an error of a callback;
            else that is the reason.
    """
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)

    def spin() -> None:
        while True:
            try:
                executor.spin()
                return reasons.put(None)
            except ExternalShutdownException:
                return reasons.put(None)
            except Exception as error:
                if not outlive(error) or not let_go(node):
                    return reasons.put(error)

    spinner = threading.Thread(target=spin, name='spin', daemon=True)
    spinner.start()
    reason = _wait(reasons)
    executor.shutdown(PATIENCE)
    spinner.join(PATIENCE)
    return reason, not spinner.is_alive()


def let_go(node: Any) -> bool:
    """Give back what rclpy keeps where it fails to take a message, before any callback.

    It goes on to mark the one that it was taken for as at work, and so its group as busy, for
    ever. To be called where no callback runs. The names are those of Humble to Kilted (9.1).

    Returns:
        Whether that is sure: where a later rclpy has other names nobody would notice that a
        subscription hears no more, and the process is better ended and started anew.
    """
    known = False
    for kind in ('subscriptions', 'timers', 'services', 'clients', 'guards', 'waitables'):
        for entity in getattr(node, kind, ()):
            known |= hasattr(entity, '_executor_event')
            if getattr(entity, '_executor_event', False):
                entity._executor_event = False
                # Group None, or another one at work in it.
                with contextlib.suppress(AttributeError, AssertionError):
                    entity.callback_group.ending_execution(entity)
    return known


def _wait(reasons: 'SimpleQueue[Any]') -> Any:
    """Return the first reason.

    Looking again and again: a signal may reach another thread of the process, which notes it for
    Python without waking this one; seen about once in 30 SIGINTs on a machine with too much to do.
    """
    while True:
        with contextlib.suppress(Empty):
            return reasons.get(timeout=GLANCE)


def end_at_once(code: int) -> None:
    """End the process without its clean-up, as a thread is in a call that may never return."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
