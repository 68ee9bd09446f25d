"""ROS 1 bags (``.bag``, format 2.0), read from front to back; messages come as CDR of ROS 2.

A recording that was cut off has no index, so none is needed: only the list of topics comes faster
where it is there. Format: http://wiki.ros.org/Bags/Format/2.0
"""

import bz2
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
import io
from pathlib import Path
import struct
from typing import BinaryIO, NamedTuple

from demt_perception.bags.allowance import Allowance
from demt_perception.bags.records import BagError, is_of_machine, Message, MOST_BYTES, Topic
from demt_perception.bags.ros_types import is_alike, ros2_types

MAGIC = b'#ROSBAG V2.0\n'
MESSAGE, BAG_HEADER, CHUNK, CHUNK_INFO, CONNECTION = 2, 3, 5, 6, 7


class _Record(NamedTuple):
    operation: int
    header: dict[str, bytes]
    data: bytes
    whole: bool


class Ros1Storage:
    """One open ``.bag`` file, read-only."""

    def __init__(self, path: Path, original: Path | None = None) -> None:
        """Open the file.

        Args:
            path: to read.
            original: what errors name, where that is another.

        Raises:
            BagError: it is no ROS 1 bag, or the package ``rosbags`` is missing.
        """
        self._path = original or path
        self._types = ros2_types()
        self._file = path.open('rb')
        self._connections: dict[int, Topic] = {}
        try:
            if self._file.read(len(MAGIC)) != MAGIC:
                raise BagError(f'{self._path} does not begin with {MAGIC!r}: it is no ROS 1 '
                               'bag of format 2.0')
            self._indexed = self._topics_of_index()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def list_topics(self, counted: bool) -> dict[str, Topic]:
        """Return the topics by name; where there is no index, the file is read for them.

        Args:
            counted: as of ``Sqlite3Storage``; what the index has of counts is always told.
        """
        return self._indexed or self._topics_by_reading()

    def messages(self, names: set[str]) -> Iterator[Message]:
        """Yield the messages of the named topics in the order of the file, that of recording.

        Raises:
            BagError: a record is damaged; what came before it has been yielded.
        """
        self._file.seek(len(MAGIC))
        for record in self._records():
            if record.operation != MESSAGE:
                continue
            try:
                topic = self._connections[_number(record.header['conn'])]
                if topic.name not in names:
                    continue
                time_ns = _time(record.header['time'])
                data = bytes(self._types.ros1_to_cdr(record.data, topic.type))
            except Exception as error:  # the library answers damage with many kinds
                if is_of_machine(error):
                    raise
                raise BagError(f'{self._path} is damaged: a message cannot be read '
                               f'({type(error).__name__}: {error})') from error
            del record
            yield Message(topic.name, time_ns, data)

    def _topics_of_index(self) -> dict[str, Topic]:
        """Return the topics by the index at the file's end; nothing where there is none."""
        counts: dict[int, int] = {}
        try:
            first = next(self._plain_records(self._file))
            self._file.seek(struct.unpack('<Q', first.header['index_pos'])[0])
            if self._file.tell() <= len(MAGIC):
                return {}
            for record in self._plain_records(self._file):
                if record.operation == CHUNK_INFO:
                    for connection, count in struct.iter_unpack('<II', record.data):
                        counts[connection] = counts.get(connection, 0) + count
        except (BagError, KeyError, ValueError, OSError, struct.error, OverflowError,
                StopIteration):
            return {}
        return self._merge(counts)

    def _topics_by_reading(self) -> dict[str, Topic]:
        """List the topics of a file without an index; damage ends the list, not the reading."""
        self._file.seek(len(MAGIC))
        empty = True
        try:
            for _ in self._records():
                empty = False
        except BagError:
            if not self._connections:
                raise
        if empty:
            raise self._cut_off()
        return self._merge(None)

    def _merge(self, counts: dict[int, int] | None) -> dict[str, Topic]:
        """Return topics by name: each publisher has a connection of its own."""
        topics: dict[str, Topic] = {}
        for number, topic in self._connections.items():
            before = topics.get(topic.name)
            count = None if counts is None else counts.get(number, 0) + (
                before.count or 0 if before else 0)
            topics[topic.name] = replace(topic, count=count)
        return topics

    def _records(self) -> Iterator[_Record]:
        """Yield records, those within chunks one by one; note connections.

        Raises:
            BagError: there is damage; what came before it has been yielded.
        """
        allowance = Allowance(self._path, 'rosbag decompress')
        for record in self._plain_records(self._file):
            if record.operation != CHUNK:
                yield record
                continue
            whole, data = record.whole, self._unpack(record)
            del record   # a chunk can be a gigabyte: packed, it is held no longer
            allowance.take(len(data))
            yield from self._plain_records(io.BytesIO(data))
            if not whole:
                raise self._cut_off()

    def _plain_records(self, file: BinaryIO) -> Iterator[_Record]:
        # No generator: that would hold each record until it is asked for the next.
        return iter(partial(self._next_record, file), None)

    def _next_record(self, file: BinaryIO) -> _Record | None:
        length = file.read(4)
        if not length:
            return None
        header = self._header(self._read(file, length))
        length = file.read(4)
        operation = header.get('op', b'')
        data = self._read(file, length, cut=operation == bytes([CHUNK]))
        if len(operation) != 1:
            raise BagError(f'{self._path} is damaged: a record has the fields '
                           f'{sorted(header)}, want op among them')
        if operation[0] == CONNECTION:
            self._note_connection(header, data)
        return _Record(operation[0], header, data, len(data) == int.from_bytes(length, 'little'))

    def _read(self, file: BinaryIO, length: bytes, cut: bool = False) -> bytes:
        """Return what a length announces; less, where the file ends and ``cut`` allows it."""
        wanted = int.from_bytes(length, 'little')
        if wanted > MOST_BYTES:
            raise BagError(f'{self._path} is damaged: a record claims {wanted} bytes')
        data = file.read(wanted)
        if len(length) < 4 or (len(data) < wanted and not cut):
            raise self._cut_off()
        return data

    def _cut_off(self) -> BagError:
        return BagError(f'{self._path} is damaged: it ends within a record, so the recording was '
                        'cut off; `rosbag reindex` saves what is readable')

    def _header(self, data: bytes) -> dict[str, bytes]:
        fields = {}
        at = 0
        while at < len(data):
            size = int.from_bytes(data[at:at + 4], 'little')
            name, equals, value = data[at + 4:at + 4 + size].partition(b'=')
            if not equals or at + 4 + size > len(data):
                raise BagError(f'{self._path} is damaged: a record has no readable header')
            fields[name.decode('ascii', 'replace')] = value
            at += 4 + size
        return fields

    def _note_connection(self, header: dict[str, bytes], data: bytes) -> None:
        more = self._header(data)
        try:
            number = _number(header['conn'])
            name, kind, md5 = (value.decode() for value in (
                header['topic'], more['type'], more['md5sum']))
            package, _, last = kind.partition('/')
        except (KeyError, ValueError, struct.error) as error:
            raise BagError(f'{self._path} is damaged: a connection lacks {error}') from error
        kind = f'{package}/msg/{last}'
        self._connections[number] = Topic(
            name, kind, None, 'cdr' if is_alike(kind, md5) else 'ros1',
            more.get('latching') == b'1')

    def _unpack(self, record: _Record) -> bytes:
        """Return the records of a chunk; of one that was cut off, as many as are whole."""
        compression = record.header.get('compression', b'')
        if compression == b'none':
            return record.data
        size = min(int.from_bytes(record.header.get('size', b''), 'little'), MOST_BYTES)
        try:
            if compression == b'bz2':
                return bz2.BZ2Decompressor().decompress(record.data, size)
            if compression == b'lz4':
                import lz4.frame  # the package `rosbags` needs it, too
                return bytes(lz4.frame.LZ4FrameDecompressor().decompress(record.data, size))
        except (OSError, EOFError, ValueError, RuntimeError) as error:
            raise BagError(f'{self._path} is damaged: a chunk cannot be decompressed: {error}'
                           ) from error
        raise BagError(f'{self._path}: a chunk is compressed by {compression!r}, want none, bz2 '
                       'or lz4')


def _number(value: bytes) -> int:
    return int(struct.unpack('<I', value)[0])


def _time(value: bytes) -> int:
    seconds, nanoseconds = struct.unpack('<II', value)
    return int(seconds * 1_000_000_000 + nanoseconds)
