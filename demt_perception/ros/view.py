"""Brings a perception node's topics to the page of `demt view`: subscribes to what is looked at.

While no page is open it subscribes to nothing, and the node computes nothing for it.
"""

from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
import threading
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage, Image

from demt_perception.ros.ending import end_at_once, spin_until
from demt_perception.ros.optional_messages import demt_msgs
from demt_perception.ros.own_group import own_group
from demt_perception.ros.pixels import pixels_of
from demt_perception.ros.serialized import deserialize
from demt_perception.ros.serialized_image import image_array, stamp_ns
from demt_perception.ros.view_reports import class_names, classes, Health, stats_report
from demt_perception.ros.view_topics import camera_of, COMPRESSED, input_topics, output_topics
from demt_perception.view.frame import Frame
from demt_perception.view.hub import Hub
from demt_perception.view.server import ViewServer
from demt_perception.view.topics import Topic

PERIOD = 0.2
GRAPH_PERIOD = 1.0
_NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
STATS, LABELS = 'stats', 'semantic/label_table'


class Bridge(Node):
    """Feeds a hub from one perception node."""

    def __init__(self, hub: Hub, target: str) -> None:
        """Look at the node with this full name, whether it is there yet or not."""
        super().__init__('demt_view')
        self._hub, self._target = hub, target
        self._topics: dict[str, Topic] = {}
        self._compressed: set[str] = set()
        self._images: dict[str, Any] = {}
        self._reports: dict[str, Any] = {}
        self._labels: dict[str, list[dict[str, Any]]] = {}
        self._health = Health(target)
        self._looked = -GRAPH_PERIOD
        self._hint = ''
        # Steady time: the page goes on while a simulated clock stands still.
        self.create_timer(PERIOD, self._attend, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _attend(self) -> None:
        """Subscribe to what viewers want, and to nothing where there are none."""
        watched, wanted = self._hub.wanted()
        if not watched:
            self._drop(self._images, set())
            self._drop(self._reports, set())
            self._looked = -GRAPH_PERIOD
            return
        if time.monotonic() - self._looked >= GRAPH_PERIOD:
            self._looked = time.monotonic()
            self._read_graph()
        self._drop(self._images, set(wanted))
        for name in (wanted & self._topics.keys()) - self._images.keys():
            kind = CompressedImage if name in self._compressed else Image
            self._images[name] = self.create_subscription(
                kind, name, partial(self._on_image, self._topics[name], kind), _NEWEST, raw=True,
                callback_group=own_group())
        self._tell()

    def _read_graph(self) -> None:
        """Find the node's topics; they change with its model and its cameras."""
        namespace, _, name = self._target.rpartition('/')
        try:
            out = self.get_publisher_names_and_types_by_node(name, namespace or '/')
            inputs = self.get_subscriber_names_and_types_by_node(name, namespace or '/')
        except Exception:   # rclpy's own for an unknown node; its module differs by distribution
            out, inputs = [], []
        outputs = output_topics(self._target, out)
        cameras = sorted({topic.camera for topic in outputs})
        topics = [*outputs, *input_topics(inputs, cameras)]
        self._compressed = {name for name, types in inputs if COMPRESSED in types}
        self._topics = {topic.name: topic for topic in topics}
        self._hint = '' if outputs else self._why_nothing(bool(out))
        kinds: dict[str, tuple[Any, Any, Callable[[Any], None]]] = {
            '/diagnostics': (DiagnosticArray, 10, self._health.add)}
        for topic, _ in out if demt_msgs else ():
            camera = camera_of(self._target, topic, STATS)
            if camera is not None:
                kinds[topic] = demt_msgs.InferenceStats, 10, partial(self._on_stats, camera)
            camera = camera_of(self._target, topic, LABELS)
            if camera is not None:
                kinds[topic] = demt_msgs.LabelTable, _LATCHED, partial(self._on_labels, camera)
        self._drop(self._reports, set(kinds))
        for topic in kinds.keys() - self._reports.keys():
            kind, qos, callback = kinds[topic]
            self._reports[topic] = self.create_subscription(
                kind, topic, callback, qos, callback_group=own_group())

    def _why_nothing(self, found: bool) -> str:
        if found:
            return f'{self._target} publishes no pictures: it is not configured yet'
        others = sorted(
            f'{namespace.rstrip("/")}/{name}'
            for name, namespace in self.get_node_names_and_namespaces() if name != 'demt_view')
        seen = f'nodes seen: {", ".join(others[:6])}' if others else (
            'no node is seen at all: is ROS_DOMAIN_ID the same?')
        return f'waiting for the node {self._target}; {seen}'

    def _tell(self) -> None:
        self._hub.set_state(
            {'node': self._target, 'hint': self._hint, 'labels': self._labels.copy(),
             'health': self._health.now(),
             'topics': [{'name': topic.name, 'title': topic.title, 'camera': topic.camera,
                         'shown': topic.shown, 'default': topic.default}
                        for topic in self._topics.values()]},
            self._topics.values(),
            {camera: class_names(entries) for camera, entries in self._labels.items()})

    def _on_image(self, topic: Topic, kind: Any, data: bytes) -> None:
        try:
            stamp = stamp_ns(data)
        except ValueError:   # not even a stamp: nothing that could be shown
            return
        self._hub.put(topic.name, Frame(
            stamp, time.time(), partial(_pixels, topic, kind, data), rgb=not topic.input))

    def _on_stats(self, camera: str, message: Any) -> None:
        self._hub.add_report(stats_report(message, camera))

    def _on_labels(self, camera: str, message: Any) -> None:
        self._labels[camera] = classes(message)

    def _drop(self, subscriptions: dict[str, Any], kept: set[str]) -> None:
        for name in subscriptions.keys() - kept:
            self.destroy_subscription(subscriptions.pop(name))


def _pixels(topic: Topic, kind: Any, data: bytes) -> np.ndarray:
    """Return the pixels of a serialised message; ValueError where it is damaged."""
    if topic.input:
        return pixels_of(deserialize(data, kind))
    return image_array(data)


def run(target: str, host: str, port: int, ready: Callable[[ViewServer], None],
        reasons: 'SimpleQueue[Any]') -> None:
    """Serve the page until there is a reason to end.

    Args:
        target: full name of the perception node.
        host: address to listen on.
        port: to listen on; 0 takes a free one.
        ready: is called when the page can be opened.
        reasons: see ``ending.note_signals``.

    Raises:
        OSError: the port is taken.
    """
    hub = Hub({'node': target, 'hint': 'looking for the node', 'labels': {}, 'health': [],
               'topics': []})
    with ViewServer(host, port, hub) as server:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        bridge = Bridge(hub, target)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        ready(server)
        reason, ended = spin_until(bridge, reasons)
        hub.close()
        server.shutdown()
        thread.join()
        if isinstance(reason, Exception):
            raise reason
        if not ended:
            end_at_once(0)
        rclpy.try_shutdown()
