"""Files and folders that are written after the work: tried before it, which may take hours."""

import os
from pathlib import Path


class OutputError(ValueError):
    """Something cannot be written where it is wanted; the text says why and what to do."""


def check_file(option: str, path: str | Path | None, makes_folder: bool = False) -> None:
    """Refuse a file that cannot be written.

    Args:
        option: that named it, for the message.
        path: of the file; None or '' for none.
        makes_folder: whether the folder is made where there is none.

    Raises:
        OutputError: it cannot.
    """
    if not path:
        return
    path = Path(path)
    if path.is_dir():
        raise OutputError(f'{option} {path} is a folder: want the name of a file in it')
    if makes_folder:
        check_folder(option, path.parent)
    elif not path.parent.is_dir():
        raise OutputError(f'{option} {path}: there is no folder {path.parent}: make it, or give '
                          'another name')
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        raise OutputError(f'{option} {path} may not be written: give another name')


def check_folder(option: str, path: Path | None) -> None:
    """Refuse a folder in which nothing can be written, nor be made.

    Args:
        option: that named it, for the message.
        path: of the folder; None for none.

    Raises:
        OutputError: it cannot.
    """
    if path is None:
        return
    nearest = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not nearest.is_dir():
        raise OutputError(f'{option} {path}: {nearest} is no folder: give another one')
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise OutputError(f'{option} {path}: {nearest} may not be written to: give another one')
