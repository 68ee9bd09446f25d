"""What all of a small file unpacks to, chunk by chunk and message by message."""

import bz2
from pathlib import Path
import tracemalloc

from bag_samples import IMAGE, image, SECOND, START, store, write_ros1
from bag_writing import message, write_mcap, write_metadata, write_sqlite3
import numpy as np
import pytest

from demt_perception.bags import allowance, BagError, open_bag

pytest.importorskip('mcap', reason='the package mcap is not installed')
zstandard = pytest.importorskip('zstandard', reason='zstandard is not installed')
lz4 = pytest.importorskip('lz4.frame', reason='lz4 is not installed')

KIB = 2**10
ROWS = [('/a', 1000 + index, bytes(64 * KIB)) for index in range(20)]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(allowance, 'ALWAYS_FINE', 640 * KIB)
    monkeypatch.setattr(allowance, 'MOST_TIMES', 10)


def ros1_of(path: Path, chunks: list[tuple[str, bytes]]) -> Path:
    """Write a ROS 1 bag without an index: a connection of images, and chunks as they are given."""
    def record(fields, data):
        return sized(b''.join(sized(name + b'=' + value) for name, value in fields.items())
                     ) + sized(data)

    md5 = store(1).generate_msgdef(IMAGE, ros_version=1)[1].encode()
    connection = record(
        {b'op': b'\7', b'conn': bytes(4), b'topic': b'/a'},
        b''.join(map(sized, (b'topic=/a', b'type=sensor_msgs/Image', b'md5sum=' + md5))))
    pack = {'none': bytes, 'bz2': bz2.compress, 'lz4': lz4.compress}
    path.write_bytes(b'#ROSBAG V2.0\n' + connection + b''.join(
        record({b'op': b'\5', b'compression': compression.encode(),
                b'size': (len(plain)).to_bytes(4, 'little')}, pack[compression](plain))
        for compression, data in chunks
        for plain in [record({b'op': b'\2', b'conn': bytes(4), b'time': bytes(8)}, data)]))
    return path


def sized(data: bytes) -> bytes:
    return len(data).to_bytes(4, 'little') + data


def ros1_image(pixels: np.ndarray) -> bytes:
    picture = image(0, 1)
    picture.height, picture.width, picture.step = 1, pixels.size // 3, pixels.size
    picture.data = pixels
    return bytes(store(1).serialize_ros1(picture, IMAGE))


def read(path: Path) -> tuple[int, str]:
    """Return how many messages come, and what ends them."""
    count, said = 0, ''
    with open_bag(path) as bag:
        assert set(bag.topics) == {'/a'}
        try:
            for _ in bag.messages(['/a']):
                count += 1
        except BagError as error:
            said = str(error)
    return count, said


@pytest.mark.parametrize('compression', ['bz2', 'lz4'])
def test_chunks_of_ros1(tmp_path, compression):
    data = ros1_image(np.zeros(60 * KIB, np.uint8))
    path = ros1_of(tmp_path / 'a.bag', [(compression, data)] * 20)
    for _ in range(2):   # each pass has its own allowance
        count, said = read(path)
        assert count == 10
        assert 'a.bag unpacks to over 10 times its size, and over 655360 bytes' in said
        assert 'where it can be trusted, unpack it with `rosbag decompress`' in said


@pytest.mark.parametrize('index', [True, False])
def test_chunks_of_mcap(tmp_path, index):
    path = tmp_path / 'a.mcap'
    write_mcap(path, ROWS)
    if not index:
        content = path.read_bytes()
        path.write_bytes(content[:-200])
    for _ in range(2):
        count, said = read(path)
        assert count == 9
        assert 'a.mcap unpacks to over 10 times' in said and '`mcap decompress`' in said
        assert '`mcap recover`' not in said


def test_messages(tmp_path):
    packed = [(name, time, zstandard.compress(data)) for name, time, data in ROWS]
    write_sqlite3(tmp_path / 'a.db3', packed)
    for _ in range(2):
        count, said = read(tmp_path / 'a.db3')
        assert count == 10
        assert 'a.db3 unpacks to over 10 times' in said and '`ros2 bag convert`' in said
        write_metadata(tmp_path, ['a.db3'], {'/a': 20}, ('zstd', 'MESSAGE'))


def test_a_packed_file_has_the_allowance_of_its_own_size(tmp_path):
    """And not of what it unpacks to: twice a thousand would be a million."""
    small, large = (ros1_image(np.zeros(size * KIB, np.uint8)) for size in (60, 300))
    plain = ros1_of(tmp_path / 'a.bag', [('lz4', small)] * 20 + [('none', large)])
    assert read(plain) == (21, '')
    packed = tmp_path / 'a.bag.zstd'
    packed.write_bytes(zstandard.compress(plain.read_bytes()))
    count, said = read(packed)
    assert count == 10
    assert f'{packed} unpacks to over 10 times' in said


@pytest.mark.parametrize('compression', ['', 'bz2', 'lz4'])
def test_honest_bags_are_read(tmp_path, monkeypatch, compression):
    monkeypatch.setattr(allowance, 'ALWAYS_FINE', 0)
    path = write_ros1(tmp_path / 'a.bag', 40, compression)
    with open_bag(path) as bag:
        assert len(list(bag.messages(['/cam/image_raw']))) == 40
    rows = [('/a', START + index * SECOND, message(f'text {index}' * 50)) for index in range(200)]
    write_mcap(tmp_path / 'a.mcap', rows)
    assert read(tmp_path / 'a.mcap') == (200, '')


def test_a_chunk_of_ros1_is_held_once(tmp_path):
    """And a message of it once, as CDR."""
    pixels = np.random.default_rng(0).integers(0, 255, 3 << 20, np.uint8)
    path = ros1_of(tmp_path / 'a.bag', [('lz4', ros1_image(pixels))])
    with open_bag(path) as bag:
        rows = bag.messages(['/a'])
        tracemalloc.start()
        try:
            row = next(rows)
            held = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
    assert len(row.data) > pixels.size
    assert held < 2.5 * pixels.size
