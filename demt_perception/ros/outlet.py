"""The publishers of one camera, each fed only while somebody subscribes."""

from collections.abc import Callable, Iterable
from functools import partial
import time
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import Image

from demt_perception.inference import Predictions
from demt_perception.model_card import ModelCard
from demt_perception.ros.composites import composites_of, View
from demt_perception.ros.conversions import ImageFiller
from demt_perception.ros.frame import check_age, check_given_up, Result
from demt_perception.ros.labels import make_label_info, make_label_table
from demt_perception.ros.optional_messages import demt_msgs, vision_msgs
from demt_perception.ros.outputs import Output, outputs_of
from demt_perception.ros.own_group import own_group

try:
    from rclpy.exceptions import InvalidHandle
except ImportError:  # Humble
    from rclpy.handle import InvalidHandle

SEMANTIC = 'semantic/image'
# Published before the first result of a model, and kept for who subscribes later.
_LABELS = {'semantic/label_table': (demt_msgs and demt_msgs.LabelTable, make_label_table),
           'semantic/label_info': (vision_msgs and vision_msgs.LabelInfo, make_label_info)}


class Outlet:
    """Publishes predictions below the node's name, and the camera's where it has one.

    Attributes:
        sending: the topic while a message is being sent on it; else ''.
    """

    def __init__(self, node: LifecycleNode, prefix: str, card: ModelCard, sureness: bool) -> None:
        """Advertise every topic that the model can feed, and publish its labels.

        Args:
            node: creates the publishers.
            prefix: before each topic: '' or 'NAME/'.
            card: of the model.
            sureness: see ``outputs_of``.
        """
        self._node = node
        self._prefix = prefix
        self.sending = ''
        self._publishers: dict[str, Any] = {}
        self._fillers: dict[str, ImageFiller] = {}
        self._kept: dict[str, Any] = {}
        # By label topic: the publisher that last sent labels, and which.
        self._labels: dict[str, tuple[Any, Any]] = {}
        self.offer(card, sureness)

    def offer(self, card: ModelCard, sureness: bool, at_once: bool = False) -> None:
        """Advertise what a model adds, and take back what it lacks.

        Frames may be published meanwhile, from another thread. So its labels follow with its
        first result: until then masks of the model before may come, whose ids mean other classes.

        Args:
            card: of the model.
            sureness: see ``outputs_of``.
            at_once: publish its labels now: no result of another one can come.
        """
        kinds = _kinds(card, sureness)
        publishers = {topic: publisher for topic, publisher in self._publishers.items()
                      if topic in kinds}
        new: dict[str, Any] = {}
        try:
            for topic in kinds.keys() - publishers.keys():
                new[topic] = self._advertise(topic, kinds[topic])
        except Exception:   # e.g. a wrong qos_overrides parameter
            _destroy(self._node, new)
            raise
        # In one step: who publishes sees the topics before or after, and nothing in between.
        before, self._publishers = self._publishers, publishers | new
        self._sureness = sureness
        _destroy(self._node, {topic: before[topic] for topic in before.keys() - kinds.keys()})
        self._announce(card, kinds.keys() if at_once else new.keys())

    def destroy(self) -> None:
        """Take the topics back; nothing may be published after."""
        _destroy(self._node, self._publishers)

    def wanted(self, card: ModelCard, tasks: tuple[str, ...],
               ) -> tuple[frozenset[str], tuple[str, ...]]:
        """Return the topics of some tasks of a model that have subscribers.

        And those of the tasks that they are made of.
        """
        made = {output.topic: {output.task}
                for output in outputs_of(tasks, card.outputs, self._sureness)}
        made |= {composite.topic: set(composite.needs + composite.uses or tasks)
                 for composite in composites_of(tasks, self._sureness)}
        topics = frozenset(filter(self._is_heard, made))
        needed = set().union(*(made[topic] for topic in topics))
        return topics, tuple(name for name in tasks if name in needed)

    def publish(self, result: Result, tasks: tuple[str, ...], decimation: int,
                ) -> dict[str, float]:
        """Publish the wanted topics; return the seconds spent on filling and sending each.

        The outputs are computed here as they are asked for; ``Predictions`` times that itself.

        Args:
            result: of a frame.
            tasks: those of its tasks that are published.
            decimation: every how many pixels and rows there is a point of the cloud.

        Raises:
            BadImageError: the frame has become too old, or its publication was given up; the rest
                is not published.
        """
        predictions = result.predictions
        check_given_up(result)
        self._announce(predictions.card, self._publishers.keys())
        outputs = outputs_of(tasks, predictions.card.outputs, self._sureness)
        view = View(result.frame.message.header, predictions, result.camera_info, outputs,
                    self._fill, self._kept, decimation)
        seconds: dict[str, float] = {}

        def send(topic: str, make: Callable[[], Any]) -> None:
            if topic not in result.wanted:
                return
            check_given_up(result)   # before messages are filled that others may have by now
            begin, computed = time.perf_counter(), sum(predictions.timings.values())
            message = make()
            if message is not None:
                check_given_up(result)
                check_age(result.camera, result.frame)
                self._send(topic, message)
                seconds[topic] = time.perf_counter() - begin - (
                    sum(predictions.timings.values()) - computed)

        for output in outputs:
            send(output.topic, partial(view.image, output))
        for composite in composites_of(tasks, self._sureness):
            send(composite.topic, partial(composite.make, view))
        return seconds

    def _advertise(self, topic: str, kind: type) -> Any:
        return self._node.create_publisher(
            kind, f'~/{self._prefix}{topic}', _qos(latched=topic in _LABELS),
            callback_group=own_group(),
            qos_overriding_options=QoSOverridingOptions.with_default_policies())

    def _announce(self, card: ModelCard, topics: Iterable[str]) -> None:
        """Publish the labels of a model on those topics that last had others.

        A result without classes has none to tell: it may be the last of a model before.
        """
        if 'semseg' not in card.tasks:
            return
        labels = card.name, card.classes, card.palette
        for topic in _LABELS.keys() & topics:
            publisher = self._publishers.get(topic)
            if publisher is not None and self._labels.get(topic) != (publisher, labels):
                self._send(topic, _LABELS[topic][1](card, self._node.get_clock().now().to_msg()))
                self._labels[topic] = publisher, labels

    def _fill(self, output: Output, predictions: Predictions, header: Any) -> Any:
        if output.topic not in self._fillers:
            self._fillers[output.topic] = ImageFiller(Image(), output.encoding)
        return self._fillers[output.topic].fill(getattr(predictions, output.attribute), header)

    def _is_heard(self, topic: str) -> bool:
        publisher = self._publishers.get(topic)
        try:
            return publisher is not None and publisher.get_subscription_count() > 0
        except InvalidHandle:   # another model came, which has it not
            return False

    def _send(self, topic: str, message: Any) -> None:
        publisher = self._publishers.get(topic)
        try:
            if publisher is not None:
                self.sending = publisher.topic_name
                publisher.publish(message)
        except InvalidHandle:   # as above
            pass
        finally:
            self.sending = ''


def _destroy(node: LifecycleNode, publishers: dict[str, Any]) -> None:
    for publisher in publishers.values():
        node.destroy_publisher(publisher)


def _kinds(card: ModelCard, sureness: bool) -> dict[str, type]:
    """Return the message type of every topic, as far as message packages are installed."""
    kinds: dict[str, type] = {
        output.topic: Image for output in outputs_of(card.tasks, card.outputs, sureness)}
    kinds |= {composite.topic: composite.kind
              for composite in composites_of(card.tasks, sureness)}
    if SEMANTIC in kinds:
        kinds |= {topic: kind for topic, (kind, _) in _LABELS.items() if kind}
    return kinds


def _qos(latched: bool) -> QoSProfile:
    """Reliable serves best-effort subscribers too; the other way round RViz would see nothing.

    A new profile for each publisher: rclpy writes the user's overrides into it.
    """
    return QoSProfile(
        depth=1, reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE)
