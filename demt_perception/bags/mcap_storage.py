"""The MCAP storage of rosbag2 (``.mcap``), read with the package ``mcap``.

Files whose recording was cut off have no index at their end: those are read from front to back
as far as they go.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from importlib.util import find_spec
import io
from pathlib import Path
from typing import Any

from demt_perception.bags import mcap_records as mcap
from demt_perception.bags.allowance import Allowance
from demt_perception.bags.records import (
    BagError,
    is_latched,
    is_of_machine,
    Message,
    ReadingError,
    Topic,
)

_QOS = 'offered_qos_profiles'


class McapStorage:
    """One open ``.mcap`` file, read-only."""

    def __init__(self, path: Path, original: Path | None = None) -> None:
        """Open the file.

        Args:
            path: to read.
            original: what errors name, where that is another.

        Raises:
            BagError: the file's index is damaged.
            ReadingError: the package ``mcap`` is missing.
            OSError, MemoryError, ImportError: it could not be read.
        """
        self._path = original or path
        if find_spec('mcap') is None:
            raise ReadingError(
                f'{self._path}: reading MCAP needs a package: pip install mcap zstandard')
        self._file = path.open('rb')
        try:
            self._index = self._read_index()
            self._chunks = self._index.get(mcap.CHUNK_INDEX, [])
            self._guard(lambda: mcap.check_index(self._chunks))
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
        # Without chunks (rosbag2's preset fastwrite) there is an index of topics alone.
        has_no_chunks = any(one.chunk_count == 0 for one in self._index.get(mcap.STATISTICS, ()))
        if self._chunks or (has_no_chunks and mcap.CHANNEL in self._index):
            return self._topics_of_index()
        return self._topics_by_reading()

    def messages(self, names: set[str]) -> Iterator[Message]:
        """Yield the messages of the named topics, by recording time.

        A file without an index is yielded in file order.

        Raises:
            BagError: a record is damaged; what came before it has been yielded.
            OSError, MemoryError, ImportError: it could not be read any further.
        """
        self._guard(lambda: self._file.seek(0))
        rows = self._by_time(names) if self._chunks else self._as_written(names)
        while True:
            row = self._guard(lambda: next(rows, None))
            if row is None:
                return
            yield row

    def _by_time(self, names: set[str]) -> Iterator[Message]:
        wanted = {channel.id: channel.topic for channel in self._index.get(mcap.CHANNEL, ())
                  if channel.topic in names}
        for message in mcap.in_order(self._file, self._chunks, set(wanted),
                                     self._allowance()):
            yield Message(wanted[message.channel_id], message.log_time, message.data)

    def _as_written(self, names: set[str]) -> Iterator[Message]:
        topics: dict[int, str] = {}
        for kind, body in self._records():
            if kind == mcap.CHANNEL:
                channel = mcap.parse(kind, body)
                topics[channel.id] = channel.topic
            elif kind == mcap.MESSAGE:
                topic = topics[int.from_bytes(body[:2], 'little')]
                if topic in names:
                    message = mcap.parse(kind, body)
                    yield Message(topic, message.log_time, message.data)

    def _records(self) -> Iterator[tuple[int, bytes]]:
        """Yield all records from the start of the file, those within chunks one by one."""
        self._file.seek(0)
        allowance = self._allowance()
        for kind, body in mcap.read_records(self._file, checked=True):
            if kind == mcap.CHUNK:
                chunk = mcap.unpack(mcap.parse(kind, body))
                allowance.take(len(chunk))
                yield from mcap.read_records(io.BytesIO(chunk))
            else:
                yield kind, body

    def _allowance(self) -> Allowance:
        return Allowance(self._path, 'mcap decompress')

    def _topics_of_index(self) -> dict[str, Topic]:
        counts: Counter[str] = Counter()   # a topic has a channel for each of its publishers
        schemas = {schema.id: schema.name for schema in self._index.get(mcap.SCHEMA, ())}
        statistics = self._index.get(mcap.STATISTICS, ())
        channels = {channel.id: channel for channel in self._index.get(mcap.CHANNEL, ())}
        for channel in channels.values():
            for one in statistics[-1:]:
                counts[channel.topic] += one.channel_message_counts.get(channel.id, 0)
        return {
            channel.topic: Topic(
                channel.topic, schemas.get(channel.schema_id, ''),
                counts[channel.topic] if statistics else None,
                channel.message_encoding, is_latched(channel.metadata.get(_QOS)))
            for channel in channels.values()
        }

    def _read_index(self) -> dict[int, list[Any]]:
        try:
            found: dict[int, list[Any]] = self._guard(self._summary)
        except BagError:
            return {}
        return found

    def _summary(self) -> dict[int, list[Any]]:
        """Return what lies between data and footer, by kind."""
        found: dict[int, list[Any]] = {}
        self._file.seek(-mcap.FOOTER_BYTES, io.SEEK_END)
        kind, body = next(mcap.read_records(self._file))
        if kind != mcap.FOOTER:
            raise ValueError('it has no footer')
        start = mcap.parse(kind, body).summary_start
        if start:
            self._file.seek(start)
            for kind, body in mcap.read_records(self._file):
                if kind in (mcap.SCHEMA, mcap.CHANNEL, mcap.CHUNK_INDEX, mcap.STATISTICS):
                    found.setdefault(kind, []).append(mcap.parse(kind, body))
        return found

    def _topics_by_reading(self) -> dict[str, Topic]:
        """List the topics of a file without an index; damage ends the list, not the reading."""
        records = self._records()
        schemas: dict[int, str] = {}
        topics: dict[str, Topic] = {}
        while True:
            try:
                kind, record = self._guard(lambda: _parsed(next(records, (0, b''))))
            except BagError:
                if not topics:
                    raise
                return topics
            if not kind:
                return topics
            if kind == mcap.SCHEMA:
                schemas[record.id] = record.name
            elif kind == mcap.CHANNEL:
                topics[record.topic] = Topic(
                    record.topic, schemas.get(record.schema_id, ''), None,
                    record.message_encoding, is_latched(record.metadata.get(_QOS)))

    def _guard(self, call: Callable[[], Any]) -> Any:
        """Call into the MCAP parser, which answers damage with many kinds of exception."""
        try:
            return call()
        except Exception as error:
            if isinstance(error, BagError) or is_of_machine(error):
                raise
            raise BagError(
                f'{self._path} is damaged or not MCAP ({type(error).__name__}: {error}); '
                '`mcap recover` saves what is readable') from error


def _parsed(record: tuple[int, bytes]) -> tuple[int, Any]:
    """Return kind and content, parsed where it belongs to a topic."""
    kind, body = record
    return kind, mcap.parse(kind, body) if kind in (mcap.SCHEMA, mcap.CHANNEL) else None
