"""Serialised messages, read by rclpy with the one check that its middleware lacks."""

from typing import Any

from rclpy.serialization import deserialize_message

_HEADER = 4   # of CDR: kind, and options whose two lowest bits count the bytes of padding


def deserialize(data: bytes, kind: type) -> Any:
    """Return a message.

    Padding that is longer than what follows the header, 4 bytes in all, ends a process in Fast CDR
    2.3 by a segmentation fault.

    Raises:
        ValueError: the bytes are not such a message.
    """
    if len(data) < _HEADER or len(data) - _HEADER < data[3] & 3:
        raise ValueError(f'{len(data)} bytes are no message: it is cut off')
    try:
        return deserialize_message(data, kind)
    except Exception as error:  # rclpy raises its own C error type, unknown to Python
        raise ValueError(f'not a whole {kind.__name__}: {error}') from error
