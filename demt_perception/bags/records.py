"""What a bag holds, and how reading one can fail."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import errno
from pathlib import Path
import re
from typing import NamedTuple

MOST_BYTES = 1 << 30
"""Of one record, chunk or message, packed and unpacked. No honest one is larger: a chunk of
rosbag2 has a megabyte or one message, and the greatest picture that the node takes 200 MB."""


class BagError(Exception):
    """A bag cannot be read; the text names the file, what is wrong with it and the remedy."""


class IncompleteBagError(BagError):
    """Raised after the last readable message, where a bag holds fewer than it should."""


class ReadingError(BagError):
    """Reading failed, and not by damage of the bag: another try may go further."""


def is_of_machine(error: Exception) -> bool:
    """Tell a failing disk, missing memory or a missing package from damage of a file.

    Of errors of the system, damage causes two: bz2 has one without a number for it, and to seek
    where no file can reach is EINVAL.
    """
    if isinstance(error, OSError):
        return error.errno not in (None, errno.EINVAL)
    return isinstance(error, (MemoryError, ImportError))


@contextmanager
def machine_errors(path: Path) -> Iterator[None]:
    """Say in one line what of the machine kept a bag from being read, and what to do."""
    try:
        yield
    except OSError as error:
        remedy = ('let programs have more files open, by `ulimit -n 4096`, and'
                  if error.errno in (errno.EMFILE, errno.ENFILE) else
                  'let this user read it, and' if isinstance(error, PermissionError) else
                  'when the disk or the connection works again,')
        raise ReadingError(f'{path} cannot be read: {error}; {remedy} give the same command '
                           'once more') from error
    except MemoryError as error:
        raise ReadingError(f'{path} cannot be read: there is not enough memory; end other '
                           'programs and give the same command once more') from error
    except ImportError as error:
        package = (error.name or '').partition('.')[0]
        raise ReadingError(f'{path} cannot be read: {error}'
                           + f'; pip install {package}' * bool(package)) from error


@dataclass(frozen=True)
class Topic:
    """One topic of a bag.

    Attributes:
        name: full topic name.
        type: ROS type, e.g. ``sensor_msgs/msg/Image``.
        count: number of messages; None where the storage does not tell without reading it all.
        encoding: serialization of the messages; ``cdr`` for everything written by ROS 2.
        latched: whether who comes late was to get the last message, too (transient local).
    """

    name: str
    type: str
    count: int | None
    encoding: str = 'cdr'
    latched: bool = False


def is_latched(qos: object) -> bool:
    """Tell whether rosbag2's ``offered_qos_profiles`` say transient local, by number or name."""
    return isinstance(qos, str) and bool(re.search(r'durability: (1|transient_local)\b', qos))


class Message(NamedTuple):
    """One recorded message, still serialised."""

    topic: str
    time_ns: int  # when it was recorded, nanoseconds since 1970
    data: bytes


@dataclass(frozen=True)
class Channel:
    """One topic of a bag to be written.

    Attributes:
        topic: full name.
        kind: ROS type, ``sensor_msgs/msg/Image``.
        schema: its definition, as ``ros2msg`` has it.
        qos: YAML text of rosbag2's ``offered_qos_profiles``.
    """

    topic: str
    kind: str
    schema: str
    qos: str
