"""A failing disk, missing memory or package is no damage of a bag, and is told in one line."""

import builtins
import errno
import sqlite3
import subprocess
import sys

from bag_samples import rows, write_bag, write_ros1
from bag_writing import message, write_mcap, write_sqlite3
import pytest

from demt_perception.bags import BagError, open_bag, ReadingError
from demt_perception.bags.records import is_of_machine

pytest.importorskip('mcap', reason='the package mcap is not installed')

ROWS = [('/a', 1000 + index, message('text' * 20)) for index in range(40)]
ERRORS = {'cannot be read: .*Input/output error': OSError(errno.EIO, 'Input/output error'),
          'not enough memory': MemoryError()}

# In a process of its own: to change the user of one with many threads ended in SIGSEGV once.
AS_NOBODY = """
import os, sys
from demt_perception.bags import BagError, listed_topics, open_bag
from demt_perception.ros.sources import open_source, SourceError
if os.geteuid() == 0:   # who may enter everything
    os.seteuid(65534)
for function in open_bag, listed_topics, open_source:
    try:
        function(sys.argv[1])
    except (BagError, SourceError) as error:
        print(type(error).__name__, error)
"""


class Failing:
    """An open file whose reading fails behind a place."""

    def __init__(self, file, place, error):
        self._file, self._place, self._error = file, place, error

    def read(self, size):
        if self._file.tell() > self._place:
            raise self._error
        return self._file.read(size)

    def __getattr__(self, name):
        return getattr(self._file, name)


def fail(bag, place, error):
    """Let the reading of the bag's only file fail."""
    (storage,) = bag._kept.values()
    storage._file = Failing(storage._file, place, error)


@pytest.mark.parametrize('said', ERRORS)
@pytest.mark.parametrize('kind', ['index', 'no_index', 'ros1'])
def test_of_the_machine(tmp_path, kind, said):
    path = tmp_path / ('a.bag' if kind == 'ros1' else 'a.mcap')
    if kind == 'ros1':
        pytest.importorskip('rosbags', reason='the package rosbags is not installed')
        write_ros1(path, 20)
    else:
        write_mcap(path, ROWS)
    if kind == 'no_index':
        path.write_bytes(path.read_bytes()[:-200])
    with open_bag(path) as bag:
        fail(bag, path.stat().st_size // 3, ERRORS[said])
        with pytest.raises(ReadingError, match=said):
            list(bag.messages(bag.topics.keys() - {'/marks'}))


def test_when_it_is_opened(tmp_path, monkeypatch):
    """The list of topics is not half a list then, and no damage either."""
    write_mcap(tmp_path / 'a.mcap', ROWS)
    monkeypatch.setattr('demt_perception.bags.mcap_records.read_records',
                        lambda *_, **__: (_ for _ in ()).throw(OSError(errno.EIO, 'broken')))
    with pytest.raises(ReadingError, match='broken'):
        open_bag(tmp_path / 'a.mcap')


def test_a_missing_package_of_a_compression(tmp_path, monkeypatch):
    pytest.importorskip('lz4.frame', reason='the package lz4 is not installed')
    from mcap.writer import CompressionType
    write_mcap(tmp_path / 'a.mcap', ROWS, compression=CompressionType.LZ4)
    monkeypatch.setitem(sys.modules, 'lz4.frame', None)
    with open_bag(tmp_path / 'a.mcap') as bag, pytest.raises(
            ReadingError, match='pip install lz4'):
        list(bag.messages(['/a']))


@pytest.mark.parametrize(('text', 'kind'), [
    ('disk I/O error', ReadingError), ('database is locked', ReadingError),
    ('database disk image is malformed', BagError)])
def test_of_sqlite3(tmp_path, text, kind):
    write_sqlite3(tmp_path / 'a.db3', ROWS)

    class Database:
        def execute(self, *_):
            raise sqlite3.OperationalError(text)

        def close(self):
            pass

    with open_bag(tmp_path / 'a.db3') as bag:
        next(iter(bag._kept.values()))._database.close()
        next(iter(bag._kept.values()))._database = Database()
        with pytest.raises(BagError, match=text) as error:
            list(bag.messages(['/a']))
    assert error.type is kind


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = tmp_path / 'a.mcap'
    write_mcap(path, ROWS)

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, 'Permission denied')

    monkeypatch.setattr(builtins, 'open', refuse)
    with pytest.raises(ReadingError, match='Permission denied'):
        open_bag(path)


def test_a_folder_that_may_not_be_entered(tmp_path):
    folder = tmp_path / 'closed'
    folder.mkdir()
    write_mcap(folder / 'a.mcap', ROWS)
    folder.chmod(0)
    ended = subprocess.run([sys.executable, '-c', AS_NOBODY, folder / 'a.mcap'],
                           capture_output=True, text=True, timeout=60, check=False)
    folder.chmod(0o700)
    assert (ended.returncode, ended.stderr) == (0, '')
    kinds, texts = zip(*(line.split(maxsplit=1) for line in ended.stdout.splitlines()),
                       strict=True)
    assert kinds == ('ReadingError', 'ReadingError', 'SourceError')
    assert all('Permission denied' in text for text in texts)
    assert 'let this user read it' in texts[0]


def test_what_damage_says_in_the_words_of_the_system():
    assert not is_of_machine(OSError('Invalid data stream'))   # bz2
    assert not is_of_machine(OSError(errno.EINVAL, 'a seek to nowhere'))
    assert not is_of_machine(ValueError())


def test_a_camera_info_that_cannot_be_read_is_not_left_out(tmp_path):
    pytest.importorskip('rosbags', reason='the package rosbags is not installed')
    from demt_perception.bags.camera_topics import all_cameras
    from demt_perception.ros.offline.frames import read_frames
    path = write_bag(tmp_path / 'a.mcap', rows(4))
    with open_bag(path) as bag:
        fail(bag, 0, OSError(errno.EIO, 'broken'))
        with pytest.raises(ReadingError, match='broken'):
            next(read_frames(bag, all_cameras(bag.topics), 1, 0))


def test_the_node_is_told_in_its_words(tmp_path, monkeypatch):
    """A source that fails in any other way would end the camera node."""
    pytest.importorskip('rclpy', reason='ROS 2 is not installed')
    pytest.importorskip('rosbags', reason='the package rosbags is not installed')
    from demt_perception.bags import mcap_records
    from demt_perception.ros.sources import open_source, SourceError
    source = open_source(str(write_bag(tmp_path / 'a.mcap', rows(4))))

    def fail(_):
        raise OSError(errno.EIO, 'Input/output error')

    monkeypatch.setattr(mcap_records, 'unpack', fail)
    with pytest.raises(SourceError, match='Input/output error'):
        next(source.frames())
    with pytest.raises(SourceError, match='Input/output error'):
        open_source(str(tmp_path / 'a.mcap'))
