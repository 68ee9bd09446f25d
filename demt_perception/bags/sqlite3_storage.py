"""The sqlite3 storage of rosbag2 (``.db3``), read with the standard library."""

from collections.abc import Iterator
from pathlib import Path
import sqlite3

from demt_perception.bags.records import BagError, Message, Topic


class Sqlite3Storage:
    """One open ``.db3`` file, read-only."""

    def __init__(self, path: Path) -> None:
        """Open the file and list its topics.

        Raises:
            BagError: the file is missing, damaged or not a rosbag2 database.
        """
        self._path = path
        # as_uri() quotes what an SQLite URI would misread in a file name.
        self._database = sqlite3.connect(
            f'{path.resolve().as_uri()}?mode=ro', uri=True, check_same_thread=False)
        try:
            self.topics = self._read_topics()
        except BagError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def messages(self, names: set[str]) -> Iterator[Message]:
        """Yield the messages of the named topics in recording order.

        Raises:
            BagError: a record is damaged; what came before it has been yielded.
        """
        marks = ','.join('?' * len(names))
        query = (
            'SELECT topics.name, messages.timestamp, messages.data FROM messages '
            'JOIN topics ON messages.topic_id = topics.id '
            f'WHERE topics.name IN ({marks}) ORDER BY messages.timestamp, messages.id')
        for name, time_ns, data in self._rows(query, *sorted(names)):
            if not isinstance(time_ns, int) or not isinstance(data, bytes):
                raise BagError(f'{self._path} is damaged: a message of {name} has time '
                               f'{time_ns!r} and data of type {type(data).__name__}')
            yield Message(name, time_ns, data)

    def _read_topics(self) -> dict[str, Topic]:
        counts = dict(self._rows('SELECT topic_id, COUNT(*) FROM messages GROUP BY topic_id'))
        topics = {}
        for key, name, kind, encoding in self._rows(
                'SELECT id, name, type, serialization_format FROM topics ORDER BY id'):
            if not all(isinstance(value, str) for value in (name, kind, encoding)):
                raise BagError(f'{self._path} is damaged: topic {name!r} of type {kind!r}')
            topics[name] = Topic(name, kind, counts.get(key, 0), encoding)
        return topics

    def _rows(self, query: str, *values: str) -> Iterator[tuple]:
        try:
            yield from self._database.execute(query, values)
        except (sqlite3.Error, OverflowError, UnicodeDecodeError) as error:
            raise BagError(
                f'{self._path} is not a readable rosbag2 sqlite3 file ({error}); for a damaged '
                'recording try `sqlite3 FILE .recover`') from error
