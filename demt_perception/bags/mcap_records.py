"""The records of an MCAP file, read one by one, within limits; the library ``mcap`` parses them.

Not the library's own readers: they unpack a chunk to whatever size its data give, and as often as
an index names it, so that a small file can take all memory.

Source: https://mcap.dev/spec
"""

from collections.abc import Callable, Iterable, Iterator
import heapq
import io
import struct
from typing import Any, BinaryIO
import zlib

from demt_perception.bags.allowance import Allowance
from demt_perception.bags.records import MOST_BYTES

MAGIC = b'\x89MCAP0\r\n'
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, CHUNK_INDEX, STATISTICS, DATA_END = (
    1, 2, 3, 4, 5, 6, 8, 11, 15)
FOOTER_BYTES = 9 + 20 + len(MAGIC)
MOST_HELD = MOST_BYTES
"""Bytes of messages that are held at once to bring them into order."""
_OBJECT = 256   # bytes that a message takes besides its data


def read_records(file: BinaryIO, checked: bool = False) -> Iterator[tuple[int, bytes]]:
    """Yield kind and content of the records from here on, to the footer or the end of the file.

    Args:
        file: at a record; at the start of the file if ``checked``.
        checked: compare with the checksum of the data section, where there is one.

    Raises:
        ValueError: the file is not MCAP, ends within or before a record, or one is too large.
    """
    check = 0
    first = checked
    place = file.tell()
    left = file.seek(0, io.SEEK_END) - place
    file.seek(place)
    if checked:
        left -= len(MAGIC)
        start = file.read(len(MAGIC))
        if start != MAGIC:
            raise ValueError(f'it begins with {start!r}, want {MAGIC!r}')
        check = zlib.crc32(start)
    while head := file.read(9):
        if len(head) < 9:
            raise ValueError('it ends within a record')
        kind, length = struct.unpack('<BQ', head)
        if first and kind != HEADER:
            raise ValueError(f'its first record is of kind {kind}, want a header')
        first = False
        if length > MOST_BYTES:
            raise ValueError(f'a record claims {length} bytes, want at most {MOST_BYTES}')
        left -= 9 + length
        if left < 0:
            raise ValueError(f'it ends within a record of {length} bytes')
        body = file.read(length)
        if kind == DATA_END and checked:
            wanted = int.from_bytes(body[:4], 'little')
            if wanted not in (0, check):
                raise ValueError(f'checksum of its data is {check:#x}, want {wanted:#x}')
        if checked:
            check = zlib.crc32(body, zlib.crc32(head, check))
        yield kind, body
        if kind == FOOTER:
            return
    if first:
        raise ValueError('it ends before its first record')
    if checked:
        raise ValueError('it ends before its footer: the recording was cut off')


def parse(kind: int, body: bytes) -> Any:
    """Return a record of one of the kinds above as the library's class."""
    from mcap import records
    from mcap.data_stream import ReadDataStream
    stream = ReadDataStream(io.BytesIO(body))
    if kind == MESSAGE:
        return records.Message.read(stream, len(body))
    kinds: dict[int, Any] = {
        FOOTER: records.Footer, SCHEMA: records.Schema, CHANNEL: records.Channel,
        CHUNK: records.Chunk, CHUNK_INDEX: records.ChunkIndex, STATISTICS: records.Statistics}
    return kinds[kind].read(stream)


def unpack(chunk: Any) -> bytes:
    """Return the records of a chunk, never more than it says that it holds.

    Raises:
        ValueError: it says too much, or its data are damaged, of another size, or of an unknown
            compression.
        ImportError: the package of the compression is missing.
    """
    size = chunk.uncompressed_size
    if size > MOST_BYTES:
        raise ValueError(f'a chunk claims {size} bytes unpacked, want at most {MOST_BYTES}')
    if chunk.compression not in _UNPACKERS:
        raise ValueError(f'a chunk is compressed by {chunk.compression!r}, want one of '
                         f'{[*_UNPACKERS]}')
    data = _UNPACKERS[chunk.compression](chunk.data, size)
    if len(data) != size:
        raise ValueError(f'a chunk holds other than the {size} bytes that it claims')
    if chunk.uncompressed_crc not in (0, zlib.crc32(data)):
        raise ValueError(f'checksum of a chunk is {zlib.crc32(data):#x}, want '
                         f'{chunk.uncompressed_crc:#x}')
    return data


def _zstd(data: bytes, size: int) -> bytes:
    import zstandard
    # Where the data tell their size, the library makes room for it, whatever limit it is given.
    claimed = zstandard.frame_content_size(data)
    if claimed not in (-1, size):
        raise ValueError(f'the data of a chunk claim {claimed} bytes, the chunk {size}')
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=size) if size else b''


def _lz4(data: bytes, size: int) -> bytes:
    import lz4.frame
    # One byte more, so that data with more than the chunk claims are told.
    return bytes(lz4.frame.LZ4FrameDecompressor().decompress(data, max_length=size + 1))


_UNPACKERS: dict[str, Callable[[bytes, int], bytes]] = {
    '': lambda data, size: data[:size + 1], 'zstd': _zstd, 'lz4': _lz4}


def check_index(indexes: Iterable[Any]) -> None:
    """Refuse an index whose chunks share bytes: reading them would never end.

    Raises:
        ValueError: two chunks overlap.
    """
    end = 0
    for index in sorted(indexes, key=lambda one: one.chunk_start_offset):
        if index.chunk_start_offset < end:
            raise ValueError(f'its index has a chunk at byte {index.chunk_start_offset}, within '
                             f'the one that ends at {end}')
        end = index.chunk_start_offset + max(index.chunk_length, 1)


def in_order(file: BinaryIO, indexes: Iterable[Any], channels: set[int], allowance: Allowance,
             ) -> Iterator[Any]:
    """Yield the messages of some channels by time of recording.

    Only chunks that overlap in time are held together.

    Raises:
        ValueError: a chunk is damaged, or too much overlaps.
        BagError: they unpack to more than is allowed.
    """
    rest = sorted((one for one in indexes if not one.message_index_offsets
                   or channels & one.message_index_offsets.keys()),
                  key=lambda one: (one.message_start_time, one.chunk_start_offset), reverse=True)
    waiting: list[tuple[int, int, int, Any]] = []
    held = 0
    while rest or waiting:
        if rest and (not waiting or rest[-1].message_start_time <= waiting[0][0]):
            offset = rest.pop().chunk_start_offset
            file.seek(offset)
            kind, body = next(read_records(file), (None, b''))
            if kind != CHUNK:
                raise ValueError(f'its index has a chunk at byte {offset}, where there is none')
            data = unpack(parse(kind, body))
            allowance.take(len(data))
            records = read_records(io.BytesIO(data))
            for number, (kind, body) in enumerate(records):
                if kind != MESSAGE or int.from_bytes(body[:2], 'little') not in channels:
                    continue
                message = parse(kind, body)
                held += len(message.data) + _OBJECT
                if held > MOST_HELD:
                    raise ValueError(f'over {MOST_HELD} bytes of messages overlap in time; '
                                     '`mcap sort` writes a file in which they do not')
                heapq.heappush(waiting, (message.log_time, offset, number, message))
        else:
            message = heapq.heappop(waiting)[3]
            held -= len(message.data) + _OBJECT
            yield message
