"""The ``metadata.yaml`` of a rosbag2 folder (versions 1 to 9)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import os
from pathlib import Path
from typing import Any

import yaml

from demt_perception.bags.records import BagError, Channel, is_latched, Topic
from demt_perception.outside import read_yaml

METADATA_FILE = 'metadata.yaml'
_ROOT = 'rosbag2_bagfile_information'


@dataclass(frozen=True)
class Metadata:
    """What is known of a bag before its storage files are opened, mostly by ``metadata.yaml``.

    Attributes:
        files: storage files, in recording order.
        topics: by their names, with the number of messages recorded.
        compression: '' or 'zstd'.
        compression_mode: '', 'file', 'message', or 'unknown' where there is no metadata.yaml.
    """

    files: tuple[Path, ...]
    topics: dict[str, Topic]
    compression: str
    compression_mode: str


def read_metadata(folder: Path) -> Metadata:
    """Read and check the metadata of a bag folder.

    Raises:
        BagError: the file is missing, is not YAML, or lacks what is needed to read the bag.
    """
    path = folder / METADATA_FILE
    try:
        document = read_yaml(path)
    except OSError as error:
        raise BagError(f'{path} cannot be read: {error} Without it each storage file of the '
                       'folder can be read by itself') from error
    except ValueError as error:
        raise BagError(f'{path} is {error}; `ros2 bag reindex` writes it anew') from error
    try:
        return _parse(folder, document[_ROOT])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BagError(f'{path} is not the metadata of a rosbag2 bag ({error!r}); '
                       '`ros2 bag reindex` writes it anew') from error


def _parse(folder: Path, info: Any) -> Metadata:
    topics = [_topic(entry['topic_metadata'], int(entry['message_count']))
              for entry in info.get('topics_with_message_count') or ()]
    files = tuple(folder / _inside(name) for name in info['relative_file_paths'])
    compression = str(info.get('compression_format') or '').lower()
    mode = str(info.get('compression_mode') or '').lower()
    if mode in ('', 'none'):
        compression = mode = ''
    if compression not in ('', 'zstd') or mode not in ('', 'file', 'message'):
        raise BagError(
            f'{folder}: compression {compression!r} by {mode!r} is not supported, want zstd by '
            'file or message; `ros2 bag convert` writes the bag uncompressed')
    return Metadata(files, {topic.name: topic for topic in topics}, compression, mode)


def _topic(entry: Any, count: int) -> Topic:
    qos = entry.get('offered_qos_profiles')   # text up to version 8
    return Topic(str(entry['name']), str(entry.get('type', '')), count,
                 str(entry.get('serialization_format', 'cdr')),
                 is_latched(qos if isinstance(qos, str) else str(yaml.safe_dump(qos))))


def _inside(name: Any) -> str:
    """Return a storage file's name. Version 1 bags name it with their folder: that is dropped."""
    if not isinstance(name, str) or not Path(name).name:
        raise ValueError(f'storage file {name!r}')
    return Path(name).name


def write_metadata(folder: Path, file: str, channels: Sequence[Channel], counts: Mapping[int, int],
                   begin: int, end: int) -> None:
    """Write the metadata of a bag of one MCAP file.

    Version 5, which every ROS 2 since Humble reads.

    Args:
        folder: of the bag.
        file: name of the storage file in it.
        channels: all topics.
        counts: messages by number of the channel, from 1.
        begin: time of the first message in nanoseconds since 1970.
        end: of the last.
    """
    time = {'starting_time': {'nanoseconds_since_epoch': begin},
            'duration': {'nanoseconds': end - begin}, 'message_count': sum(counts.values())}
    document = {_ROOT: {
        'version': 5, 'storage_identifier': 'mcap', **time,
        'topics_with_message_count': [
            {'topic_metadata': {'name': channel.topic, 'type': channel.kind,
                                'serialization_format': 'cdr',
                                'offered_qos_profiles': channel.qos},
             'message_count': counts[number]}
            for number, channel in enumerate(channels, 1)],
        'compression_format': '', 'compression_mode': '', 'relative_file_paths': [file],
        'files': [{'path': file, **time}],
    }}
    part = folder / f'{METADATA_FILE}.part'
    part.write_text(yaml.dump(document, Dumper=_Plain, sort_keys=False), encoding='utf-8')
    os.replace(part, folder / METADATA_FILE)


def qos_text(latched: bool) -> str:
    """Return rosbag2's ``offered_qos_profiles`` of the node's topics: reliable, keep last 1.

    Numbers are those of ``rmw/types.h``, which every version of rosbag2 takes.
    """
    none = {'sec': 0, 'nsec': 0}
    return str(yaml.dump([{
        'history': 1, 'depth': 1, 'reliability': 1, 'durability': 1 if latched else 2,
        'deadline': none, 'lifespan': none, 'liveliness': 1, 'liveliness_lease_duration': none,
        'avoid_ros_namespace_conventions': False}], Dumper=_Plain, sort_keys=False))


class _Plain(yaml.SafeDumper):
    """Without references (&id001): not every reader of YAML knows them."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
