"""The cache's folder, and who may have written what is in it.

What lies there is run as machine code. So nothing is taken from a folder or file that another
user could have changed: each is opened without following a link, and the open file is asked for
its owner and mode, so that it cannot be exchanged in between.
"""

from collections.abc import Iterator
import contextlib
import os
from pathlib import Path
import stat

ENVIRONMENT = 'DEMT_CACHE'
OFF = 'off'


def cache_folder() -> Path | None:
    """Return the folder for engines; None where ``$DEMT_CACHE`` is ``off``, or not on Unix.

    That is ``$DEMT_CACHE``, else ``demt_perception/engines`` in ``$XDG_CACHE_HOME`` or
    ``~/.cache`` (https://specifications.freedesktop.org/basedir-spec).

    Raises:
        OSError: the user has no home.
    """
    own = os.environ.get(ENVIRONMENT, '')
    if own.lower() == OFF or os.name != 'posix':
        return None
    try:
        if own:
            return Path(own).expanduser().absolute()
        base = Path(os.environ.get('XDG_CACHE_HOME', ''))
        if not base.is_absolute():  # the specification: a relative one is to be ignored
            base = Path.home() / '.cache'
    except RuntimeError as error:
        raise OSError(f'{error}; set {ENVIRONMENT} to a folder of your own') from error
    return base / 'demt_perception' / 'engines'


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[int]:
    """Create and open the cache's folder; yield its file descriptor.

    Raises:
        OSError: it cannot be made or opened, or others could write into it.
    """
    if not os.path.isdir(folder):
        os.makedirs(folder.parent, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # by a node that started with this one
            os.mkdir(folder, 0o700)
    if os.path.islink(folder):
        raise OSError(f'{folder} is a link, want a folder: set {ENVIRONMENT} to where it points')
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        check_safe(descriptor, str(folder))
        yield descriptor
    finally:
        os.close(descriptor)


def check_safe(descriptor: int, what: str) -> os.stat_result:
    """Return the status of an open file or folder that only this user and root may change.

    Raises:
        PermissionError: others may, too.
    """
    status = os.fstat(descriptor)
    user = os.geteuid()
    if status.st_uid not in (user, 0):
        raise PermissionError(
            f'{what} belongs to user {status.st_uid}, want {user}: set {ENVIRONMENT} to a folder '
            'of your own')
    writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if writable:
        raise PermissionError(
            f'other users may write to {what} (mode {stat.S_IMODE(status.st_mode):04o}), want '
            f'none: chmod go-w {what}')
    return status
