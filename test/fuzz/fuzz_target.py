"""What a fuzz target is."""

from collections.abc import Callable
from pathlib import Path
import tempfile
from typing import NamedTuple


class Target(NamedTuple):
    """One parser under test.

    Attributes:
        run: takes any bytes; whatever it raises is a finding, so the parser's documented errors
            are caught in it.
        seeds: returns inputs to begin with, made of small real files.
        longest: bytes that an input may have.
    """

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    longest: int = 4096


def scratch_folder() -> Path:
    """Return a new folder for the files of a target; $TMPDIR says where, best in memory."""
    return Path(tempfile.mkdtemp(prefix='demt_fuzz_'))
