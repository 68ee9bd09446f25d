"""Packages that a bag may need and that are not there: which, and how they come."""

import sys

from bag_writing import message, write_mcap, write_metadata, write_sqlite3
import pytest

from demt_perception.bags import BagError, listed_topics, open_bag, ros_types
from demt_perception.bags.mcap_writer import PieceWriter

ROWS = [('/chatter', 1_000, message('hello'))]


@pytest.fixture
def without(monkeypatch):
    """Return a function that takes packages away, also those that are imported already."""
    def take(*names):
        for name in [*names, *(loaded for loaded in sys.modules
                               if loaded.partition('.')[0] in names)]:
            monkeypatch.setitem(sys.modules, name, None)
    return take


def test_mcap_to_read(tmp_path, without):
    write_mcap(tmp_path / 'a.mcap', ROWS)
    without('mcap')
    with pytest.raises(BagError, match=r'a\.mcap: reading MCAP needs .*pip install mcap'):
        open_bag(tmp_path / 'a.mcap')


def test_mcap_to_write(tmp_path, without):
    without('mcap')
    with pytest.raises(BagError, match='writing MCAP needs a package: pip install mcap'):
        PieceWriter(tmp_path / 'a.mcap', {}, [])
    assert not (tmp_path / 'a.mcap').exists()


@pytest.mark.parametrize('mode', ['file', 'message'])
def test_zstandard(tmp_path, without, mode):
    pytest.importorskip('zstandard', reason='the package zstandard is not installed')
    name = 'a.db3.zstd' if mode == 'file' else 'a.db3'
    write_sqlite3(tmp_path / name, ROWS)
    write_metadata(tmp_path, [name], {'/chatter': 1}, ('zstd', mode))
    without('zstandard')
    with pytest.raises(BagError, match=r'is compressed; reading it needs .*zstandard'):
        open_bag(tmp_path)


def test_zstandard_for_messages_without_metadata(tmp_path, without):
    """Told by the first message: before, nothing says that they are compressed."""
    zstandard = pytest.importorskip('zstandard', reason='zstandard is not installed')
    write_sqlite3(tmp_path / 'a.db3', [(n, t, zstandard.compress(d)) for n, t, d in ROWS])
    without('zstandard')
    with open_bag(tmp_path) as bag, pytest.raises(BagError, match=r'is compressed; .*zstandard'):
        next(bag.messages(['/chatter']))


def test_rosbags(tmp_path, without, monkeypatch):
    """For ROS 1; and what of ROS 2 needs none of it goes on."""
    write_sqlite3(tmp_path / 'a.db3', ROWS)
    (tmp_path / 'b.bag').write_bytes(b'#ROSBAG V2.0\n')
    without('rosbags')
    for cached in (ros_types.ros2_types, ros_types.ros1_types):
        cached.cache_clear()
    with pytest.raises(BagError, match='needs the package rosbags: pip install rosbags'):
        open_bag(tmp_path / 'b.bag')
    with open_bag(tmp_path / 'a.db3') as bag:
        assert len(list(bag.messages(['/chatter']))) == 1


def test_topics_are_listed_without_mcap(tmp_path, without):
    """A launch file runs in ROS's own Python, which hardly has it."""
    write_mcap(tmp_path / 'a.mcap', ROWS)
    write_metadata(tmp_path, ['a.mcap'], {'/chatter': 1})
    with open_bag(tmp_path) as bag:
        wanted = dict(bag.topics)
    without('mcap')
    assert listed_topics(tmp_path) == wanted
    (tmp_path / 'metadata.yaml').unlink()
    with pytest.raises(BagError, match=r'a\.mcap: reading MCAP needs .*pip install mcap'):
        listed_topics(tmp_path)
