"""What a bag holds, and how reading one can fail."""

from dataclasses import dataclass
from typing import NamedTuple


class BagError(Exception):
    """A bag cannot be read; the text names the file, what is wrong with it and the remedy."""


class IncompleteBagError(BagError):
    """Raised after the last readable message, where a bag holds fewer than it should."""


@dataclass(frozen=True)
class Topic:
    """One topic of a bag.

    Attributes:
        name: full topic name.
        type: ROS type, e.g. ``sensor_msgs/msg/Image``.
        count: number of messages; None where the storage does not tell without reading it all.
        encoding: serialization of the messages; ``cdr`` for everything written by ROS 2.
    """

    name: str
    type: str
    count: int | None
    encoding: str = 'cdr'


class Message(NamedTuple):
    """One recorded message, still serialised."""

    topic: str
    time_ns: int  # when it was recorded, nanoseconds since 1970
    data: bytes
