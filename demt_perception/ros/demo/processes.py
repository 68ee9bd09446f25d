"""Starts the demo's processes, watches them and ends them."""

from collections.abc import Mapping, Sequence
import contextlib
import os
from pathlib import Path
import signal
import subprocess
import time
from typing import IO

_PATIENCE = 5.0
_LOG_TAIL = 30


class DemoError(Exception):
    """The demo cannot go on; the text says why, with the end of the log that tells."""


class Process:
    """A child process whose messages go to a log file."""

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str],
                 log: Path, stdout: int | None = None) -> None:
        """Start it. Its own session keeps a Ctrl-C for us: we end it in order."""
        self.name = name
        self._log = log
        with log.open('wb') as file:
            self._process = subprocess.Popen(
                command, env=dict(environ), stdin=subprocess.DEVNULL, stdout=stdout or file,
                stderr=file, start_new_session=True)
        self.pid = self._process.pid
        self.started = time.time()

    @property
    def stdout(self) -> IO[bytes]:
        """The pipe, where ``stdout`` asked for one."""
        assert self._process.stdout is not None
        return self._process.stdout

    def check(self) -> None:
        """Raise DemoError if the process has ended."""
        code = self._process.poll()
        if code is not None:
            raise DemoError(f'the {self.name} ended with code {code}\n{self.log_tail()}')

    def log_tail(self) -> str:
        """Return the end of the log, headed by its name."""
        lines = self._log.read_text(errors='replace').splitlines()[-_LOG_TAIL:]
        return '\n'.join([f'--- {self._log} ---', *lines])

    def memory_mb(self) -> tuple[float, float]:
        """Return resident memory now and at its peak, MB; zeros once the process is gone."""
        try:
            text = Path(f'/proc/{self.pid}/status').read_text()
            values = dict(line.split(':', 1) for line in text.splitlines())
            now, peak = (int(values[key].split()[0]) / 1024 for key in ('VmRSS', 'VmHWM'))
            return now, peak
        except (OSError, KeyError):
            return 0.0, 0.0

    def has_mapped(self, library: str) -> bool:
        """Tell whether a shared library of that name is loaded."""
        try:
            return library in Path(f'/proc/{self.pid}/maps').read_text()
        except OSError:
            return False

    def stop(self) -> None:
        """Interrupt the process, and kill it if it does not end in time."""
        if self._process.poll() is None:
            self._signal(signal.SIGINT)
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)
