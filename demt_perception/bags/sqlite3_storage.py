"""The sqlite3 storage of rosbag2 (``.db3``), read with the standard library."""

from collections.abc import Iterator
from pathlib import Path
import re
import sqlite3

from demt_perception.bags.records import BagError, is_latched, Message, ReadingError, Topic

_PLAIN = re.compile(r'CREATE (TABLE|(UNIQUE )?INDEX) ', re.IGNORECASE)
_PASSING = ('disk I/O error', 'database is locked', 'database table is locked',
            'database or disk is full', 'unable to open database file')
"""What sqlite3 says of the disk and other programs, not of the file; Python 3.10 has no codes."""
_NO_ROOM_BESIDE = 'attempt to write a readonly database', 'unable to open database file'
_STEPS, _STEPS_A_BYTE = 100_000, 16
"""Instructions of sqlite3 between two looks at the limit, and the limit for each byte of the file:
empty messages take under 4."""
_COUNTED = 1_000_000
"""Messages up to which they are counted: that reads a page for every few of them, a second or more
for so many, and no index tells their topics."""
_LONGEST_NAME = 1000
"""Characters of a topic's name or type; ROS itself takes 250."""
_INTEGERS = "typeof(topic_id) = 'integer' AND typeof(timestamp) = 'integer'"
"""To sort rows, sqlite3 writes their columns to the disk; a small file can have large ones."""


class Sqlite3Storage:
    """One open ``.db3`` file, read-only."""

    def __init__(self, path: Path, original: Path | None = None) -> None:
        """Open the file.

        Args:
            path: to read.
            original: what errors name, where that is another.

        Raises:
            BagError: the file is damaged or not a rosbag2 database.
            ReadingError, OSError: it could not be read.
        """
        self._path = original or path
        path = path.resolve()
        log = path.with_name(f'{path.name}-wal')
        self._log = log if log.is_file() and log.stat().st_size else None
        # SQLite makes files beside one with a write-ahead log, which reading is not to do and, in
        # some folders, cannot. It does not where it is told that nobody writes: with nothing in
        # the log that is so.
        quiet = '&immutable=1' if self._log is None and _has_log(path) else ''
        # as_uri() quotes what an SQLite URI would misread in a file name.
        self._database = sqlite3.connect(
            f'{path.as_uri()}?mode=ro{quiet}', uri=True, check_same_thread=False)
        self._steps = 0
        # A damaged tree of pages can have more rows than any disk holds.
        self._most = _STEPS_A_BYTE * path.stat().st_size + _STEPS * 10
        self._database.set_progress_handler(self._too_long, _STEPS)
        try:
            self._check_tables()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def list_topics(self, counted: bool) -> dict[str, Topic]:
        """Return the topics by name.

        Args:
            counted: count their messages, which takes a while; where there are very many, or one
                is damaged, they have no count all the same.
        """
        counts = self._count() if counted else None
        topics = {}
        columns = [row[1] for row in self._rows("PRAGMA table_info('topics')")]
        qos = 'offered_qos_profiles' if 'offered_qos_profiles' in columns else "''"
        for key, name, kind, encoding, offered in self._rows(
                f'SELECT id, name, type, serialization_format, {qos} FROM topics ORDER BY rowid'):
            if not all(isinstance(value, str) for value in (name, kind, encoding)):
                raise BagError(f'{self._path} is damaged: topic {name!r} of type {kind!r}')
            if max(len(name), len(kind), len(encoding)) > _LONGEST_NAME:
                raise BagError(f'{self._path} is damaged: topic {name[:60]!r} has a name, type or '
                               f'encoding of over {_LONGEST_NAME} characters')
            topics[name] = Topic(name, kind, None if counts is None else counts.get(key, 0),
                                 encoding, is_latched(offered))
        return topics

    def messages(self, names: set[str]) -> Iterator[Message]:
        """Yield the messages of the named topics in recording order.

        Raises:
            BagError: a record is damaged; what came before it has been yielded.
            ReadingError: the disk failed, or another program holds the file.
        """
        topics = {key: name for key, name in self._rows('SELECT id, name FROM topics')
                  if name in names and isinstance(key, int)}
        wanted = f"topic_id IN ({','.join('?' * len(topics))})"
        self._steps = 0
        for key, time_ns, row in self._rows(
                f'SELECT topic_id, timestamp, rowid FROM messages WHERE {wanted} AND {_INTEGERS} '
                'ORDER BY timestamp, rowid', *topics):
            # Not with the others: to sort them, sqlite3 would write all data to the disk again.
            data = next(self._rows('SELECT data FROM messages WHERE rowid = ?', row), (None,))[0]
            if time_ns < 0 or not isinstance(data, bytes):
                raise BagError(f'{self._path} is damaged: a message of {topics[key]} has time '
                               f'{time_ns} and data of type {type(data).__name__}')
            yield Message(topics[key], time_ns, data)
        self._steps = 0
        for row, kind in self._rows(
                f'SELECT rowid, typeof(timestamp) FROM messages WHERE {wanted} AND '
                "typeof(timestamp) <> 'integer' LIMIT 1", *topics):
            raise BagError(f'{self._path} is damaged: message {row} has a time of type {kind}')

    def _too_long(self) -> bool:
        """Tell, every so often, whether more was done than a file of this size takes."""
        self._steps += _STEPS
        return self._steps > self._most

    def _check_tables(self) -> None:
        """Refuse what no recorder writes: a view or a generated column can be endless."""
        for (text,) in self._rows('SELECT sql FROM sqlite_master'):
            if text is not None and not (isinstance(text, str) and _PLAIN.match(text)):
                raise BagError(f'{self._path} holds {str(text)[:60]!r}, want plain tables and '
                               'indexes alone, as rosbag2 writes: it was made by something else')
        for table in 'topics', 'messages':
            columns = [*self._rows(f"PRAGMA table_xinfo('{table}')")]
            hidden = [row[1] for row in columns if row[6] or row[1].lower() == 'rowid']
            if hidden:
                raise BagError(f'{self._path}: {table} computes or hides its column '
                               f'{hidden[0]!r}, want plain tables, as rosbag2 writes: it was made '
                               'by something else')

    def _count(self) -> dict[object, int] | None:
        """Return the messages of each topic's id; None where that takes long, or at damage."""
        try:
            last = next(self._rows('SELECT MAX(rowid) FROM messages'))[0]
            if last is not None and last > _COUNTED:
                return None
            return dict(self._rows(
                "SELECT topic_id, COUNT(*) FROM messages WHERE typeof(topic_id) = 'integer' "
                'GROUP BY topic_id'))
        except ReadingError:
            raise
        except BagError:   # what comes before it can be read
            return None

    def _rows(self, query: str, *values: object) -> Iterator[tuple]:
        try:
            yield from self._database.execute(query, values)
        except (sqlite3.Error, OverflowError, UnicodeDecodeError) as error:
            if self._log is not None and str(error).startswith(_NO_ROOM_BESIDE):
                raise ReadingError(
                    f'{self._path} cannot be read: its newest messages are still in '
                    f'{self._log.name}, which takes a folder that can be written: copy both into '
                    f'one ({error})') from error
            if str(error).startswith(_PASSING):
                raise ReadingError(f'{self._path} cannot be read: {error}; when the disk works '
                                   'and no other program holds the file, give the same command '
                                   'once more') from error
            raise BagError(
                f'{self._path} is not a readable rosbag2 sqlite3 file ({error}); for a damaged '
                'recording try `sqlite3 FILE .recover`') from error


def _has_log(path: Path) -> bool:
    """Tell by its header whether a database is written by way of a log beside it."""
    with path.open('rb') as file:
        return file.read(20)[19:] == b'\2'
