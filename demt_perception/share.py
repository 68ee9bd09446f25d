"""Data files of the package, installed by ament or pip or in the source tree."""

from pathlib import Path

from demt_perception.inference.models import share_folders


def share_file(name: str) -> Path:
    """Return a data file such as ``config/fastdds.xml``.

    Raises:
        FileNotFoundError: it is nowhere; the text lists where it was looked for.
    """
    folders = share_folders('')
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f'{name} of demt_perception is in none of {", ".join(map(str, folders))}: the '
        'installation is incomplete, install the package again')
