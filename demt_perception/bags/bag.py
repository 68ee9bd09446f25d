"""A bag: a rosbag2 folder, or one storage file, read message by message."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
import tempfile

from demt_perception.bags.compression import decompress_file, message_decompressor
from demt_perception.bags.mcap_storage import McapStorage
from demt_perception.bags.metadata import Metadata, METADATA_FILE, read_metadata
from demt_perception.bags.records import BagError, IncompleteBagError, Message, Topic
from demt_perception.bags.sqlite3_storage import Sqlite3Storage

STORAGE_SUFFIXES = ('.mcap', '.db3')


class Bag:
    """An open bag; use it in a ``with`` block.

    Attributes:
        path: what was opened.
        topics: topics by name, in the order of the storage.
    """

    def __init__(self, path: Path, metadata: Metadata) -> None:
        """Open all storage files; `open_bag` is the usual way here."""
        self.path = path
        self._metadata = metadata
        self._unpacked: tempfile.TemporaryDirectory | None = None
        self._storages: list[McapStorage | Sqlite3Storage] = []
        self._decompress = None
        try:
            if metadata.compression_mode == 'message':
                self._decompress = message_decompressor(path)
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

    def messages(self, names: Iterable[str]) -> Iterator[Message]:
        """Yield the messages of the named topics in recording order.

        Raises:
            BagError: a topic is not in the bag, is not CDR, or a file is damaged.
            IncompleteBagError: after the last message, where metadata.yaml counts more.
        """
        wanted = set(names)
        for name in wanted:
            self._check(name)
        read: Counter[str] = Counter()
        for storage in self._storages:
            for message in storage.messages(wanted & storage.topics.keys()):
                read[message.topic] += 1
                yield (message if self._decompress is None
                       else message._replace(data=self._decompress(message.data)))
        for name in sorted(wanted):
            recorded = self._metadata.counts.get(name)
            if recorded is not None and read[name] != recorded:
                raise IncompleteBagError(
                    f'{self.path}: {read[name]} messages of {name} could be read, metadata.yaml '
                    f'counts {recorded}: the recording is cut off or a storage file is missing; '
                    '`ros2 bag reindex` mends the count')

    def _check(self, name: str) -> None:
        topic = self.topics.get(name)
        if topic is None:
            raise BagError(f'{self.path} has no topic {name}; it has: {sorted(self.topics)}')
        if topic.encoding != 'cdr':
            raise BagError(f'{self.path}: {name} is serialised as {topic.encoding!r}, want cdr '
                           '(a ROS 1 bag must be converted: `rosbags-convert`)')

    def _open_storage(self, file: Path) -> McapStorage | Sqlite3Storage:
        if not file.is_file():
            raise BagError(f'{file} is not there: the bag is incomplete')
        if file.suffix == '.zstd':
            if self._unpacked is None:
                self._unpacked = tempfile.TemporaryDirectory(prefix='demt_bag_')
            file = decompress_file(file, Path(self._unpacked.name))
        if file.suffix == '.mcap':
            return McapStorage(file)
        if file.suffix == '.db3':
            return Sqlite3Storage(file)
        raise BagError(f'{file} is of an unknown kind, want one of {STORAGE_SUFFIXES}')

    def _merge_topics(self) -> dict[str, Topic]:
        topics: dict[str, Topic] = {}
        for storage in self._storages:
            for name, topic in storage.topics.items():
                before = topics.get(name)
                if before is not None:
                    count = (None if before.count is None or topic.count is None
                             else before.count + topic.count)
                    topic = Topic(name, topic.type, count, topic.encoding)
                topics[name] = topic
        return topics


def open_bag(path: str | Path) -> Bag:
    """Open a rosbag2 folder, a folder with storage files, or one ``.mcap`` or ``.db3`` file.

    Raises:
        BagError: there is no bag at the path, or it cannot be read.
    """
    path = Path(path)
    if is_storage_file(path):
        return Bag(path, Metadata((path,), {}, '', ''))
    if (path / METADATA_FILE).is_file():
        return Bag(path, read_metadata(path))
    files = tuple(sorted(file for file in path.glob('*') if is_storage_file(file)))
    if not files:
        raise BagError(f'{path} is not a bag: want a folder with {METADATA_FILE}, or a file that '
                       f'ends in one of {STORAGE_SUFFIXES}')
    return Bag(path, Metadata(files, {}, '', ''))


def is_storage_file(path: Path) -> bool:
    """Tell whether a path is a rosbag2 storage file, by its name."""
    name = path.name.removesuffix('.zstd')
    return path.is_file() and name.endswith(STORAGE_SUFFIXES)
