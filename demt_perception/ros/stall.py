"""Ends a process whose Python stands still, with the stacks of its threads on stderr.

A library that hangs while it holds Python's global lock stops every thread, so that no Python
code can notice. The clock is in C (faulthandler); it is set back as long as the executor turns.
It also runs out where the process was stopped for longer (SIGSTOP), as no code of ours can tell.

faulthandler's own clock waits for a time of day in a Python that was built for a C library
without ``sem_clockwait`` (glibc before 2.30, as portable builds are): a step of the clock, such as
a robot's after its start, would end the node. There the kernel's interval timer, which runs on
steady time, takes its place.
"""

from collections.abc import Iterator
from contextlib import contextmanager
import ctypes
import faulthandler
from functools import cache
import signal
import sysconfig

SECONDS = 30.0
"""After so many without being armed again, the process ends with exit code 1, or SIGALRM's 14."""

STEADY = bool(sysconfig.get_config_var('HAVE_SEM_CLOCKWAIT')) or not hasattr(signal, 'setitimer')
"""Whether faulthandler's clock is not the time of day, or there is no other."""


_set = False


def arm() -> None:
    """Set the clock, or set it back."""
    global _set
    _set = True
    if STEADY:
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        return
    _prepare()
    signal.setitimer(signal.ITIMER_REAL, SECONDS)


@contextmanager
def disarmed() -> Iterator[None]:
    """Stop it for what may take long, such as the building of an engine, where it was set.

    It is set again at once, not at the executor's next turn: a frame may hang before that.
    """
    global _set
    was_set, _set = _set, False
    if was_set:
        _stop()
    try:
        yield
    finally:
        if was_set:
            arm()


def _stop() -> None:
    if STEADY:
        faulthandler.cancel_dump_traceback_later()
    else:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


@cache
def _prepare() -> None:
    """Have SIGALRM print the stacks, then call ``_exit``, whose code is the signal's number.

    Without a handler of its own the signal does not end the first process of a container.
    """
    library = ctypes.CDLL(None)
    library.signal(int(signal.SIGALRM), ctypes.cast(library._exit, ctypes.c_void_p))
    faulthandler.register(signal.SIGALRM, all_threads=True, chain=True)
