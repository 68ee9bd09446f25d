"""ROS 1 bags, against what the library that wrote them reads."""

import contextlib
from pathlib import Path
import tempfile

from bag_samples import cdr, IMAGE, image, INFO, info, START, write_ros1
from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
import pytest

from demt_perception.bags import BagError, open_bag

pytest.importorskip('rosbags', reason='the package rosbags is not installed')
pytest.importorskip('lz4.frame', reason='the package lz4 is not installed')

RELAXED = settings(deadline=None, max_examples=60,
                   suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize('compression', ['', 'bz2', 'lz4'])
def test_messages_are_those_of_ros2(tmp_path, compression):
    path = write_ros1(tmp_path / 'one.bag', 12, compression)
    with open_bag(path) as bag:
        assert {t.name: (t.type, t.count, t.encoding) for t in bag.topics.values()} == {
            '/cam/image_raw': (IMAGE, 12, 'cdr'), '/cam/camera_info': (INFO, 12, 'cdr'),
            '/marks': ('visualization_msgs/msg/Marker', 0, 'ros1')}
        got = [tuple(row) for row in bag.messages(['/cam/image_raw', '/cam/camera_info'])]
    assert got == [row for i in range(12) for row in (
        ('/cam/camera_info', START + i * 10 ** 8, cdr(info(i))),
        ('/cam/image_raw', START + i * 10 ** 8 + 1, cdr(image(i))))]


def test_a_type_that_ros2_has_otherwise_is_refused(tmp_path):
    with open_bag(write_ros1(tmp_path / 'one.bag', 1)) as bag, pytest.raises(
            BagError, match=r"/marks is serialised as 'ros1'.*Marker"):
        next(bag.messages(['/marks']))


@pytest.mark.parametrize('compression', ['', 'bz2', 'lz4'])
def test_a_cut_off_bag_is_read_as_far_as_it_goes(tmp_path, compression):
    """Without its index, in the middle of a chunk."""
    path = write_ros1(tmp_path / 'one.bag', 40, compression)
    content = path.read_bytes()
    path.write_bytes(content[:len(content) // 2])
    got = []
    with open_bag(path) as bag:
        assert bag.topics['/cam/image_raw'].count is None
        with pytest.raises(BagError, match='cut off'):
            for message in bag.messages(['/cam/image_raw']):
                got.append(message.data)
    assert got == [cdr(image(i)) for i in range(len(got))]
    assert 5 < len(got) < 40


def records(content: bytes) -> list[tuple[int, int, int]]:
    """Return of the outer records where their header begins, where their data, and their kind."""
    found, at = [], 13
    while at < len(content):
        head = 4 + int.from_bytes(content[at:at + 4], 'little')
        kind = content[content.index(b'op=', at) + 3]
        found.append((at, at + head + 4, kind))
        at += head + 4 + int.from_bytes(content[at + head:at + head + 4], 'little')
    return found


@pytest.mark.parametrize('compression', ['', 'lz4'])
def test_a_recording_that_was_not_closed(tmp_path, compression):
    """``.bag.active``: no index, and the size of the chunk that was being written is still 0."""
    content = bytearray(write_ros1(tmp_path / 'one.bag', 40, compression).read_bytes())
    found = records(content)
    (pos,) = (content.index(b'index_pos=', at) + 10 for at, _, kind in found if kind == 3)
    content[pos:pos + 8] = bytes(8)
    last = [index for index, (*_, kind) in enumerate(found) if kind == 5][-1]
    data = found[last][1]
    if not compression:   # what is packed of an open chunk cannot be told from what comes next
        content[data - 4:data] = bytes(4)
    path = tmp_path / 'one.bag.active'
    path.write_bytes(content[:found[last + 1][0]])
    (tmp_path / 'one.bag').unlink()
    for place in path, tmp_path:
        with open_bag(place) as bag:
            got = [message.data for message in bag.messages(['/cam/image_raw'])]
        assert got == [cdr(image(i)) for i in range(40)]


@RELAXED
@given(data=st.data())
def test_damage_gives_messages_or_a_bag_error(data):
    content = bytearray(ORIGINALS[data.draw(st.sampled_from(sorted(ORIGINALS)))])
    for _ in range(data.draw(st.integers(0, 20))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'one.bag'
        path.write_bytes(content[:data.draw(st.integers(0, len(content)))])
        with contextlib.suppress(BagError), open_bag(path) as bag:
            for message in bag.messages([t.name for t in bag.topics.values()
                                         if t.encoding == 'cdr']):
                assert isinstance(message.data, bytes)


def original(compression: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return write_ros1(Path(folder) / 'one.bag', 3, compression).read_bytes()


ORIGINALS = {compression: original(compression) for compression in ('', 'bz2', 'lz4')}
