"""The ``metadata.yaml`` of a rosbag2 folder (versions 1 to 9)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from demt_perception.bags.records import BagError

METADATA_FILE = 'metadata.yaml'
_ROOT = 'rosbag2_bagfile_information'


@dataclass(frozen=True)
class Metadata:
    """What ``metadata.yaml`` says of a bag.

    Attributes:
        files: storage files, in recording order.
        counts: number of messages recorded, by topic name.
        compression: '' or 'zstd'.
        compression_mode: '', 'file' or 'message'.
    """

    files: tuple[Path, ...]
    counts: dict[str, int]
    compression: str
    compression_mode: str


def read_metadata(folder: Path) -> Metadata:
    """Read and check the metadata of a bag folder.

    Raises:
        BagError: the file is missing, is not YAML, or lacks what is needed to read the bag.
    """
    path = folder / METADATA_FILE
    try:
        document = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError) as error:
        raise BagError(f'{path} cannot be read: {error}') from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BagError(f'{path} is not valid YAML; `ros2 bag reindex` writes it anew: '
                       f'{error}') from error
    try:
        return _parse(folder, document[_ROOT])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BagError(f'{path} is not the metadata of a rosbag2 bag ({error!r}); '
                       '`ros2 bag reindex` writes it anew') from error


def _parse(folder: Path, info: Any) -> Metadata:
    counts = {
        str(entry['topic_metadata']['name']): int(entry['message_count'])
        for entry in info.get('topics_with_message_count') or ()
    }
    files = tuple(folder / _inside(name) for name in info['relative_file_paths'])
    compression = str(info.get('compression_format') or '').lower()
    mode = str(info.get('compression_mode') or '').lower()
    if mode in ('', 'none'):
        compression = mode = ''
    if compression not in ('', 'zstd') or mode not in ('', 'file', 'message'):
        raise BagError(
            f'{folder}: compression {compression!r} by {mode!r} is not supported, want zstd by '
            'file or message; `ros2 bag convert` writes the bag uncompressed')
    return Metadata(files, counts, compression, mode)


def _inside(name: Any) -> str:
    """Return a storage file's name. Version 1 bags name it with their folder: that is dropped."""
    if not isinstance(name, str) or not Path(name).name:
        raise ValueError(f'storage file {name!r}')
    return Path(name).name
