"""Work in a process of its own, which prints what it does, and ends with whoever started it.

What a compiler needs, hundreds of megabytes of it, goes when that process ends; and where it
crashes, it takes no node with it.
"""

from collections.abc import Callable, Iterator
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from demt_perception.child import python_command
from demt_perception.inference.cache import cache_folder
from demt_perception.inference.engines import BusyError, EngineError

FAILED, BUSY, LONGEST = 3, 4, 2000
"""Exit codes of work that says why it failed, for good and for now; characters of what it says."""

RESULT = 'result: '
"""Begin of the line that holds what the work returned, as JSON."""

SILENCE, EVERY = 1800.0, 0.5
"""Seconds without a word after which it hangs: onnxruntime's TensorRT builds for 20 minutes and
says nothing. And between two looks whether the work is still wanted."""

REMEDY = 'use another engine or precision, or try `demt build`'

BEGIN = """
import runpy, signal; signal.signal(signal.SIGINT, signal.SIG_IGN)
runpy.run_module({!a}, run_name='__main__', alter_sys=True)
"""
"""What the other process does first. Ctrl-C in a terminal is its parent's, which ends it."""

Say = Callable[[str], None]


def cache_is_on() -> bool:
    """Tell whether what another process builds can come here."""
    try:
        return cache_folder() is not None
    except OSError:   # nobody knows where the user's home is
        return False


def run_apart(module: str, order: dict[str, Any], progress: Say,
              wanted: Callable[[], bool] = lambda: True, remedy: str = REMEDY) -> Any:
    """Have a module, which calls ``serve``, do what is ordered; return what came of it.

    Args:
        module: its name.
        order: what JSON can hold; paths become text.
        progress: called with each line that it prints.
        wanted: asked now and then; where it returns False, the work is ended.
        remedy: what to say where the process crashes or hangs.

    Raises:
        BusyError: it might work at another time.
        EngineError: it failed, crashed, hung, or was not wanted any more.
    """
    last, result = 'nothing', None
    with _started(module, json.dumps(order, default=str)) as process:
        try:
            for line in _lines(process, wanted):
                if line.startswith(RESULT):
                    result = json.loads(line[len(RESULT):])
                    continue
                last = line.strip()
                progress(last)
        except BaseException as error:
            process.kill()   # leaving the block waits for its end
            if isinstance(error, TimeoutError):
                raise EngineError(f'the process that builds the engine was ended: {error}, last '
                                  f'heard: {last}; {remedy}') from error
            raise
        code = process.wait()
    if code in (FAILED, BUSY):
        raise (BusyError if code == BUSY else EngineError)(last[:LONGEST])
    if code:
        how = f'by signal {signal.Signals(-code).name}' if code < 0 else f'with exit code {code}'
        raise EngineError(f'the process that builds the engine was ended {how}, last heard: '
                          f'{last}; {remedy}')
    return result


def serve(work: Callable[[dict[str, Any], Say], Any]) -> None:
    """Do in this process what ``run_apart`` ordered, and end it."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    code = FAILED
    try:
        result = work(json.loads(sys.argv[1]), lambda line: print(line, flush=True))
        print(RESULT + json.dumps(result), flush=True)
        code = 0
    except BaseException as error:
        code = BUSY if isinstance(error, BusyError) else FAILED
        print(' '.join(str(error).split()) or type(error).__name__, flush=True)
    finally:   # also where nobody listens; not by way of libraries that are being taken apart
        os._exit(code)


def _started(module: str, text: str) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(python_command('-c', BEGIN.format(module), text),
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    except OSError as error:   # too little memory, too many processes
        raise BusyError(f'no process can be started to build the engine ({error}): close what '
                        'else runs, and try again') from error


def _lines(process: subprocess.Popen[bytes], wanted: Callable[[], bool]) -> Iterator[str]:
    """Yield what a process prints until it ends.

    Raises:
        TimeoutError: it hangs, or is not wanted any more.
    """
    assert process.stdout is not None
    descriptor, rest, heard = process.stdout.fileno(), b'', time.monotonic()
    ready = select.poll()
    ready.register(descriptor, select.POLLIN)
    while wanted():
        if ready.poll(1000 * EVERY):
            more, heard = os.read(descriptor, 1 << 16), time.monotonic()
            if not more and rest:
                yield rest.decode(errors='replace')
            if not more:
                return
            *lines, rest = (rest + more).split(b'\n')
            yield from (line.decode(errors='replace') for line in lines)
        elif time.monotonic() - heard > SILENCE:
            raise TimeoutError(f'it has said nothing for {SILENCE:g} s')
    raise TimeoutError('nobody wants it any more')


def _end_with_parent() -> None:
    """End at once when the process at the other end of stdin has ended, however it did.

    Read without Python's buffer, whose lock would crash the interpreter where that ends first.
    """
    while os.read(0, 1 << 16):
        pass
    os._exit(1)
