"""What SQLite holds of each message to bring them into order; it writes that to the disk."""

from pathlib import Path
import sqlite3

import pytest

from demt_perception.bags import BagError, open_bag, sqlite3_storage

TOPICS = ('CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT, '
          'serialization_format TEXT)')
LARGE = 20_000
ROWS = 3000


def write(path: Path, columns: str, added: str = '', name: str = '/a') -> Path:
    """Write many rows, and then add a column with a large default: no row becomes larger."""
    with sqlite3.connect(path) as database:
        database.execute(TOPICS)
        database.execute('INSERT INTO topics VALUES (1, ?, ?, ?)',
                         (name, 'std_msgs/msg/String', 'cdr'))
        database.execute(f'CREATE TABLE messages(data BLOB, {columns})')
        numbers = [column.split()[0] for column in columns.split(', ')]
        database.executemany(
            f"INSERT INTO messages(data, {', '.join(numbers)}) "
            f"VALUES (x'01'{', ?' * len(numbers)})",
            ([1 if column == 'topic_id' else ROWS - index for column in numbers]
             for index in range(ROWS)))
        if added:
            database.execute(
                f"ALTER TABLE messages ADD COLUMN {added} DEFAULT x'{'ab' * LARGE}'")
    database.close()
    assert path.stat().st_size < 8 * LARGE
    return path


@pytest.fixture
def written(monkeypatch):
    """What SQLite has on the disk beside the file, each time that it may be interrupted."""
    sizes = [0]

    def look(self) -> bool:
        sizes.append(sum(
            file.stat().st_size for file in Path('/proc/self/fd').iterdir()
            if file.is_symlink() and 'etilqs_' in str(file.readlink())))
        return False

    monkeypatch.setattr(sqlite3_storage, '_STEPS', 500)
    monkeypatch.setattr(sqlite3_storage.Sqlite3Storage, '_too_long', look)
    return sizes


def read(path: Path) -> tuple[list[int], str]:
    times, said = [], ''
    with open_bag(path) as bag:
        try:
            for row in bag.messages(bag.topics):
                times.append(row.time_ns)
        except BagError as error:
            said = str(error)
    return times, said


@pytest.mark.parametrize(('columns', 'added', 'said'), [
    ('topic_id INTEGER', 'timestamp BLOB', 'has a time of type blob'),
    ('timestamp INTEGER', 'topic_id BLOB', ''),
    ('topic_id INTEGER, timestamp INTEGER', 'id BLOB', 'all')])
def test_a_large_default_is_not_sorted(tmp_path, written, columns, added, said):
    times, error = read(write(tmp_path / 'a.db3', columns, added))
    assert times == ([*range(1, ROWS + 1)] if said == 'all' else [])
    assert (said == 'all' and not error) or said in error
    assert max(written) < ROWS * 100


def test_the_name_of_a_topic_is_not_sorted(tmp_path, written):
    """It would stand beside each of its messages."""
    times, error = read(write(tmp_path / 'a.db3', 'topic_id INTEGER, timestamp INTEGER',
                              name=f'/{"a" * 999}'))
    assert (times, error) == ([*range(1, ROWS + 1)], '')
    assert max(written) < ROWS * 100


@pytest.mark.parametrize(('changes', 'said'), [
    ({'name': f'/{"a" * 1000}'}, "topic '/a{59}' has a name, type or encoding of over 1000"),
    ({'added': 'RowId BLOB'}, "messages computes or hides its column 'RowId'")])
def test_what_no_recorder_writes_is_refused(tmp_path, changes, said):
    path = write(tmp_path / 'a.db3', 'topic_id INTEGER, timestamp INTEGER', **changes)
    with pytest.raises(BagError, match=said):
        open_bag(path)
