"""What ``demt doctor`` finds, and how it tries things out."""

from collections.abc import Mapping
from dataclasses import dataclass
import enum
from importlib import metadata
import re
import signal
import subprocess

from demt_perception.child import python_command

NO_ANSWER = 'no answer within'
"""Begins what ``try_python`` says where it has waited long enough."""


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
    option: str, what: str, *arguments: str, timeout: float = 120,
    environment: Mapping[str, str] | None = None,
) -> tuple[bool, str]:
    """Run this Python, see ``python_command``; return (good, output or why not).

    In a process of its own, so that a library that crashes on import is a finding as well.
    """
    try:
        done = subprocess.run(
            python_command(option, what, *arguments), capture_output=True, text=True,
            timeout=timeout, env=environment, check=False)
    except subprocess.TimeoutExpired:
        return False, f'{NO_ANSWER} {timeout:g} s'
    if done.returncode == 0:
        return True, done.stdout.strip()
    if done.returncode < 0:
        return False, f'crashed ({signal.Signals(-done.returncode).name})'
    lines = done.stderr.strip().splitlines() or ['failed without a word']
    # NumPy says this in the middle of a page.
    clash = [line for line in lines if line.startswith('A module that was compiled using NumPy')]
    return False, (clash or lines)[-1]


def numpy_remedy(text: str) -> str:
    """Return what to do where an error says that a library was built for another NumPy, or ''."""
    if not re.search(r'compiled using NumPy 1|numpy[._]core\.multiarray|_ARRAY_API|'
                     r'compiled against.*(ABI|API) version', text):
        return ''
    version = metadata.version('numpy')
    if int(version.partition('.')[0]) >= 2:
        return (f"it was built for NumPy 1, this is NumPy {version}: pip install 'numpy<2', or "
                'a newer build of it')
    return f"it was built for NumPy 2, this is NumPy {version}: pip install 'numpy>=2'"
