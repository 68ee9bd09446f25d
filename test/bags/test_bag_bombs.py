"""Small files that claim to be large, or that would be read for ever."""

import bz2
from dataclasses import replace
from pathlib import Path
import sqlite3
import tracemalloc
from typing import NamedTuple

from bag_writing import message, write_mcap, write_metadata, write_sqlite3
import pytest

from demt_perception.bags import allowance, BagError, mcap_records, open_bag, sqlite3_storage
from demt_perception.bags import compression as bag_compression

mcap = pytest.importorskip('mcap.records', reason='the package mcap is not installed')
zstandard = pytest.importorskip('zstandard', reason='zstandard is not installed')
lz4 = pytest.importorskip('lz4.frame', reason='lz4 is not installed')

MIB = 2**20
ROWS = [('/a', 1000 + index, message(f'text {index}')) for index in range(20)]


class Disk(NamedTuple):
    free: int
    total: int = 1000


def read_all(path: Path) -> list[bytes]:
    with open_bag(path) as bag:
        return [row.data for row in bag.messages(bag.topics)]


def refused(path: Path, said: str, most: int = 16 * MIB) -> None:
    """Assert that a bag is refused, and that no more memory is taken for it than ``most``."""
    tracemalloc.start()
    try:
        with pytest.raises(BagError, match=said):
            read_all(path)
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def with_chunk(path: Path, compression: str, data: bytes, claimed: int) -> Path:
    """Write an MCAP file without an index, with one chunk."""
    from mcap.data_stream import RecordBuilder
    builder = RecordBuilder()
    mcap.Header('ros2', '').write(builder)
    mcap.Schema(id=1, name='std_msgs/msg/String', encoding='ros2msg', data=b'').write(builder)
    mcap.Channel(1, '/a', 'cdr', {}, 1).write(builder)
    mcap.Chunk(compression, data, 0, 0, 0, claimed).write(builder)
    path.write_bytes(mcap_records.MAGIC + builder.end())
    return path


def packed(compression: str, data: bytes, tell: bool = True) -> bytes:
    if compression == 'lz4':
        return lz4.compress(data, store_size=tell)
    return zstandard.ZstdCompressor(write_content_size=tell).compress(data)


@pytest.mark.parametrize('tell', [True, False])
@pytest.mark.parametrize('compression', ['zstd', 'lz4'])
def test_a_chunk_that_unpacks_to_more_than_it_claims(tmp_path, compression, tell):
    data = packed(compression, bytes(64 * MIB), tell)
    assert len(data) < 0.3 * MIB
    refused(with_chunk(tmp_path / 'a.mcap', compression, data, MIB), 'chunk')


def test_a_chunk_whose_data_claim_terabytes(tmp_path):
    data = bytearray(packed('zstd', bytes(600)))
    at = data.index((600 - 256).to_bytes(2, 'little'))
    assert data[4] >> 6 == 1   # a size of two bytes; make it one of eight
    data[4] |= 0xC0
    data[at:at + 2] = (1 << 42).to_bytes(8, 'little')
    refused(with_chunk(tmp_path / 'a.mcap', 'zstd', bytes(data), 600), str(1 << 42))


@pytest.mark.parametrize('compression', ['zstd', 'lz4', ''])
def test_a_chunk_that_claims_too_much(tmp_path, compression):
    refused(with_chunk(tmp_path / 'a.mcap', compression, b'', 1 << 31),
            'claims 2147483648 bytes unpacked, want at most 1073741824')


def test_an_unknown_compression(tmp_path):
    refused(with_chunk(tmp_path / 'a.mcap', 'brotli', b'1234', 4), "compressed by 'brotli'")


def test_a_record_that_claims_more_than_a_file_of_holes_has(tmp_path):
    path = with_chunk(tmp_path / 'a.mcap', '', b'', 0)
    with path.open('ab') as file:
        file.write(b'\x09' + (1 << 33).to_bytes(8, 'little'))
        file.truncate(1 << 34)   # takes no room on the disk
    refused(path, 'a record claims 8589934592 bytes')


def reindexed(path: Path, change) -> Path:
    """Write an MCAP file of ROWS, with its index of chunks changed."""
    from mcap.data_stream import RecordBuilder
    write_mcap(path, ROWS)
    content = path.read_bytes()
    with path.open('rb') as file:
        file.seek(-mcap_records.FOOTER_BYTES, 2)
        _, body = next(mcap_records.read_records(file))
        start = mcap_records.parse(mcap_records.FOOTER, body).summary_start
        file.seek(start)
        summary = [(kind, mcap_records.parse(kind, body))
                   for kind, body in mcap_records.read_records(file)
                   if kind in (mcap_records.SCHEMA, mcap_records.CHANNEL,
                               mcap_records.CHUNK_INDEX, mcap_records.STATISTICS)]
    builder = RecordBuilder()
    indexes = [one for kind, one in summary if kind == mcap_records.CHUNK_INDEX]
    for kind, one in summary:
        if kind != mcap_records.CHUNK_INDEX:
            one.write(builder)
    for one in change(indexes):
        one.write(builder)
    mcap.Footer(summary_start=start, summary_offset_start=0, summary_crc=0).write(builder)
    path.write_bytes(content[:start] + builder.end() + mcap_records.MAGIC)
    return path


def test_the_changed_index_is_read_where_nothing_is_changed(tmp_path):
    assert read_all(reindexed(tmp_path / 'a.mcap', lambda indexes: indexes)) == [
        row[2] for row in ROWS]


def test_an_index_that_names_a_chunk_many_times(tmp_path):
    path = reindexed(tmp_path / 'a.mcap', lambda indexes: indexes[:1] * 1000)
    refused(path, 'has a chunk at byte .* within the one')


def test_an_index_that_points_to_no_chunk(tmp_path):
    path = reindexed(tmp_path / 'a.mcap', lambda indexes: [
        replace(one, chunk_start_offset=one.chunk_start_offset + 1) for one in indexes])
    refused(path, 'damaged')


def test_chunks_that_all_overlap_are_held_within_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(mcap_records, 'MOST_HELD', 3000)
    path = reindexed(tmp_path / 'a.mcap', lambda indexes: [
        replace(one, message_start_time=0) for one in indexes])
    refused(path, 'over 3000 bytes of messages overlap in time; `mcap sort`')


def test_a_file_that_unpacks_to_too_much(tmp_path, monkeypatch):
    """Of any size told or not told, and nothing is left behind."""
    monkeypatch.setenv('TMPDIR', str(tmp_path / 'temporary'))
    monkeypatch.setattr('tempfile.tempdir', None)
    (tmp_path / 'temporary').mkdir()
    monkeypatch.setattr(allowance, 'ALWAYS_FINE', MIB)
    for tell in True, False:
        path = tmp_path / 'a.mcap.zstd'
        path.write_bytes(packed('zstd', bytes(64 * MIB), tell))
        refused(path, 'unpacks to .* times its size')
    assert not list((tmp_path / 'temporary').iterdir())


def test_a_file_that_unpacks_to_more_than_there_is_room(tmp_path, monkeypatch):
    monkeypatch.setattr(bag_compression.shutil, 'disk_usage', lambda folder: Disk(free=90))
    path = tmp_path / 'a.mcap.zstd'
    write_mcap(tmp_path / 'a.mcap', ROWS)
    path.write_bytes(packed('zstd', (tmp_path / 'a.mcap').read_bytes()))
    refused(path, 'has room for 0: set TMPDIR')
    monkeypatch.setattr(bag_compression.shutil, 'disk_usage', lambda folder: Disk(free=1 << 20))
    # A small disk is no reason.
    assert len(read_all(path)) == len(ROWS)


@pytest.mark.parametrize('tell', [True, False])
def test_a_message_that_unpacks_to_too_much(tmp_path, monkeypatch, tell):
    """Whether metadata.yaml says that messages are compressed, or nothing does."""
    monkeypatch.setattr(bag_compression, 'MOST_BYTES', MIB)
    write_sqlite3(tmp_path / 'a.db3', [('/a', 1, packed('zstd', bytes(64 * MIB), tell))])
    refused(tmp_path, 'a compressed message claims' if tell else 'a message cannot')
    write_metadata(tmp_path, ['a.db3'], {'/a': 1}, ('zstd', 'MESSAGE'))
    refused(tmp_path, 'message')


HOSTILE = {
    'a view that never ends': (
        'DROP TABLE messages; CREATE VIEW messages AS WITH RECURSIVE n(i) AS (SELECT 1 UNION '
        'ALL SELECT i + 1 FROM n) SELECT i AS id, 1 AS topic_id, i AS timestamp, '
        "x'00' AS data FROM n"),
    'a view that calls a function': (
        'DROP TABLE messages; CREATE VIEW messages AS SELECT 1 AS id, 1 AS topic_id, '
        '1 AS timestamp, zeroblob(900000000) AS data'),
    'a trigger': 'CREATE TRIGGER t AFTER INSERT ON messages BEGIN DELETE FROM messages; END',
    'a virtual table': 'CREATE VIRTUAL TABLE other USING fts5(text)',
    'a generated column': (
        'ALTER TABLE messages RENAME COLUMN data TO old; ALTER TABLE messages ADD COLUMN '
        'data BLOB GENERATED ALWAYS AS (zeroblob(900000000)) VIRTUAL'),
}


@pytest.mark.parametrize('change', HOSTILE.values(), ids=HOSTILE)
def test_a_database_that_is_more_than_tables(tmp_path, change):
    path = tmp_path / 'a.db3'
    write_sqlite3(path, ROWS)
    with sqlite3.connect(path) as database:
        database.executescript(change)
    database.close()
    refused(path, 'want .*tables')


def test_a_database_whose_tree_never_ends(tmp_path):
    """Pages whose children are all the same page, ten deep: more rows than any disk holds."""
    path = tmp_path / 'a.db3'
    write_sqlite3(path, [('/a', index, bytes(3000)) for index in range(40)])
    content = bytearray(path.read_bytes())
    size = int.from_bytes(content[16:18], 'big')
    with sqlite3.connect(path) as database:
        (root,) = database.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'messages'").fetchone()
    database.close()
    page = content[(root - 1) * size:root * size]
    assert page[0] == 5   # an inner page of a table
    cells = int.from_bytes(page[3:5], 'big')
    depth = range(root + 20, root + 30)
    for number in [root, *depth]:
        child = depth.start if number == root else number + 1
        for at in [8, *(int.from_bytes(page[12 + 2 * index:14 + 2 * index], 'big')
                        for index in range(cells))]:
            page[at:at + 4] = child.to_bytes(4, 'big')
        content[(number - 1) * size:number * size] = page
    path.write_bytes(content)
    refused(path, 'interrupted')


@pytest.mark.parametrize('length', [0, 10, 3000])
def test_an_honest_database_is_far_from_the_limit(tmp_path, monkeypatch, length):
    monkeypatch.setattr(sqlite3_storage, '_STEPS_A_BYTE', sqlite3_storage._STEPS_A_BYTE / 4)
    monkeypatch.setattr(sqlite3_storage, '_STEPS', 100)
    write_sqlite3(tmp_path / 'a.db3', [('/a', index, bytes(length)) for index in range(3000)])
    with open_bag(tmp_path / 'a.db3') as bag:
        for _ in range(8):   # again and again, as the camera node plays it
            assert sum(1 for _ in bag.messages(['/a'])) == 3000


@pytest.mark.parametrize('compression', ['bz2', 'lz4'])
@pytest.mark.parametrize('claimed', [1000, 1 << 31])
def test_a_chunk_of_ros1_unpacks_to_what_it_claims_at_most(tmp_path, compression, claimed):
    pytest.importorskip('rosbags', reason='the package rosbags is not installed')

    def record(fields, data):
        head = b''.join((len(name) + 1 + len(value)).to_bytes(4, 'little') + name + b'=' + value
                        for name, value in fields.items())
        return (len(head).to_bytes(4, 'little') + head
                + len(data).to_bytes(4, 'little') + data)

    data = bz2.compress(bytes(8 * MIB)) if compression == 'bz2' else packed('lz4', bytes(8 * MIB))
    path = tmp_path / 'a.bag'
    path.write_bytes(b'#ROSBAG V2.0\n' + record(
        {b'op': b'\5', b'compression': compression.encode(),
         b'size': claimed.to_bytes(4, 'little')}, data))
    if claimed == 1000:
        refused(path, 'damaged', 5 * MIB)
    else:   # what there is of it, which is no record
        with pytest.raises(BagError, match='damaged'):
            read_all(path)


@pytest.mark.parametrize('name', ['../secret.db3', '/etc/../{}/secret.db3', 'x/../../secret.db3'])
def test_a_path_in_the_metadata_does_not_leave_the_folder(tmp_path, name):
    write_sqlite3(tmp_path / 'secret.db3', ROWS)
    (tmp_path / 'bag').mkdir()
    write_metadata(tmp_path / 'bag', [name.format(tmp_path)], {'/a': 20})
    with pytest.raises(BagError, match=r'bag/secret\.db3 is not there'):
        read_all(tmp_path / 'bag')
