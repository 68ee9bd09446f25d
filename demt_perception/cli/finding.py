"""What ``demt doctor`` finds, and how it tries things out."""

from collections.abc import Mapping
from dataclasses import dataclass
import enum
import signal
import subprocess
import sys


class Level(enum.Enum):
    """How much a finding matters."""

    GOOD = 'works'
    NOTE = 'an optional part is missing, or something to know'
    BAD = 'broken'


@dataclass(frozen=True)
class Finding:
    """One line of the report and, where something can be done about it, what."""

    level: Level
    text: str
    remedy: str = ''


def good(text: str) -> Finding:
    """Return a finding that works."""
    return Finding(Level.GOOD, text)


def note(text: str, remedy: str = '') -> Finding:
    """Return a finding worth knowing."""
    return Finding(Level.NOTE, text, remedy)


def bad(text: str, remedy: str) -> Finding:
    """Return a finding that is broken."""
    return Finding(Level.BAD, text, remedy)


def try_python(
    *arguments: str, timeout: float = 120, environment: Mapping[str, str] | None = None,
) -> tuple[bool, str]:
    """Run this Python with arguments, e.g. ``-c``, code; return (good, output or why not).

    In a process of its own, so that a library that crashes on import is a finding as well.
    """
    try:
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, timeout=timeout,
            env=environment, check=False)
    except subprocess.TimeoutExpired:
        return False, f'no answer within {timeout:g} s'
    if done.returncode == 0:
        return True, done.stdout.strip()
    if done.returncode < 0:
        return False, f'crashed ({signal.Signals(-done.returncode).name})'
    return False, (done.stderr.strip().splitlines() or ['failed without a word'])[-1]
