"""The model card's classes as messages."""

from typing import Any

from demt_perception.model_card import ModelCard
from demt_perception.ros.optional_messages import demt_msgs, vision_msgs


def make_label_table(card: ModelCard, stamp: Any) -> Any:
    """Return demt_msgs/LabelTable."""
    from std_msgs.msg import ColorRGBA
    table = demt_msgs.LabelTable(
        model=card.name, ids=list(range(len(card.classes))), names=list(card.classes),
        colors=[ColorRGBA(r=r / 255, g=g / 255, b=b / 255, a=1.0) for r, g, b in card.palette])
    table.header.stamp = stamp
    return table


def make_label_info(card: ModelCard, stamp: Any) -> Any:
    """Return vision_msgs/LabelInfo: the convention that segmentation consumers follow."""
    info = vision_msgs.LabelInfo(class_map=[
        vision_msgs.VisionClass(class_id=index, class_name=name)
        for index, name in enumerate(card.classes)])
    info.header.stamp = stamp
    return info
