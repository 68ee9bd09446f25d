"""The subscriptions: images into the pipeline, camera_info beside them."""

from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from demt_perception.ros.bad_image import BadImageError
from demt_perception.ros.camera_model import BadCameraInfoError, check_camera_info, is_distorted
from demt_perception.ros.conversions import check_image
from demt_perception.ros.frame_statistics import INFOS, LOST, Statistics
from demt_perception.ros.input_watch import InputWatch
from demt_perception.ros.own_group import own_group
from demt_perception.ros.received_image import receive_image
from demt_perception.ros.rectification import describe_image, judge_rectified, unknown_lens
from demt_perception.ros.silence import COMPRESSED, IMAGE
from demt_perception.ros.stamps import Order, StampOrder

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

# Newest camera_infos that an image is still looked up in: what may wait is one image.
_INFOS_KEPT = 10
# Longer than a camera_info needs to be discovered: before, its absence says nothing.
_FRAMES_WITHOUT_INFO = 60


class Reception:
    """Listens to one camera.

    Attributes:
        watch: judges what comes, and why nothing comes.
        newest: stamp of the newest frame in nanoseconds; None before the first.
        size: (width, height) of the newest image that was converted; None before the first.
    """

    def __init__(self, node: LifecycleNode, prefix: str, compressed: bool, statistics: Statistics,
                 submit: Callable[[Any, int], None],
                 report_drop: Callable[[str, str], None], rectified: str = 'auto',
                 before: 'Reception | None' = None) -> None:
        """Subscribe to ``image`` (or its ``/compressed``) and the camera_info beside it.

        Args:
            node: subscribes; its remapping holds.
            prefix: before the topic: '' or 'NAME/'.
            compressed: take CompressedImage.
            statistics: counts what comes.
            submit: takes each good message and its stamp in nanoseconds.
            report_drop: takes reason and text of each other.
            rectified: see ``judge_rectified``.
            before: listened to the same camera: its camera_info holds until another comes.
        """
        self._node = node
        self._statistics = statistics
        self._submit = submit
        self._report_drop = report_drop
        self._read = (lambda message: message) if compressed else _read
        self._order = StampOrder()
        self.size: tuple[int, int] | None = None
        self._without_info = 0
        self.newest: int | None = None
        # As image_transport has it: the names follow from where `image` is remapped to, but where
        # they are remapped themselves.
        name = f'{prefix}image'
        self._images = self._subscribe_images(
            CompressedImage if compressed else Image,
            _remapped_or(node, f'{name}/compressed', f'{node.resolve_topic_name(name)}/compressed')
            if compressed else name)
        self._topic = self._images.topic_name
        self._parameter = f'{prefix.replace("/", ".")}rectified'
        self._rectified, self._how = judge_rectified(self._topic, rectified, self._parameter)
        self._told: str = '' if before is None else before._told
        self._sent: Any = None if before is None else before._sent   # as it was sent
        self._info: Any = None   # of the images as they are
        self._by_stamp: dict[tuple[int, int], Any] = {}   # the newest of them
        self._strange_frame = False   # whether it was said
        if self._sent is not None:
            self._info = describe_image(self._sent, self._rectified)
        base = self._topic.removesuffix('/compressed') if compressed else self._topic
        try:
            self._infos = node.create_subscription(
                CameraInfo, _remapped_or(node, f'{prefix}camera_info',
                                         f'{base.rpartition("/")[0]}/camera_info'),
                self._on_camera_info, _qos(), callback_group=own_group(),
                qos_overriding_options=QoSOverridingOptions.with_default_policies())
        except Exception:   # an override of its quality of service that cannot be
            node.destroy_subscription(self._images)
            raise
        self._info_topic = self._infos.topic_name
        self.watch = InputWatch(node, name, self._topic, COMPRESSED if compressed else IMAGE,
                                self._images.qos_profile)

    def destroy(self) -> None:
        """End the subscriptions."""
        self._node.destroy_subscription(self._images)
        self._node.destroy_subscription(self._infos)

    def camera_info(self, header: Any, width: int, height: int) -> Any:
        """Return the camera_info of an image if it suits its size, else None: thread-safe.

        That of the same stamp, for a lens that zooms or a region that moves; where there is none,
        the newest.

        Args:
            header: std_msgs/Header of the image.
            width: of the image, pixels.
            height: likewise.
        """
        info = self._by_stamp.get(_stamp(header), self._info)
        if info is None:
            self._without_info += 1
            self._statistics.note('focal_assumed')
            if self._without_info == _FRAMES_WITHOUT_INFO:
                self._node.get_logger().info(
                    f'no camera_info on {self._info_topic}: depth rests on the field of view '
                    'that the model card assumes, and there are no depth/camera_info and points')
            return None
        try:
            check_camera_info(info, width, height)
        except BadCameraInfoError as error:
            if self._statistics.note('bad_camera_info', str(error)):
                self._node.get_logger().warning(
                    f'{error}; until then, depth rests on the field of view that the model card '
                    'assumes')
            return None
        there, here = info.header.frame_id, header.frame_id
        if there and here and there != here and not self._strange_frame:
            self._strange_frame = True
            self._node.get_logger().warning(
                f'{self._info_topic} is of frame {there!r}, the images of {self._topic} are of '
                f'{here!r}: is it the camera_info of another camera? It counts, and outputs keep '
                'the frame of the images')
        return info

    def note_size(self, width: int, height: int) -> None:
        """Take notice of the size of the images, and of its changes."""
        if self.size not in (None, (width, height)):
            text = f'images were {self.size[0]}x{self.size[1]}, now {width}x{height}'
            if self._statistics.note('resolution_changed', text):
                self._node.get_logger().info(text)
        self.size = width, height

    def _on_image(self, arrived: Any) -> None:
        self._statistics.receive()
        try:
            message = self._read(arrived)
        except BadImageError as error:
            self._report_drop(error.reason, str(error))
            return
        stamp = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
        order = self._order.judge(stamp)
        if order == Order.LATE:
            self._report_drop('stamp_backwards', 'a frame is older than the one before: out of '
                              'order, or two publishers on one topic')
            return
        if order == Order.RESTART and self._statistics.note('stamp_restarts'):
            self._node.get_logger().info('stamps jumped back: a recording that starts anew')
        self.newest = stamp
        self._submit(message, stamp)

    def _on_camera_info(self, info: CameraInfo) -> None:
        self._statistics.note(INFOS)
        described = describe_image(info, self._rectified)
        if self._told != self._how:
            self._told = self._how
            self._tell(described)
        self._sent, self._info = info, described
        self._by_stamp[_stamp(info.header)] = described
        if len(self._by_stamp) > _INFOS_KEPT:
            del self._by_stamp[next(iter(self._by_stamp))]

    def _tell(self, described: CameraInfo) -> None:
        """Say what the images are taken for, and what that means for what they give."""
        self._node.get_logger().info(self._how)
        if is_distorted(described):
            points = unknown_lens(described) or (
                'points follow the lens, but depth_image_proc and depthimage_to_laserscan do not')
            self._node.get_logger().warning(
                f'{self._topic} seems to be unrectified (camera_info has the lens '
                f'{described.distortion_model!r} with D = {list(described.d)}, and neither the '
                f'name of the topic nor {self._parameter} says that it is): depth '
                'and normals are off towards the edges; '
                f'{points}; use image_rect of image_proc')

    def _on_lost(self, event: Any) -> None:
        self._statistics.note(LOST, times=event.total_count_change)

    def _subscribe_images(self, kind: type, topic: str) -> Any:
        def subscribe(**events: Any) -> Any:
            return self._node.create_subscription(
                kind, topic, self._on_image, _qos(), callback_group=own_group(),
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
                event_callbacks=SubscriptionEventCallbacks(**events), raw=kind is Image)
        try:
            return subscribe(message_lost=self._on_lost)
        except UnsupportedEventTypeError:  # not every middleware tells
            return subscribe()


def _read(data: bytes) -> Any:
    """Return a serialised image with what can be told of it without its pixels checked."""
    message = receive_image(data)
    check_image(message)
    return message


def _stamp(header: Any) -> tuple[int, int]:
    return header.stamp.sec, header.stamp.nanosec


def _remapped_or(node: LifecycleNode, name: str, otherwise: str) -> str:
    """Return a name if a rule remaps it, which subscribing will do; else what follows for it.

    To be subscribed to as it is: a name that is resolved twice is remapped twice, so that rules
    which swap two cameras would undo themselves.
    """
    remapped = node.resolve_topic_name(name) != node.resolve_topic_name(name, only_expand=True)
    return name if remapped else otherwise


def _qos() -> QoSProfile:
    """Sensor data (REP 2003), and only the newest; new each time, rclpy writes overrides in."""
    return QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
