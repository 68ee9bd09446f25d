"""Writes an MCAP file piece by piece, so that it can be gone on with after a kill.

::

    header, settings, schemas, channels, then of each piece: chunk, message indexes, state

A piece counts when its state, a Metadata record, is whole: whatever follows the last of those is
cut off before more is appended. The same pieces give the same bytes, however often the writing was
interrupted. Readers of MCAP skip the states.
"""

from collections.abc import Iterable, Sequence
import fcntl
import io
import json
import os
from pathlib import Path
import struct
from typing import Any, BinaryIO
import zlib

from demt_perception.bags.pieces import Piece
from demt_perception.bags.records import BagError, Channel, is_of_machine

SETTINGS, STATE = 'demt_bag', 'demt_bag_state'
_MAGIC = b'\x89MCAP0\r\n'


class PieceWriter:
    """An open file that grows by pieces; only one process at a time may have it open.

    Attributes:
        state: as it was given with the last piece; empty at the beginning.
        counts: messages by channel number, from 1.
        begin: time of the earliest message in nanoseconds; None before the first.
        end: of the latest.
    """

    def __init__(self, path: Path, settings: dict[str, Any], channels: Sequence[Channel]) -> None:
        """Begin a file, or go on with one of the same settings and channels.

        Raises:
            BagError: the package ``mcap`` is missing, another process writes the file, or it was
                begun with other settings.
        """
        try:
            from mcap import records
            from mcap.data_stream import RecordBuilder
        except ImportError as error:
            raise BagError('writing MCAP needs a package: pip install mcap zstandard lz4'
                           ) from error
        self._records, self._builder = records, RecordBuilder
        self._path = path
        self.state: dict[str, Any] = {}
        self.counts = dict.fromkeys(range(1, len(channels) + 1), 0)
        self.begin: int | None = None
        self.end: int | None = None
        # As bytes: as objects they would take seven times the memory, for each frame of a bag.
        self._chunks: list[bytes] = []
        kinds = dict.fromkeys((channel.kind, channel.schema) for channel in channels)
        numbers = {kind: number for number, (kind, _) in enumerate(kinds, 1)}
        self._schemas = [
            records.Schema(data=text.encode(), encoding='ros2msg', id=numbers[kind], name=kind)
            for kind, text in kinds]
        self._channels = [
            records.Channel(id=number, topic=channel.topic, message_encoding='cdr',
                            metadata={'offered_qos_profiles': channel.qos},
                            schema_id=numbers[channel.kind])
            for number, channel in enumerate(channels, 1)]
        self._settings = records.Metadata(name=SETTINGS, metadata={'settings': _text(settings)})
        self._file: BinaryIO = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), 'r+b', 0)
        try:
            self._take()
        except BaseException:
            self._file.close()
            raise

    def append(self, piece: Piece, state: dict[str, Any]) -> None:
        """Write a piece, and how far its reader is then."""
        size = sum(len(part) for part in piece.data)
        name = piece.compression.encode()
        head = struct.pack('<BQQQQII', 6, 40 + len(name) + size, piece.begin, piece.end,
                           piece.size, piece.crc, len(name)) + name + struct.pack('<Q', size)
        place = self._file.tell()
        indexes = [self._record(self._records.MessageIndex(channel, rows))
                   for channel, rows in piece.indexes.items()]
        _write(self._file, [head, *piece.data, *indexes, self._state_record(state)])
        self._note(place, len(head) + size, piece, size,
                   [(channel, len(rows), len(record)) for (channel, rows), record in zip(
                       piece.indexes.items(), indexes, strict=True)])
        self.state = state
        # Written out now and not kept in memory: new pages for each piece take longer to find than
        # to fill, and a long bag would push all else out.
        os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def finish(self, state: dict[str, Any]) -> None:
        """Write the last state and the index of the file, and close it."""
        records = self._records
        _write(self._file, [self._state_record(state), self._record(records.DataEnd(0))])
        start = self._file.tell()
        statistics = records.Statistics(
            attachment_count=0, channel_count=len(self._channels),
            channel_message_counts=self.counts, chunk_count=len(self._chunks),
            message_count=sum(self.counts.values()), message_end_time=self.end or 0,
            message_start_time=self.begin or 0, metadata_count=len(self._chunks) + 2,
            schema_count=len(self._schemas))
        summary = b''.join((*map(self._record, (
            *self._schemas, *self._channels, statistics)), *self._chunks))
        footer = struct.pack('<BQQQ', 2, 20, start, 0)
        crc = struct.pack('<I', zlib.crc32(footer, zlib.crc32(summary)))
        _write(self._file, [summary, footer, crc, _MAGIC])
        os.fsync(self._file.fileno())
        self.close()

    def close(self) -> None:
        """Close the file as it is."""
        self._file.close()

    def _take(self) -> None:
        """Lock the file; write its beginning, or find the end of its last whole piece."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BagError(f'{self._path} is being written by another process: wait for it, or '
                           'give another output') from error
        beginning = _MAGIC + b''.join(map(self._record, (
            self._records.Header('ros2', 'demt_perception'), self._settings, *self._schemas,
            *self._channels)))
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        there = self._file.read(len(beginning))
        start = beginning.index(own := self._record(self._settings))
        if there == beginning:
            end = self._find_end(len(beginning), size)
        elif size <= len(beginning) and (
                there[:start + len(own)] == beginning[:len(there)][:start + len(own)]):
            end = len(beginning)   # nothing, or killed before the first piece
            self._file.seek(0)
            _write(self._file, [beginning])
        else:
            raise BagError(f'{self._path} was begun by another version, model or bag, or with '
                           'other options: give those again, another output, or delete it')
        self._file.truncate(end)
        self._file.seek(end)

    def _find_end(self, at: int, size: int) -> int:
        """Take over whole pieces, and return where the last of them ends."""
        end = at
        piece: list[Any] = []
        while at + 9 <= size:
            self._file.seek(at)
            operation, length = struct.unpack('<BQ', self._file.read(9))
            if at + 9 + length > size:
                break
            body = self._file.read(min(length, 64) if operation == 6 else length)
            try:
                if operation == 6:
                    piece = [at, 9 + length, body, []]
                elif operation == 7:
                    channel, rows = struct.unpack_from('<HI', body)
                    piece[3].append((channel, rows // 16, 9 + length))
                elif operation == 12:
                    state = _metadata(body, STATE)
                    self._take_over(*piece)
                    self.state, end, piece = state, at + 9 + length, []
                else:
                    break
            except Exception:   # what a dying machine has left
                break
            at += 9 + length
        return end

    def _take_over(self, place: int, length: int, head: bytes,
                   indexes: list[tuple[int, int, int]]) -> None:
        begin, end, size, crc, name = struct.unpack_from('<QQQII', head)
        compression = head[32:32 + name].decode()
        self._note(place, length, Piece(begin, end, size, crc, (), compression, {}),
                   length - 49 - name, indexes)

    def _note(self, place: int, length: int, piece: Piece, size: int,
              indexes: list[tuple[int, int, int]]) -> None:
        offsets = {}
        at = place + length
        for channel, count, bytes_ in indexes:
            offsets[channel] = at
            at += bytes_
            self.counts[channel] += count
        self._chunks.append(self._record(self._records.ChunkIndex(
            chunk_length=length, chunk_start_offset=place, compression=piece.compression,
            compressed_size=size, message_end_time=piece.end,
            message_index_length=at - place - length, message_index_offsets=offsets,
            message_start_time=piece.begin, uncompressed_size=piece.size)))
        self.begin = piece.begin if self.begin is None else min(self.begin, piece.begin)
        self.end = piece.end if self.end is None else max(self.end, piece.end)

    def _state_record(self, state: dict[str, Any]) -> bytes:
        return self._record(self._records.Metadata(name=STATE, metadata={'state': _text(state)}))

    def _record(self, record: Any) -> bytes:
        builder = self._builder()
        record.write(builder)
        return bytes(builder.end())


def read_result(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return settings and last state of a file that ``PieceWriter`` has finished.

    Raises:
        BagError: it is none.
        OSError: it cannot be read.
    """
    found: dict[str, dict[str, Any]] = {}
    try:
        with path.open('rb') as file:
            at = len(_MAGIC)
            while (head := file.seek(at) and file.read(9)) and head[0] != 15:   # DataEnd
                length = struct.unpack('<Q', head[1:])[0]
                if head[0] == 12:
                    body = file.read(length)
                    name = SETTINGS if SETTINGS not in found else STATE
                    found[name] = _metadata(body, name)
                at += 9 + length
        return found[SETTINGS], found[STATE]
    except Exception as error:  # the parser answers damage with many kinds
        if isinstance(error, OSError) and is_of_machine(error):
            raise
        raise BagError(f'{path} was not written by `demt bag`, or is damaged '
                       f'({type(error).__name__}): give another output') from error


def _metadata(body: bytes, name: str) -> dict[str, Any]:
    """Return what a Metadata record of this name holds."""
    from mcap.data_stream import ReadDataStream
    from mcap.records import Metadata
    record = Metadata.read(ReadDataStream(io.BytesIO(body)))
    if record.name != name:
        raise ValueError(f'{record.name!r}, want {name!r}')
    (text,) = record.metadata.values()
    value: dict[str, Any] = json.loads(text)
    return value


def _write(file: BinaryIO, parts: Iterable[Any]) -> None:
    """Write all parts, without joining the large ones; unbuffered."""
    for part in parts:
        view = memoryview(part).cast('B') if len(part) else memoryview(b'')
        while view:
            view = view[file.write(view):]


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True)
