"""Starts workers, each a fresh process with an engine cache of its own, and talks to them."""

import contextlib
from dataclasses import asdict
import json
import os
from pathlib import Path
import subprocess
import time
from typing import Any

from demt_perception.bench.results import BenchError, Start
from demt_perception.bench.worker import Job
from demt_perception.child import python_command
from demt_perception.inference.cpu import default_threads

_LOG_TAIL = 5


class Worker:
    """A process that has loaded one combination and waits for commands.

    Attributes:
        start: how long it took to begin.
        used: see ``worker.Runner``.
    """

    def __init__(self, job: Job, cache: Path, log: Path) -> None:
        """Start it, and wait until its first moment is over.

        Args:
            job: what it runs.
            cache: folder for the engines that it builds.
            log: file for what the engine prints.

        Raises:
            BenchError: it cannot run that.
        """
        threads = str(job.combination.threads or default_threads())
        environ = os.environ | {'DEMT_CACHE': str(cache), 'OMP_NUM_THREADS': threads}
        self._log = log
        began = time.monotonic()
        with log.open('ab') as file:
            self._process = subprocess.Popen(
                python_command('-m', 'demt_perception.bench.worker', json.dumps(asdict(job))),
                env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file,
                text=True)
        try:
            answer = self._read()
        except BaseException:
            self.close()
            raise
        self.start = Start(*(answer[name] - began for name in ('imported', 'loaded', 'first')))
        self.used = str(answer['used'])

    def ask(self, **command: Any) -> dict[str, Any]:
        """Give a command and return the answer; see ``worker.obey``.

        Raises:
            BenchError: it failed, or the process ended.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the answer is that it has ended
            print(json.dumps(command), file=self._process.stdin, flush=True)
        return self._read()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            tail = ' | '.join(self._log.read_text(errors='replace').splitlines()[-_LOG_TAIL:])
            raise BenchError(f'the process ended with code {code}: {tail}')
        answer: dict[str, Any] = json.loads(line)
        if 'error' in answer:
            raise BenchError(answer['error'])
        return answer
