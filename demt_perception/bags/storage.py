"""One storage file of a bag, of whichever kind."""

from pathlib import Path

from demt_perception.bags.compression import unpacked
from demt_perception.bags.mcap_storage import McapStorage
from demt_perception.bags.records import BagError
from demt_perception.bags.ros1_storage import Ros1Storage
from demt_perception.bags.sqlite3_storage import Sqlite3Storage

Storage = McapStorage | Sqlite3Storage | Ros1Storage

_KINDS: dict[str, type[Storage]] = {
    '.mcap': McapStorage, '.db3': Sqlite3Storage, '.bag': Ros1Storage,
    # So rosbag of ROS 1 calls what it is recording, or has when it was killed.
    '.bag.active': Ros1Storage}
STORAGE_SUFFIXES = tuple(_KINDS)

PACKED = '.zstd'


def open_storage(file: Path) -> Storage:
    """Open a storage file, unpacked where rosbag2 has compressed it as a whole.

    Raises:
        BagError: it is damaged or of an unknown kind.
        OSError, MemoryError, ImportError: it could not be read.
    """
    name = file.name.removesuffix(PACKED)
    kind = next((_KINDS[suffix] for suffix in _KINDS if name.endswith(suffix)), None)
    if kind is None:
        raise BagError(f'{file} is of an unknown kind, want one of {STORAGE_SUFFIXES}')
    if file.suffix != PACKED:
        return kind(file)
    # What is open can be read without a name, too: so nothing stays, however the process ends.
    with unpacked(file) as plain:
        return kind(plain, file)
