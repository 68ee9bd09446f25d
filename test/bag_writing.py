"""Bags written here, byte by byte: rosbag2's sqlite3 layout, and MCAP by its own library."""

from pathlib import Path
import sqlite3

import pytest
import yaml

STRING = 'std_msgs/msg/String'


def message(text: str) -> bytes:
    """Return a std_msgs/String in little-endian CDR."""
    data = text.encode() + b'\0'
    return b'\0\1\0\0' + len(data).to_bytes(4, 'little') + data


def write_sqlite3(path: Path, rows: list[tuple[str, int, bytes]],
                  kinds: dict[str, str] | None = None) -> None:
    database = sqlite3.connect(path)
    database.execute('CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT '
                     'NOT NULL, serialization_format TEXT NOT NULL, offered_qos_profiles TEXT '
                     'NOT NULL)')
    database.execute('CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, '
                     'timestamp INTEGER NOT NULL, data BLOB NOT NULL)')
    names = list(dict.fromkeys(row[0] for row in rows))
    for index, name in enumerate(names):
        database.execute('INSERT INTO topics VALUES (?, ?, ?, ?, ?)',
                         (index + 1, name, (kinds or {}).get(name, STRING), 'cdr', ''))
    database.executemany('INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)',
                         [(names.index(n) + 1, t, d) for n, t, d in rows])
    database.commit()
    database.close()


def write_mcap(path: Path, rows: list[tuple[str, int, bytes]],
               kinds: dict[str, str] | None = None, latched: tuple[str, ...] = (),
               **options: object) -> None:
    mcap = pytest.importorskip('mcap.writer', reason='the package mcap is not installed')
    with path.open('wb') as file:
        writer = mcap.Writer(file, chunk_size=400, **options)
        writer.start(profile='ros2')
        schemas = {kind: writer.register_schema(kind, 'ros2msg', b'string data')
                   for kind in (STRING, *(kinds or {}).values())}
        channels = {name: writer.register_channel(name, 'cdr', schemas[
                        (kinds or {}).get(name, STRING)],
                        {'offered_qos_profiles': '- durability: 1'} if name in latched else {})
                    for name in dict.fromkeys(row[0] for row in rows)}
        for name, time_ns, data in rows:
            writer.add_message(channels[name], time_ns, data, time_ns)
        writer.finish()


def write_metadata(folder: Path, files: list[str], counts: dict[str, int],
                   compression: tuple[str, str] = ('', '')) -> None:
    (folder / 'metadata.yaml').write_text(yaml.safe_dump({'rosbag2_bagfile_information': {
        'version': 5, 'storage_identifier': 'sqlite3',
        'relative_file_paths': files,
        'compression_format': compression[0], 'compression_mode': compression[1],
        'topics_with_message_count': [
            {'topic_metadata': {'name': name, 'type': STRING, 'serialization_format': 'cdr',
                                'offered_qos_profiles': ''}, 'message_count': count}
            for name, count in counts.items()],
    }}))
