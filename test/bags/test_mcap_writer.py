"""The writer of MCAP, read back by the library `mcap`; interruptions at every byte."""

import errno
from pathlib import Path
import tracemalloc

from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
import pytest

from demt_perception.bags import BagError, open_bag
from demt_perception.bags.mcap_writer import PieceWriter, read_result
from demt_perception.bags.metadata import qos_text, write_metadata
from demt_perception.bags.pieces import COMPRESSIONS, Encoded, make_piece
from demt_perception.bags.records import Channel

reader = pytest.importorskip('mcap.reader', reason='the package mcap is not installed')

CHANNELS = [Channel(f'/{name}', 'std_msgs/msg/String', 'string data', qos_text(name == 'a'))
            for name in 'abc']
PIECES = [[Encoded(1 + i % 2, 1000 + 10 * i, (b'\0\1\0\0', bytes([i]) * i)),
           Encoded(2, 1000 + 10 * i + 5, (b'\0\1\0\0' + bytes(100 * i),))] for i in range(5)]


def write(path: Path, pieces=PIECES, compression='lz4', finish=True, start=0) -> PieceWriter:
    writer = PieceWriter(path, {'model': 'm'}, CHANNELS)
    done = writer.state.get('done', 0)
    assert done >= start
    for number, piece in enumerate(pieces[done:], done + 1):
        writer.append(make_piece(piece, compression), {'done': number})
    if finish:
        writer.finish({'done': len(pieces)})
    else:
        writer.close()
    return writer


@pytest.mark.parametrize('compression', COMPRESSIONS)
def test_what_is_written_is_read_by_others(tmp_path, compression):
    path = tmp_path / 'one.mcap'
    writer = write(path, compression=compression)
    with path.open('rb') as file:
        other = reader.make_reader(file, validate_crcs=True)
        summary = other.get_summary()
        assert summary.statistics.channel_message_counts == writer.counts == {1: 3, 2: 7, 3: 0}
        assert summary.statistics.chunk_count == len(PIECES)
        assert {c.topic: summary.schemas[c.schema_id].name
                for c in summary.channels.values()} == {c.topic: c.kind for c in CHANNELS}
        got = [(channel.id, message.log_time, message.data)
               for _, channel, message in other.iter_messages()]
    assert got == [(m.channel, m.time_ns, b''.join(m.parts)) for piece in PIECES for m in piece]
    assert (writer.begin, writer.end) == (1000, 1045)
    assert read_result(path) == ({'model': 'm'}, {'done': 5})


def test_a_bag_with_metadata_is_read_back(tmp_path):
    writer = write(tmp_path / 'bag_0.mcap')
    write_metadata(tmp_path, 'bag_0.mcap', CHANNELS, writer.counts, writer.begin, writer.end)
    with open_bag(tmp_path) as bag:
        assert [t.count for t in bag.topics.values()] == [3, 7, 0]
        assert len(list(bag.messages(['/a', '/b']))) == 10


def test_the_library_rosbags_reads_it(tmp_path):
    rosbag2 = pytest.importorskip('rosbags.rosbag2', reason='rosbags is not installed')
    writer = write(tmp_path / 'bag_0.mcap')
    write_metadata(tmp_path, 'bag_0.mcap', CHANNELS, writer.counts, writer.begin, writer.end)
    with rosbag2.Reader(tmp_path) as other:
        assert len(list(other.messages())) == other.message_count == 10
        durable = [connection.ext.offered_qos_profiles[0].durability.name
                   for connection in other.connections]
    assert durable == ['TRANSIENT_LOCAL', 'VOLATILE', 'VOLATILE']


@settings(deadline=None, max_examples=60,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(compression=st.sampled_from(COMPRESSIONS), cut=st.floats(0, 1), torn=st.binary(max_size=30),
       finished=st.booleans())
def test_after_a_kill_the_file_becomes_the_same(tmp_path, compression, cut, torn, finished):
    """Cut at any byte, with whatever a dying machine may have left behind it."""
    whole, path = tmp_path / 'whole.mcap', tmp_path / 'part.mcap'
    for file in (whole, path):
        file.unlink(missing_ok=True)
    write(whole, compression=compression)
    write(path, compression=compression, finish=finished)
    content = path.read_bytes()
    content = content[:int(cut * len(content))]
    path.write_bytes(content + (torn if len(content) > 200 else b''))
    write(path, compression=compression)
    assert path.read_bytes() == whole.read_bytes()


def test_whole_pieces_are_kept(tmp_path):
    path = tmp_path / 'part.mcap'
    write(path, PIECES[:3], finish=False)
    with path.open('ab') as file:
        file.write(b'\x06torn')
    writer = write(path, start=3)
    assert writer.counts == {1: 3, 2: 7, 3: 0}


def test_a_long_bag_takes_little_memory(tmp_path):
    """The index of a frame is kept to the end, in a run and when it is gone on with."""
    channels = [Channel(f'/{number}', 'std_msgs/msg/String', 'string data', qos_text(False))
                for number in range(13)]
    piece = make_piece([Encoded(number, 1000, (b'\0\1\0\0',)) for number in range(1, 14)], 'none')
    writer = PieceWriter(tmp_path / 'one.mcap', {}, channels)
    tracemalloc.start()
    try:
        for _ in range(300):
            writer.append(piece, {})
        appended = tracemalloc.get_traced_memory()[0]
        writer.close()
        writer = PieceWriter(tmp_path / 'one.mcap', {}, channels)
        found = tracemalloc.get_traced_memory()[0] - appended
    finally:
        tracemalloc.stop()
        writer.close()
    assert appended < 300 * 400 and found < 300 * 400


def test_other_settings_are_refused(tmp_path):
    write(tmp_path / 'one.mcap', finish=False)
    with pytest.raises(BagError, match='other options'):
        PieceWriter(tmp_path / 'one.mcap', {'model': 'other'}, CHANNELS)


def test_two_writers_are_refused(tmp_path):
    first = PieceWriter(tmp_path / 'one.mcap', {}, CHANNELS)
    with pytest.raises(BagError, match='another process'):
        PieceWriter(tmp_path / 'one.mcap', {}, CHANNELS)
    first.close()


def test_a_foreign_file_is_no_result(tmp_path):
    path = tmp_path / 'one.mcap'
    path.write_bytes(b'nonsense' * 10)
    with pytest.raises(BagError, match='not written by'):
        read_result(path)


def test_a_result_that_the_disk_does_not_give_is_not_called_foreign(tmp_path, monkeypatch):
    write(tmp_path / 'one.mcap')

    def fail(*_):
        raise OSError(errno.EIO, 'Input/output error')

    monkeypatch.setattr('demt_perception.bags.mcap_writer._metadata', fail)
    with pytest.raises(OSError, match='Input/output error'):
        read_result(tmp_path / 'one.mcap')
