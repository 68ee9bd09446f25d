"""SQLite files that are written by way of a log beside them (``-wal``), as rosbag2 does."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile

from bag_writing import message, write_sqlite3
import pytest

from demt_perception.bags import open_bag

ROWS = [('/a', 1000 + index, message(f'text {index}')) for index in range(3)]
READ_AS_NOBODY = """
import os, sys
from demt_perception.bags import open_bag
from demt_perception.bags import sqlite3_storage   # before its files may be out of reach
if os.geteuid() == 0:   # who may write anything
    os.setuid(65534)
with open_bag(sys.argv[1]) as bag:
    print(*[row.time_ns for row in bag.messages(['/a'])])
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that any user can look into, unlike ``tmp_path``."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)
        Path(name).chmod(0o755)


def recorder(path: Path) -> sqlite3.Connection:
    """Write ROWS and one more, which is in the log alone until the connection is closed."""
    write_sqlite3(path, ROWS)
    database = sqlite3.connect(path)
    database.execute('PRAGMA journal_mode=WAL')
    record(database, 5000)
    return database


def record(database: sqlite3.Connection, time: int) -> None:
    database.execute('INSERT INTO messages(topic_id, timestamp, data) VALUES (1, ?, ?)',
                     (time, message('more')))
    database.commit()


def times(path: Path) -> list[int]:
    with open_bag(path) as bag:
        return [row.time_ns for row in bag.messages(['/a'])]


def said_where_nothing_can_be_written(path: Path) -> str:
    """Return the times that another process reads, or the last line of why it cannot."""
    path.parent.chmod(0o555)
    read = subprocess.run([sys.executable, '-c', READ_AS_NOBODY, str(path)], capture_output=True,
                          text=True, timeout=60, check=False)
    return (read.stderr if read.returncode else read.stdout).splitlines()[-1]


def test_reading_leaves_nothing_beside_a_whole_file(folder):
    path = folder / 'a.db3'
    recorder(path).close()
    assert path.read_bytes()[19] == 2   # by way of a log
    assert times(path) == [1000, 1001, 1002, 5000]
    assert list(folder.iterdir()) == [path]


@pytest.mark.parametrize('log', [None, b''])
def test_a_folder_that_cannot_be_written(folder, log):
    path = folder / 'a.db3'
    recorder(path).close()
    if log is not None:
        (folder / 'a.db3-wal').write_bytes(log)
    assert said_where_nothing_can_be_written(path) == '1000 1001 1002 5000'


def test_what_is_in_the_log_is_read(folder):
    """Also while it is being recorded."""
    path = folder / 'a.db3'
    with closing(recorder(path)) as database, open_bag(path) as bag:
        assert times(path) == [1000, 1001, 1002, 5000]
        record(database, 6000)
        assert [row.time_ns for row in bag.messages(['/a'])][-1] == 6000


def test_a_log_in_a_folder_that_cannot_be_written(folder):
    """Of a recorder that was killed."""
    with closing(recorder(folder / 'a.db3')):
        (folder / 'copy').mkdir(mode=0o755)
        for name in ('a.db3', 'a.db3-wal'):
            shutil.copy(folder / name, folder / 'copy')
    path = folder / 'copy' / 'a.db3'
    said = said_where_nothing_can_be_written(path)
    assert re.search(r'ReadingError: .*still in a\.db3-wal.* copy both', said), said
    path.parent.chmod(0o755)
    assert times(path) == [1000, 1001, 1002, 5000]
