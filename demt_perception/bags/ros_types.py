"""ROS message types without ROS: the library ``rosbags`` knows their fields and layouts.

Imported where it is needed only: reading a bag of ROS 2 needs none of it.
"""

from functools import cache
from typing import Any

from demt_perception.bags.records import BagError
from demt_perception.share import share_file

# vision_msgs 4, which is not among rosbags' types. Fields only: the comments are not ours.
_VISION_MSGS = {
    'vision_msgs/msg/VisionClass': 'uint16 class_id\nstring class_name\n',
    'vision_msgs/msg/LabelInfo':
        'std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n',
}
LABEL_TABLE, LABEL_INFO = 'demt_msgs/msg/LabelTable', 'vision_msgs/msg/LabelInfo'


def _rosbags() -> Any:
    try:
        from rosbags import typesys
    except ImportError as error:
        raise BagError('this needs the package rosbags: pip install rosbags') from error
    return typesys


@cache
def ros2_types() -> Any:
    """Return the ``Typestore`` of ROS 2, with the messages that the node publishes.

    Raises:
        BagError: the package ``rosbags`` is missing.
    """
    typesys = _rosbags()
    store = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
    texts = {**_VISION_MSGS, LABEL_TABLE: share_file(
        'demt_msgs/msg/LabelTable.msg').read_text(encoding='utf-8')}
    for name, text in texts.items():
        store.register(typesys.get_types_from_msg(text, name))
    return store


@cache
def ros1_types() -> Any:
    """Return the ``Typestore`` of ROS 1.

    Raises:
        BagError: the package ``rosbags`` is missing.
    """
    typesys = _rosbags()
    return typesys.get_typestore(typesys.Stores.ROS1_NOETIC)


@cache
def is_alike(name: str, md5: str) -> bool:
    """Tell whether a type of ROS 1 has, but for ``Header.seq``, the fields of ROS 2's.

    Args:
        name: as ROS 2 has it, ``sensor_msgs/msg/Image``.
        md5: of its definition in a ROS 1 bag; ``*`` for any.
    """
    one, two = ros1_types(), ros2_types()
    if name not in one.fielddefs or name not in two.fielddefs:
        return False
    return md5 in ('*', one.generate_msgdef(name, ros_version=1)[1]) and (
        _fields(one, name) == _fields(two, name))


def schema(name: str) -> str:
    """Return the definition of a type and all within it, as MCAP's ``ros2msg`` wants it."""
    text: str = ros2_types().generate_msgdef(name, ros_version=2)[0]
    return text


def decode(data: bytes, name: str) -> Any:
    """Return a message; its arrays are NumPy's, views into the data where they can be.

    Raises:
        ValueError: the data are not such a message.
    """
    try:
        return ros2_types().deserialize_cdr(data, name)
    except Exception as error:  # the library answers damage with many kinds
        raise ValueError(f'not a whole {name}: {type(error).__name__}: {error}') from error


def _fields(store: Any, name: str) -> list[Any]:
    """Return names and types of all fields, those of fields' types included."""
    found: list[Any] = []
    for field, description in store.fielddefs[name][1]:
        if name == 'std_msgs/msg/Header' and field == 'seq':
            continue
        found.append((field.lower(), str(description)))
        inner = description
        while not isinstance(inner[1], str) and not isinstance(inner[1][0], str):
            inner = inner[1][0]
        if isinstance(inner[1], str):
            found.append(_fields(store, inner[1]))
    return found
