"""The model card's classes as messages, of packages that may not be installed here."""

from types import SimpleNamespace

import pytest

messages = pytest.importorskip('std_msgs.msg', reason='ROS 2 is not installed')
pytest.importorskip('rosbags', reason='the package rosbags is not installed')
from builtin_interfaces.msg import Time

from demt_perception.bags.ros_types import LABEL_INFO, ros2_types
from demt_perception.model_card import load_card
from demt_perception.ros import labels


def test_the_label_info_numbers_the_classes_as_the_masks_do(tiny_model, monkeypatch):
    """With the fields of vision_msgs, as a bag has them."""
    types, card, stamp = ros2_types().types, load_card(tiny_model), Time(sec=7)
    monkeypatch.setattr(labels, 'vision_msgs', SimpleNamespace(
        VisionClass=types['vision_msgs/msg/VisionClass'],
        LabelInfo=lambda **fields: types[LABEL_INFO](messages.Header(), threshold=0.0, **fields)))
    info = labels.make_label_info(card, stamp)
    assert info.header.stamp == stamp
    assert [(c.class_id, c.class_name) for c in info.class_map] == list(enumerate(card.classes))
