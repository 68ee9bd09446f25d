"""Whatever the bytes are: what is read, or a BagError; no other exception and no hang."""

import contextlib
from pathlib import Path
import sqlite3
import tempfile

from bag_writing import message, write_mcap, write_metadata, write_sqlite3
from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
import pytest

from demt_perception.bags import BagError, camera_topics, open_bag

pytest.importorskip('mcap', reason='the package mcap is not installed')

ROWS = [('/a', 1000 + index, message('text' * 20)) for index in range(20)]
RELAXED = settings(deadline=None, max_examples=60,
                   suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_all(path: Path) -> None:
    with contextlib.suppress(BagError), open_bag(path) as bag:
        camera_error = None
        try:
            camera_topics(bag.topics)
        except BagError as error:
            camera_error = error
        assert camera_error is not None  # none of these bags holds images
        for row in bag.messages(bag.topics):
            assert isinstance(row.data, bytes)


def original(suffix: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f'bag{suffix}'
        (write_sqlite3 if suffix == '.db3' else write_mcap)(path, ROWS)
        return path.read_bytes()


ORIGINALS = {suffix: original(suffix) for suffix in ('.db3', '.mcap')}


@RELAXED
@given(suffix=st.sampled_from(sorted(ORIGINALS)), data=st.data())
def test_flipped_bytes(tmp_path, suffix, data):
    content = bytearray(ORIGINALS[suffix])
    for _ in range(data.draw(st.integers(1, 20))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / f'bag{suffix}'
    path.write_bytes(content)
    read_all(path)


@RELAXED
@given(suffix=st.sampled_from(sorted(ORIGINALS)), share=st.floats(0, 1))
def test_cut_off(tmp_path, suffix, share):
    path = tmp_path / f'bag{suffix}'
    path.write_bytes(ORIGINALS[suffix][:int(share * len(ORIGINALS[suffix]))])
    read_all(path)


@RELAXED
@given(suffix=st.sampled_from(['.db3', '.mcap', '.db3.zstd', '.mcap.zstd']),
       content=st.binary(max_size=300))
def test_arbitrary_bytes(tmp_path, suffix, content):
    path = tmp_path / f'bag{suffix}'
    path.write_bytes(content)
    with pytest.raises(BagError):
        open_bag(path)


@RELAXED
@given(text=st.one_of(
    st.text(max_size=200),
    st.sampled_from(['relative_file_paths', 'topics_with_message_count', 'compression_mode'])
    .map(lambda key: f'rosbag2_bagfile_information: {{{key}: [1, {{a: b}}, null]}}')))
def test_arbitrary_metadata(tmp_path, text):
    (tmp_path / 'metadata.yaml').write_text(text, encoding='utf-8', errors='replace')
    with pytest.raises(BagError, match=r'metadata\.yaml'):
        open_bag(tmp_path)


@pytest.mark.parametrize('text', [
    'a: !!timestamp foo', 'a: !!int ""', 'a: !!bool x', 'a: !!float ""',
    'rosbag2_bagfile_information: {relative_file_paths: [a.db3], topics_with_message_count: '
    '[{topic_metadata: {name: /a}, message_count: .inf}]}'])
def test_odd_yaml_is_an_error_of_the_bag(tmp_path, text):
    (tmp_path / 'metadata.yaml').write_text(text)
    with pytest.raises(BagError, match=r'metadata\.yaml'):
        open_bag(tmp_path)


def test_a_time_before_time_is_damage(tmp_path):
    write_sqlite3(tmp_path / 'bag.db3', [('/a', -5, message('x'))])
    with open_bag(tmp_path / 'bag.db3') as bag, pytest.raises(BagError, match='time -5'):
        list(bag.messages(['/a']))


def test_damaged_compressed_messages(tmp_path):
    write_sqlite3(tmp_path / 'bag.db3', ROWS)
    write_metadata(tmp_path, ['bag.db3'], {'/a': 20}, ('zstd', 'MESSAGE'))
    with open_bag(tmp_path) as bag, pytest.raises(BagError, match='cannot be decompressed'):
        list(bag.messages(['/a']))


def test_a_time_that_is_no_number_is_damage_behind_the_messages(tmp_path):
    write_sqlite3(tmp_path / 'bag.db3', [('/b', 5, b''), *ROWS])
    with sqlite3.connect(tmp_path / 'bag.db3') as database:
        database.execute("UPDATE messages SET timestamp = 'noon' WHERE timestamp in (5, 1003)")
    database.close()
    read = []
    with open_bag(tmp_path / 'bag.db3') as bag, pytest.raises(
            BagError, match='message 5 has a time of type text'):
        for row in bag.messages(['/a']):
            read.append(tuple(row))
    assert read == [row for row in ROWS if row[1] != 1003]
