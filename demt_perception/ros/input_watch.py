"""Watches the way that images take to the node: who publishes them, and what gets lost."""

from collections import deque
import os
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import qos_check_compatible, QoSCompatibility, QoSProfile
from rclpy.utilities import get_rmw_implementation_identifier

from demt_perception.ros.frame_statistics import INFOS, LOST, Snapshot
from demt_perception.ros.silence import (
    discovery_hint,
    fewer_images_text,
    loss_text,
    Seen,
    silence_text,
    transport_cure,
)

# Fewer are lost on any network now and then.
_LOST_SHARE = 0.05
# Reports over which images and camera_infos are compared, and how many fewer are too few.
_REPORTS = 5
_FEWEST_INFOS = 10
_FEWER = 0.8


class InputWatch:
    """Judges one image subscription, once for each report."""

    def __init__(self, node: LifecycleNode, name: str, topic: str, kind: str, qos: QoSProfile,
                 ) -> None:
        """Watch a topic (full name) that the node subscribes to with this type and quality.

        ``name``: what has to be remapped for another one.
        """
        self._node = node
        self._name = name
        self._topic = topic
        self._kind = kind
        self._qos = qos
        self._cure = transport_cure(get_rmw_implementation_identifier())
        self._history: deque[tuple[int, int]] = deque(maxlen=_REPORTS)
        self._lost = 0   # while images came: they do not explain why none comes

    def silence(self, snapshot: Snapshot) -> str:
        """Explain why no frame comes any more."""
        publishers = [self._seen(info)
                      for info in self._node.get_publishers_info_by_topic(self._topic)]
        return silence_text(
            self._topic, self._kind, _qos_text(self._qos), publishers,
            self._foreign_topics(),
            snapshot.events.get(LOST, 0) - self._lost, self._cure, discovery_hint(os.environ),
            self._name)

    def loss(self, snapshot: Snapshot) -> str:
        """Say how many images were lost on the way since the last snapshot; '' if all is well."""
        came = snapshot.received - self._history[-1][0] if self._history else snapshot.received
        self._history.append((snapshot.received, snapshot.events.get(INFOS, 0)))
        self._lost = snapshot.events.get(LOST, 0)
        lost = snapshot.new.get(LOST, 0)
        if lost > _LOST_SHARE * (lost + came):
            return loss_text(self._topic, lost, came, self._cure)
        images, infos = (new - old for new, old in zip(
            self._history[-1], self._history[0], strict=True))
        if infos >= _FEWEST_INFOS and images < _FEWER * infos:
            return fewer_images_text(self._topic, images, infos, self._cure)
        return ''

    def _foreign_topics(self) -> dict[str, list[str]]:
        """Return the types of all topics but the node's own."""
        own = f'{self._node.get_fully_qualified_name()}/'
        return {name: types for name, types in self._node.get_topic_names_and_types()
                if not name.startswith(own)}

    def _seen(self, info: Any) -> Seen:
        compatible, reason = qos_check_compatible(info.qos_profile, self._qos)
        return Seen(
            f'{info.node_namespace.rstrip("/")}/{info.node_name}', info.topic_type,
            _qos_text(info.qos_profile),
            reason if compatible == QoSCompatibility.ERROR else '')


def _qos_text(qos: QoSProfile) -> str:
    return f'{qos.reliability.name} {qos.durability.name}'.lower()
