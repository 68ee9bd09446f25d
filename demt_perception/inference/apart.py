"""Work in a process of its own, which prints what it does, and ends with whoever started it.

What a compiler needs, hundreds of megabytes of it, goes when that process ends; and where it
crashes, it takes no node with it.
"""

from collections.abc import Callable
import json
import os
import signal
import subprocess
import sys
import threading
from typing import Any

from demt_perception.inference.cache import cache_folder
from demt_perception.inference.engines import EngineError

FAILED, LONGEST = 3, 2000
"""Exit code of work that says why it failed, and characters of what it says."""

RESULT = 'result: '
"""Begin of the line that holds what the work returned, as JSON."""

Say = Callable[[str], None]


def cache_is_on() -> bool:
    """Tell whether what another process builds can come here."""
    try:
        return cache_folder() is not None
    except OSError:   # nobody knows where the user's home is
        return False


def run_apart(module: str, order: dict[str, Any], progress: Say) -> Any:
    """Have a module, which calls ``serve``, do what is ordered; return what came of it.

    Args:
        module: its name.
        order: what JSON can hold; paths become text.
        progress: called with each line that it prints.

    Raises:
        EngineError: it failed or crashed.
    """
    text = json.dumps(order, default=str)
    last, result = '', None
    with subprocess.Popen([sys.executable, '-m', module, text], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True, errors='replace') as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(RESULT):
                result = json.loads(line[len(RESULT):])
                continue
            last = line.strip()
            progress(last)
        code = process.wait()
    if code == FAILED:
        raise EngineError(last[:LONGEST])
    if code:
        how = f'by signal {signal.Signals(-code).name}' if code < 0 else f'with exit code {code}'
        raise EngineError(
            f'the process that builds the engine was ended {how}, last heard: {last or "nothing"};'
            ' use another engine or precision, or try `demt build`')
    return result


def serve(work: Callable[[dict[str, Any], Say], Any]) -> None:
    """Do in this process what ``run_apart`` ordered, and end it."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    code = 0
    try:
        result = work(json.loads(sys.argv[1]), lambda line: print(line, flush=True))
        print(RESULT + json.dumps(result), flush=True)
    except Exception as error:
        print(' '.join(str(error).split()), flush=True)
        code = FAILED
    os._exit(code)   # not by way of libraries that are being taken apart


def _end_with_parent() -> None:
    """End at once when the process at the other end of stdin has ended, however it did."""
    sys.stdin.buffer.read()
    os._exit(1)
