"""How many messages a .db3 has: told where that is known or soon counted, damaged or not."""

from pathlib import Path
import sqlite3

from bag_writing import message, write_metadata, write_sqlite3
import pytest

from demt_perception.bags import Bag, BagError, open_bag, sqlite3_storage

# One a page of the file, so that a damaged page is one message.
ROWS = [('/a', 1000 + index, message(f'{index:04}' * 800)) for index in range(60)]


def write(path: Path, rows: list[tuple[str, int, bytes]] = ROWS,
          damaged: int | None = None) -> None:
    """Write a file as rosbag2 does, with its index of times; one row's page may be zeroed."""
    write_sqlite3(path, rows)
    with sqlite3.connect(path) as database:
        database.execute('CREATE INDEX timestamp_idx ON messages (timestamp ASC)')
    database.close()
    if damaged is not None:
        content = bytearray(path.read_bytes())
        size = int.from_bytes(content[16:18], 'big')
        begin = content.index(rows[damaged][2]) // size * size
        content[begin:begin + size] = bytes(size)
        path.write_bytes(content)


def read_to_damage(bag: Bag, said: str) -> int:
    """Return how many messages come first: Python's sqlite3 steps ahead, and so loses one."""
    rows = []
    with pytest.raises(BagError, match=said) as error:
        for row in bag.messages(['/a']):
            rows.append(tuple(row))
    assert error.type is BagError
    assert rows == ROWS[:len(rows)]
    return len(rows)


def test_a_file_with_a_bad_page_is_read_up_to_there(tmp_path):
    write(tmp_path / 'a.db3', damaged=30)
    with open_bag(tmp_path / 'a.db3') as bag:
        assert bag.topics['/a'].count is None
        assert read_to_damage(bag, r'a\.db3 is not a readable .*malformed') in (29, 30)


def test_a_split_recording_with_a_bad_page_is_read_up_to_there(tmp_path):
    for number, damaged in enumerate((None, 10, None)):
        write(tmp_path / f'bag_{number}.db3', ROWS[20 * number:20 * number + 20], damaged)
    for metadata in False, True:
        if metadata:
            write_metadata(tmp_path, [f'bag_{n}.db3' for n in range(3)], {'/a': 60})
        with open_bag(tmp_path) as bag:
            assert bag.topics['/a'].count == (60 if metadata else None)
            assert read_to_damage(bag, r'bag_1\.db3 is not a readable') in (29, 30)


def test_nothing_is_counted_that_metadata_tells(tmp_path, monkeypatch):
    """It reads a page for every few messages: seconds, of a long bag."""
    write(tmp_path / 'a.db3')
    monkeypatch.setattr(sqlite3_storage.Sqlite3Storage, '_count',
                        lambda self: pytest.fail('counted'))
    write_metadata(tmp_path, ['a.db3'], {'/a': 60})
    with open_bag(tmp_path) as bag:
        assert bag.topics['/a'].count == 60
        assert [tuple(row) for row in bag.messages(['/a'])] == ROWS


@pytest.mark.parametrize(('most', 'count'), [(60, 60), (59, None)])
def test_very_many_messages_are_not_counted(tmp_path, monkeypatch, most, count):
    monkeypatch.setattr(sqlite3_storage, '_COUNTED', most)
    write(tmp_path / 'a.db3')
    with open_bag(tmp_path / 'a.db3') as bag:
        assert bag.topics['/a'].count == count
