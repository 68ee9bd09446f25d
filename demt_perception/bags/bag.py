"""A bag: a rosbag2 folder, or one storage file or ROS 1 bag, read message by message."""

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
import re
from typing import Any
import zlib

from demt_perception.bags.allowance import Allowance
from demt_perception.bags.compression import (
    check_package,
    message_decompressor,
    message_decompressor_if_needed,
)
from demt_perception.bags.metadata import Metadata, METADATA_FILE, read_metadata
from demt_perception.bags.records import (
    BagError,
    IncompleteBagError,
    machine_errors,
    Message,
    ReadingError,
    Topic,
)
from demt_perception.bags.storage import open_storage, PACKED, Storage, STORAGE_SUFFIXES

_END = 65536


class Bag:
    """An open bag; use it in a ``with`` block.

    Attributes:
        path: what was opened.
        topics: topics by name, in the order of the storage.
        fingerprints: of the storage files: size in bytes, and checksum of both ends.
    """

    def __init__(self, path: Path, metadata: Metadata) -> None:
        """List the topics of all storage files; `open_bag` is the usual way here."""
        self.path = path
        self.fingerprints: list[list[int]] = []
        self._metadata = metadata
        self._files: list[Path] = []
        self._kept: dict[Path, Storage] = {}   # one at most
        self._closed = False
        self._damage: BagError | None = None
        self._decompress = None
        try:
            if metadata.compression_mode == 'message':
                self._decompress = message_decompressor(path)
            elif metadata.compression_mode == 'unknown':
                self._decompress = message_decompressor_if_needed(path)
            with machine_errors(path):
                self.topics = self._list_files()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> 'Bag':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open."""
        self._closed = True
        self._drop()

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
        with machine_errors(self.path):
            for file in self._files:
                with self._lend(file) as storage:
                    allowance = Allowance(file, 'ros2 bag convert')
                    for message in storage.messages(wanted):
                        read[message.topic] += 1
                        if self._decompress is not None:
                            message = message._replace(data=self._decompress(message.data))
                            allowance.take(len(message.data))
                        yield message
        if self._damage is not None:
            raise self._damage.with_traceback(None)
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

    def _list_files(self) -> Mapping[str, Topic]:
        """Look into the files one after another, and return the topics.

        Damage of the first is raised. That of another, often the last of a recording that was
        interrupted, is kept until its turn comes to be read.
        """
        self.fingerprints = [_fingerprint(file) for file in self._metadata.files if file.is_file()]
        told = self._metadata.topics
        listed: list[Mapping[str, Topic]] = []
        for file in self._metadata.files:
            try:
                if not file.is_file():
                    raise BagError(f'{file} is not there: the bag is incomplete')
                if self._is_listed(file):
                    with self._lend(file) as storage:
                        listed.append(storage.list_topics(counted=not told))
            except ReadingError:
                raise
            except BagError as error:
                if not self._files:
                    raise
                self._damage = error
                break
            self._files.append(file)
        whole = len(listed) == len(self._files)
        if told and not whole:
            return told
        topics = _merge(listed, whole)
        if self._damage is None:   # else fewer can be read than metadata.yaml counts
            topics |= {name: replace(topic, count=told[name].count)
                       for name, topic in topics.items() if topic.count is None and name in told}
        return topics

    def _is_listed(self, file: Path) -> bool:
        """Tell whether to open a file for its topics: to unpack all would take long, and the disk.

        Of packed files the first tells them, and the last those that were added meanwhile.
        """
        if file.suffix != PACKED:
            return True
        check_package(file)
        files = self._metadata.files
        return not self._metadata.topics and file in (files[0], files[-1])

    @contextmanager
    def _lend(self, file: Path) -> Iterator[Storage]:
        """Open a file, which stays open until another is: a bag may have thousands."""
        storage = self._kept.pop(file, None)
        if storage is None:
            self._drop()
            storage = open_storage(file)
        try:
            yield storage
        finally:
            self._drop()
            self._kept[file] = storage
            if self._closed:   # the bag, while somebody had not read to the end
                self._drop()

    def _drop(self) -> None:
        while self._kept:
            self._kept.popitem()[1].close()


def _merge(listed: Iterable[Mapping[str, Topic]], whole: bool) -> dict[str, Topic]:
    """Return the topics of all files; ``whole`` is whether their counts are those of the bag."""
    topics: dict[str, Topic] = {}
    for some in listed:
        for name, topic in some.items():
            before = topics[name].count if name in topics else 0
            known = whole and before is not None and topic.count is not None
            topics[name] = replace(
                topic, count=(before or 0) + (topic.count or 0) if known else None)
    return topics


def open_bag(path: str | Path) -> Bag:
    """Open a rosbag2 folder, a folder with storage files, or one of those or a ROS 1 ``.bag``.

    Raises:
        BagError: there is no bag at the path, or it cannot be read.
        ReadingError: the latter, and that is not the bag's fault.
    """
    path = Path(path)
    with machine_errors(path):
        return Bag(path, _find(path))


def _find(path: Path) -> Metadata:
    """Return what there is at a path; raises OSError, too, where one may not look."""
    if is_storage_file(path):
        return Metadata((path,), {}, '', 'unknown')
    if (path / METADATA_FILE).is_file():
        return read_metadata(path)
    files = tuple(sorted((file for file in path.glob('*') if is_storage_file(file)),
                         key=natural_order))
    # Unpacked by hand, or by a recorder that was killed while it packed.
    files = tuple(file for file in files
                  if file.suffix != PACKED or file.with_suffix('') not in files)
    if not files:
        raise BagError(f'{path} is not a bag: want a folder with {METADATA_FILE}, or a file that '
                       f'ends in one of {STORAGE_SUFFIXES}')
    return Metadata(files, {}, '', 'unknown')


def listed_topics(path: str | Path) -> Mapping[str, Topic]:
    """Return the topics of a bag, by its ``metadata.yaml`` where that names them.

    So reading them needs no package for the storage: launch files run in ROS's own Python, which
    may not have that of MCAP.

    Raises:
        BagError: there is no bag at the path, or it cannot be read.
    """
    path = Path(path)
    with machine_errors(path):
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


def _fingerprint(file: Path) -> list[int]:
    """Return what tells recordings of equal length apart: a header or footer has its times."""
    size = file.stat().st_size
    with open(file, 'rb') as opened:
        check = zlib.crc32(opened.read(_END))
        opened.seek(max(0, size - _END))
        return [size, zlib.crc32(opened.read(_END), check)]
