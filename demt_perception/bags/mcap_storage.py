"""The MCAP storage of rosbag2 (``.mcap``), read with the package ``mcap``.

Files whose recording was cut off have no index at their end: those are read from front to back
as far as they go.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from demt_perception.bags.records import BagError, Message, Topic

# No honest record is larger; a damaged length field must not ask for all memory.
_RECORD_LIMIT = 1 << 30


class McapStorage:
    """One open ``.mcap`` file, read-only."""

    def __init__(self, path: Path) -> None:
        """Open the file and list its topics.

        Raises:
            BagError: the package ``mcap`` is missing, or the file is not MCAP.
        """
        try:
            from mcap.reader import SeekingReader
        except ImportError as error:
            raise BagError(
                f'{path}: reading MCAP needs a package: pip install mcap zstandard') from error
        self._path = path
        self._file = path.open('rb')
        self._indexed = True
        try:
            reader = self._guard(lambda: SeekingReader(
                self._file, validate_crcs=True, record_size_limit=_RECORD_LIMIT))
            self.topics = self._topics_of_index(reader)
        except BagError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def messages(self, names: set[str]) -> Iterator[Message]:
        """Yield the messages of the named topics, by recording time.

        A file without an index is yielded in file order.

        Raises:
            BagError: a record is damaged; what came before it has been yielded.
        """
        from mcap.reader import NonSeekingReader, SeekingReader
        self._guard(lambda: self._file.seek(0))
        if self._indexed:
            reader: Any = SeekingReader(
                self._file, validate_crcs=True, record_size_limit=_RECORD_LIMIT)
        else:
            reader = NonSeekingReader(
                self._file, validate_crcs=True, record_size_limit=_RECORD_LIMIT)
        rows = reader.iter_messages(topics=sorted(names), log_time_order=self._indexed)
        while True:
            row = self._guard(lambda: next(rows, None))
            if row is None:
                return
            _, channel, message = row
            yield Message(channel.topic, message.log_time, message.data)

    def _topics_of_index(self, reader: Any) -> dict[str, Topic]:
        try:
            summary = self._guard(reader.get_summary)
        except BagError:
            summary = None
        if summary is None or not summary.chunk_indexes:
            self._indexed = False
            return self._topics_by_reading()
        statistics = summary.statistics
        return {
            channel.topic: Topic(
                channel.topic,
                summary.schemas[channel.schema_id].name
                if channel.schema_id in summary.schemas else '',
                statistics.channel_message_counts.get(channel.id, 0) if statistics else None,
                channel.message_encoding)
            for channel in summary.channels.values()
        }

    def _topics_by_reading(self) -> dict[str, Topic]:
        """List the topics of a file without an index; damage ends the list, not the reading."""
        from mcap.records import Channel, Schema
        from mcap.stream_reader import StreamReader
        self._file.seek(0)
        records = self._guard(lambda: StreamReader(
            self._file, record_size_limit=_RECORD_LIMIT)).records
        schemas: dict[int, str] = {}
        topics: dict[str, Topic] = {}
        while True:
            try:
                record = self._guard(lambda: next(records, None))
            except BagError:
                if not topics:
                    raise
                return topics
            if record is None:
                return topics
            if isinstance(record, Schema):
                schemas[record.id] = record.name
            elif isinstance(record, Channel):
                topics[record.topic] = Topic(
                    record.topic, schemas.get(record.schema_id, ''), None,
                    record.message_encoding)

    def _guard(self, call: Callable[[], Any]) -> Any:
        """Call into the MCAP parser, which answers damage with many kinds of exception."""
        try:
            return call()
        except Exception as error:
            raise BagError(
                f'{self._path} is damaged or not MCAP ({type(error).__name__}: {error}); '
                '`mcap recover` saves what is readable') from error
