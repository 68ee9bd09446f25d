"""Starts processes, watches them, reads what they report and ends them."""

from collections.abc import Mapping, Sequence
import contextlib
import json
import os
from pathlib import Path
import selectors
import signal
import subprocess
import time
from typing import Any, IO

from demt_perception.inference.memory import resident_mb
from demt_perception.ros.domains import unused_domain
from demt_perception.ros.transport import PROFILE, transport_environment
from demt_perception.share import share_file

_PATIENCE = 5.0
_LOG_TAIL = 30


class ProcessError(Exception):
    """A process ended or gave nothing; the text says why, with the end of the log that tells."""


class Process:
    """A child process whose messages go to a log file."""

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str],
                 log: Path, stdout: int | None = None,
                 stdin: int = subprocess.DEVNULL) -> None:
        """Start it. Its own session keeps a Ctrl-C for us: we end it in order."""
        self.name = name
        self._log = log
        with log.open('wb') as file:
            self._process = subprocess.Popen(
                command, env=dict(environ), stdin=stdin, stdout=stdout or file,
                stderr=file, start_new_session=True)
        self.pid = self._process.pid
        self.started = time.time()

    @property
    def stdout(self) -> IO[bytes]:
        """The pipe, where ``stdout`` asked for one."""
        assert self._process.stdout is not None
        return self._process.stdout

    def command(self, **values: Any) -> None:
        """Write a JSON object to its input, where ``stdin`` asked for a pipe."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `check` tells that it has ended, and why
            self._process.stdin.write(json.dumps(values).encode() + b'\n')
            self._process.stdin.flush()

    def check(self) -> None:
        """Raise ProcessError if the process has ended."""
        code = self._process.poll()
        if code is not None:
            raise ProcessError(f'the {self.name} ended with code {code}\n{self.log_tail()}')

    def log_tail(self) -> str:
        """Return the end of the log, headed by its name."""
        lines = self._log.read_text(errors='replace').splitlines()[-_LOG_TAIL:]
        return '\n'.join([f'--- {self._log} ---', *lines])

    def memory_mb(self) -> tuple[float, float]:
        """Return resident memory now and at its peak, MB; zeros once the process is gone."""
        return resident_mb(self.pid)

    def cpu_seconds(self) -> float:
        """Return the processor time used so far; 0 once the process is gone."""
        try:
            # The name, in brackets, may hold anything; user and system time follow 11 fields on.
            fields = Path(f'/proc/{self.pid}/stat').read_text().rpartition(')')[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
        except OSError:
            return 0.0

    def has_mapped(self, library: str) -> bool:
        """Tell whether a shared library of that name is loaded."""
        try:
            return library in Path(f'/proc/{self.pid}/maps').read_text()
        except OSError:
            return False

    def stop(self) -> None:
        """Let the process end: close its input, where it has one, interrupt it, kill it.

        Each where the one before was of no use in time.
        """
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            self._has_ended()
        if self._process.poll() is None:
            self._signal(signal.SIGINT)
            if not self._has_ended():
                self._signal(signal.SIGKILL)
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _has_ended(self) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE)
        return self._process.poll() is not None

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


class Lines:
    """Reports of a process, a JSON object a line, read without blocking for longer than asked."""

    def __init__(self, process: Process) -> None:
        """Read what the process writes to its pipe."""
        self.ended = False
        self._pipe = process.stdout
        os.set_blocking(self._pipe.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pipe, selectors.EVENT_READ)
        self._rest = b''

    def read(self, timeout: float) -> list[dict[str, Any]]:
        """Return what has come, waiting for so many seconds at most where there is nothing."""
        if not self._selector.select(timeout):
            return []
        data = os.read(self._pipe.fileno(), 1 << 20)
        self.ended = not data
        *lines, self._rest = (self._rest + data).split(b'\n')
        return [json.loads(line) for line in lines if line.startswith(b'{')]


def tell(event: str, **values: Any) -> None:
    """Write one line to the process that started this one, for its ``Lines``."""
    print(json.dumps({'event': event, **values}), flush=True)


def quiet_environment(out: Path) -> dict[str, str]:
    """Return an environment in which our nodes talk to each other and to nobody else."""
    foreign = {'ROS_STATIC_PEERS', 'ROS_DISCOVERY_SERVER'}
    if os.environ.get('ROS_DISTRO') != 'humble':   # which knows no discovery range
        foreign.add('ROS_LOCALHOST_ONLY')
    environ = {name: value for name, value in os.environ.items() if name not in foreign}
    environ |= transport_environment(share_file(PROFILE), environ)
    environ |= {
        'ROS_DOMAIN_ID': str(unused_domain()),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'RMW_IMPLEMENTATION': environ.get('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp'),
        'ROS_LOG_DIR': str((out / 'ros_log').resolve()),
        'RCUTILS_COLORIZED_OUTPUT': '0',
        'PYTHONUNBUFFERED': '1',
    }
    return environ


def parameters(**values: Any) -> list[str]:
    """Return the ROS command line for parameters; empty ones keep their default."""
    arguments = ['--ros-args']
    for name, value in values.items():
        if value:
            # JSON text is YAML text: a source '0' or a path with a colon stays text.
            arguments += ['-p', f'{name}:={json.dumps(value)}']
    return arguments
