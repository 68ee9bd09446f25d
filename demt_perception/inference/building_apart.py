"""Build an engine in a process of its own, and load it from the cache.

What a compiler needs, hundreds of megabytes of it and several engines to compare, goes when that
process ends; and where it crashes, it takes no node with it.
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
from demt_perception.inference.engines import EngineError, NotBuiltError
from demt_perception.inference.engines.building import Build
from demt_perception.inference.predictor import Predictor

FAILED, LONGEST = 3, 2000
"""Exit code of a build that says why it failed, and characters of what it says."""


def load_or_build_apart(progress: Callable[[str], None], **options: Any) -> Predictor:
    """Load from the cache; where it has no engine, build one in another process first.

    Where the cache is off, or cannot keep it, this process builds.

    Args:
        progress: called with a line whenever another step begins.
        options: arguments of ``Predictor`` but ``build``.

    Raises:
        EngineError: the build failed or crashed.
        ModelCardError, ValueError: see ``Predictor``.
    """
    try:
        return Predictor(**options, build=Build(only_cached=True))
    except NotBuiltError:
        if _cache_is_on():
            _build_apart(progress, options)
    return Predictor(**options, build=Build(progress=progress))


def _cache_is_on() -> bool:
    try:
        return cache_folder() is not None
    except OSError:   # nobody knows where the user's home is
        return False


def _build_apart(progress: Callable[[str], None], options: dict[str, Any]) -> None:
    text = json.dumps(options, default=str)
    with subprocess.Popen([sys.executable, '-m', __name__, text], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True, errors='replace') as process:
        last = ''
        assert process.stdout is not None
        for line in process.stdout:
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


def _end_with_parent() -> None:
    """End at once when the process at the other end of stdin has ended, however it did."""
    sys.stdin.buffer.read()
    os._exit(1)


def main(text: str) -> int:
    """Build what the JSON text asks for; print a line a step, or why it failed."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        Predictor(**json.loads(text), build=Build(
            progress=lambda line: print(line, flush=True))).close()
    except Exception as error:
        print(' '.join(str(error).split()), flush=True)
        return FAILED
    return 0


if __name__ == '__main__':
    os._exit(main(sys.argv[1]))   # not by way of libraries that are being taken apart
