"""Data files of the package, installed by ament or pip or in the source tree."""

import os
from pathlib import Path
import sys

SHARE = Path('share', 'demt_perception')


def share_folders(name: str) -> list[Path]:
    """Return where a folder of the package's files may be, ``models`` or ``config``.

    The source tree comes first: whoever runs from it means its files, not those of an older
    installation. Then what ament or pip installed.
    """
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    return [
        Path(__file__).resolve().parents[1] / name,
        *(Path(prefix) / SHARE / name for prefix in prefixes if prefix),
        Path(sys.prefix) / SHARE / name,
    ]


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
