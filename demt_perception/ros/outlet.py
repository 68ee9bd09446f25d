"""The publishers of a loaded model, each fed only while somebody subscribes."""

import time
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image

from demt_perception.model_card import ModelCard
from demt_perception.ros.camera_model import scaled_camera_info
from demt_perception.ros.conversions import ImageFiller
from demt_perception.ros.labels import make_label_info, make_label_table
from demt_perception.ros.optional_messages import demt_msgs, vision_msgs
from demt_perception.ros.outputs import Output, outputs_of
from demt_perception.ros.pipeline import Result

SEMANTIC, DEPTH = 'semantic/image', 'depth/image'
CAMERA_INFO = 'depth/camera_info'
DENSE = 'dense'
LABEL_TABLE, LABEL_INFO = 'semantic/label_table', 'semantic/label_info'
_LABELS = {LABEL_TABLE: make_label_table, LABEL_INFO: make_label_info}

class Outlet:
    """Publishes predictions of one model below the node's name."""

    def __init__(self, node: LifecycleNode, card: ModelCard) -> None:
        """Advertise every topic that the model can feed, and publish its labels."""
        self._node = node
        self._publishers: dict[str, Any] = {}
        self._fillers: dict[str, ImageFiller] = {}
        try:
            self.set_card(card)
        except Exception:  # e.g. a wrong qos_overrides parameter
            self.destroy()
            raise

    def set_card(self, card: ModelCard) -> None:
        """Serve another model: advertise what it adds, take back what it lacks."""
        self._card = card
        outputs = outputs_of(card.tasks)
        kinds = _kinds(outputs)
        for topic in self._publishers.keys() - kinds.keys():
            self._node.destroy_publisher(self._publishers.pop(topic))
        for topic in kinds.keys() - self._publishers.keys():
            self._publishers[topic] = self._node.create_publisher(
                kinds[topic], f'~/{topic}', _qos(latched=topic in _LABELS),
                qos_overriding_options=QoSOverridingOptions.with_default_policies())
        self._fillers = {output.topic: ImageFiller(Image(), output.encoding)
                         for output in outputs}
        stamp = self._node.get_clock().now().to_msg()
        for topic in kinds.keys() & _LABELS.keys():
            self._publishers[topic].publish(_LABELS[topic](card, stamp))

    def destroy(self) -> None:
        """Take the topics back; nothing may be published after."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)

    def wanted(self, tasks: tuple[str, ...]) -> frozenset[str]:
        """Return the topics of these tasks that have subscribers."""
        return frozenset(
            topic for topic in _kinds(outputs_of(tasks)).keys() - _LABELS.keys()
            if topic in self._publishers and self._publishers[topic].get_subscription_count())

    def publish(self, result: Result, tasks: tuple[str, ...]) -> float:
        """Publish the wanted topics; return the seconds spent on filling and sending.

        The outputs are computed here as they are asked for; ``Predictions`` times that itself.
        """
        header = result.frame.message.header
        wanted = result.wanted
        images: dict[str, Any] = {}
        seconds = 0.0
        for output in outputs_of(tasks):
            if output.topic not in wanted and not (DENSE in wanted and output.in_dense):
                continue
            pixels = getattr(result.predictions, output.attribute)
            begin = time.perf_counter()
            message = self._fillers[output.topic].fill(pixels, header)
            if output.in_dense:
                images[output.in_dense] = message
            if output.topic in wanted:
                self._publishers[output.topic].publish(message)
            seconds += time.perf_counter() - begin
        begin = time.perf_counter()
        info = self._output_camera_info(result, header)
        if info is not None and CAMERA_INFO in wanted:
            self._publishers[CAMERA_INFO].publish(info)
        if DENSE in wanted:
            # The images are the messages just published: nothing is copied for this one.
            self._publishers[DENSE].publish(demt_msgs.DensePrediction(
                header=header, model=self._card.name, camera_info=info or CameraInfo(), **images))
        return seconds + time.perf_counter() - begin

    def _output_camera_info(self, result: Result, header: Any) -> Any:
        if result.camera_info is None or not result.wanted & {CAMERA_INFO, DENSE}:
            return None
        height, width = result.predictions.size
        info = scaled_camera_info(result.camera_info, width, height)
        info.header = header
        return info


def _kinds(outputs: tuple[Output, ...]) -> dict[str, type]:
    """Return the message type of every topic, as far as message packages are installed."""
    kinds: dict[str, type] = {output.topic: Image for output in outputs}
    if DEPTH in kinds:
        kinds[CAMERA_INFO] = CameraInfo
    if demt_msgs:
        kinds[DENSE] = demt_msgs.DensePrediction
    if SEMANTIC in kinds and demt_msgs:
        kinds[LABEL_TABLE] = demt_msgs.LabelTable
    if SEMANTIC in kinds and vision_msgs:
        kinds[LABEL_INFO] = vision_msgs.LabelInfo
    return kinds


def _qos(latched: bool) -> QoSProfile:
    """Reliable serves best-effort subscribers too; the other way round RViz would see nothing.

    A new profile for each publisher: rclpy writes the user's overrides into it.
    """
    return QoSProfile(
        depth=1, reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE)
