"""One run folder, one run: a second start in the same folder is refused, not mixed in."""

import os
from pathlib import Path
import socket
from typing import TextIO

try:
    import fcntl
except ImportError:  # not on Unix, where nothing is claimed
    fcntl = None  # type: ignore[assignment]

from demt_perception.training.failures import TrainingError

LOCK = 'run.lock'


def claim(out: Path) -> TextIO:
    """Return an open file whose lock says that the run folder is taken; closing it gives it back.

    The lock is the kernel's: it ends with the process, however that ends.

    Raises:
        TrainingError: another process has the folder.
        OSError: the folder cannot be written.
    """
    file = (out / LOCK).open('a+', encoding='utf-8')
    try:
        if fcntl is not None:
            # Not flock: the data workers would inherit it, and outlive a killed run by seconds.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        file.seek(0)
        owner = file.read().strip() or 'another process'
        file.close()
        raise TrainingError(f'{out} is being trained in by {owner}: wait for it or stop it, or '
                            'set another out') from None
    file.truncate(0)
    file.write(f'process {os.getpid()} on {socket.gethostname()}\n')
    file.flush()
    return file
