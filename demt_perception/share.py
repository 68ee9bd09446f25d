"""Where the package's data files lie: installed by ament or pip, or in the source tree."""

import os
from pathlib import Path
import sys

_SHARE = Path('share', 'demt_perception')


def share_file(name: str) -> Path:
    """Return a data file such as ``config/fastdds.xml``.

    Raises:
        FileNotFoundError: it is nowhere; the text lists where it was looked for.
    """
    prefixes = [*os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep), sys.prefix]
    # The source tree first: whoever runs from it means its files, not an older installation's.
    folders = [Path(__file__).resolve().parents[1],
               *(Path(prefix) / _SHARE for prefix in prefixes if prefix)]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f'{name} of demt_perception is in none of {", ".join(map(str, folders))}: the '
        'installation is incomplete, install the package again')
