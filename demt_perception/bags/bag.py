"""A bag: a rosbag2 folder, or one storage file or ROS 1 bag, read message by message."""

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
import re
import tempfile
from typing import Any
import zlib

from demt_perception.bags.compression import (
    decompress_file,
    message_decompressor,
    message_decompressor_if_needed,
)
from demt_perception.bags.mcap_storage import McapStorage
from demt_perception.bags.metadata import Metadata, METADATA_FILE, read_metadata
from demt_perception.bags.records import (
    BagError,
    IncompleteBagError,
    Message,
    ReadingError,
    Topic,
)
from demt_perception.bags.ros1_storage import Ros1Storage
from demt_perception.bags.sqlite3_storage import Sqlite3Storage

STORAGE_SUFFIXES = ('.mcap', '.db3', '.bag')

_END = 65536

Storage = McapStorage | Sqlite3Storage | Ros1Storage


class Bag:
    """An open bag; use it in a ``with`` block.

    Attributes:
        path: what was opened.
        topics: topics by name, in the order of the storage.
        fingerprints: of the storage files: size in bytes, and checksum of both ends.
    """

    def __init__(self, path: Path, metadata: Metadata) -> None:
        """Open all storage files; `open_bag` is the usual way here."""
        self.path = path
        self.fingerprints: list[list[int]] = []
        self._metadata = metadata
        self._unpacked: tempfile.TemporaryDirectory | None = None
        self._storages: list[Storage] = []
        self._decompress = None
        try:
            if metadata.compression_mode == 'message':
                self._decompress = message_decompressor(path)
            elif metadata.compression_mode == 'unknown':
                self._decompress = message_decompressor_if_needed(path)
            with _machine_errors(path):
                for file in metadata.files:
                    self._storages.append(self._open_storage(file))
        except BaseException:
            self.close()
            raise
        self.topics = self._merge_topics()

    def __enter__(self) -> 'Bag':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files and remove what was unpacked."""
        for storage in self._storages:
            storage.close()
        if self._unpacked is not None:
            self._unpacked.cleanup()
            self._unpacked = None

    def messages(self, names: Iterable[str]) -> Generator[Message, None, None]:
        """Yield the messages of the named topics in recording order.

        Raises:
            BagError: a topic is not in the bag, is not CDR, or a file is damaged.
            ReadingError: it could not be read, which is not the bag's fault.
            IncompleteBagError: after the last message, where metadata.yaml counts more.
        """
        wanted = set(names)
        for name in wanted:
            self._check(name)
        read: Counter[str] = Counter()
        with _machine_errors(self.path):
            for storage in self._storages:
                for message in storage.messages(wanted & storage.topics.keys()):
                    read[message.topic] += 1
                    yield (message if self._decompress is None
                           else message._replace(data=self._decompress(message.data)))
        for name in sorted(wanted):
            listed = self._metadata.topics.get(name)
            if listed is not None and read[name] != listed.count:
                raise IncompleteBagError(
                    f'{self.path}: {read[name]} messages of {name} could be read, metadata.yaml '
                    f'counts {listed.count}: the recording is cut off or a file is missing; '
                    '`ros2 bag reindex` mends the count')

    def _check(self, name: str) -> None:
        topic = self.topics.get(name)
        if topic is None:
            raise BagError(f'{self.path} has no topic {name}; it has: {sorted(self.topics)}')
        if topic.encoding != 'cdr':
            raise BagError(f'{self.path}: {name} is serialised as {topic.encoding!r}, want cdr '
                           f'(of ROS 1, types that ROS 2 has too, alike; {topic.type} is none)')

    def _open_storage(self, file: Path) -> Storage:
        if not file.is_file():
            raise BagError(f'{file} is not there: the bag is incomplete')
        self.fingerprints.append(_fingerprint(file))
        if file.suffix == '.zstd':
            if self._unpacked is None:
                self._unpacked = tempfile.TemporaryDirectory(prefix='demt_bag_')
            file = decompress_file(file, Path(self._unpacked.name))
        if file.suffix == '.mcap':
            return McapStorage(file)
        if file.suffix == '.db3':
            return Sqlite3Storage(file)
        if file.suffix == '.bag':
            return Ros1Storage(file)
        raise BagError(f'{file} is of an unknown kind, want one of {STORAGE_SUFFIXES}')

    def _merge_topics(self) -> dict[str, Topic]:
        topics: dict[str, Topic] = {}
        for storage in self._storages:
            for name, topic in storage.topics.items():
                before = topics.get(name)
                if before is not None:
                    count = (None if before.count is None or topic.count is None
                             else before.count + topic.count)
                    topic = replace(topic, count=count)
                topics[name] = topic
        return topics


def open_bag(path: str | Path) -> Bag:
    """Open a rosbag2 folder, a folder with storage files, or one of those or a ROS 1 ``.bag``.

    Raises:
        BagError: there is no bag at the path, or it cannot be read.
        ReadingError: the latter, and that is not the bag's fault.
    """
    path = Path(path)
    if is_storage_file(path):
        return Bag(path, Metadata((path,), {}, '', 'unknown'))
    if (path / METADATA_FILE).is_file():
        return Bag(path, read_metadata(path))
    files = tuple(sorted((file for file in path.glob('*') if is_storage_file(file)),
                         key=natural_order))
    if not files:
        raise BagError(f'{path} is not a bag: want a folder with {METADATA_FILE}, or a file that '
                       f'ends in one of {STORAGE_SUFFIXES}')
    return Bag(path, Metadata(files, {}, '', 'unknown'))


def listed_topics(path: str | Path) -> Mapping[str, Topic]:
    """Return the topics of a bag, by its ``metadata.yaml`` where that names them.

    So reading them needs no package for the storage: launch files run in ROS's own Python, which
    may not have that of MCAP.

    Raises:
        BagError: there is no bag at the path, or it cannot be read.
    """
    path = Path(path)
    if (path / METADATA_FILE).is_file() and (topics := read_metadata(path).topics):
        return topics
    with open_bag(path) as bag:
        return bag.topics


def holds_bag(folder: Path) -> bool:
    """Tell whether a folder is a bag, or has files of one."""
    return (folder / METADATA_FILE).exists() or any(map(is_storage_file, folder.glob('*')))


def natural_order(path: Path) -> list[Any]:
    """Sort key by which ``drive_10`` follows ``drive_9``."""
    return [(0, int(part), '') if part.isdecimal() else (1, 0, part)
            for part in re.split(r'(\d+)', path.name)]


def is_storage_file(path: Path) -> bool:
    """Tell whether a path is a storage file, by its name."""
    name = path.name.removesuffix('.zstd')
    return path.is_file() and name.endswith(STORAGE_SUFFIXES)


@contextmanager
def _machine_errors(path: Path) -> Iterator[None]:
    """Say in one line what of the machine kept a bag from being read, and what to do."""
    try:
        yield
    except OSError as error:
        raise ReadingError(f'{path} cannot be read: {error}; when the disk or the connection '
                           'works again, give the same command once more') from error
    except MemoryError as error:
        raise ReadingError(f'{path} cannot be read: there is not enough memory; end other '
                           'programs and give the same command once more') from error
    except ImportError as error:
        package = (error.name or '').partition('.')[0]
        raise ReadingError(f'{path} cannot be read: {error}'
                           + f'; pip install {package}' * bool(package)) from error


def _fingerprint(file: Path) -> list[int]:
    """Return what tells recordings of equal length apart: a header or footer has its times."""
    size = file.stat().st_size
    with open(file, 'rb') as opened:
        check = zlib.crc32(opened.read(_END))
        opened.seek(max(0, size - _END))
        return [size, zlib.crc32(opened.read(_END), check)]
