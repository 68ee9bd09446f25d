"""Looks into one image topic: publishers, quality of service, losses, encoding, calibration."""

from collections.abc import Iterator
import os
import time
from typing import Any

import cv2
import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import qos_check_compatible, qos_profile_sensor_data, QoSCompatibility
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from demt_perception.ros.bad_image import BadImageError
from demt_perception.ros.camera_model import BadCameraInfoError, check_camera_info, is_distorted
from demt_perception.ros.pixels import pixels_of
from demt_perception.ros.rectification import describe_image, is_rectified
from demt_perception.ros.silence import (
    COMPRESSED,
    discovery_hint,
    IMAGE,
    loss_text,
    Seen,
    silence_text,
    transport_cure,
)

SECONDS = 3.0
ENOUGH = 20
# Pixels by which distortion may move a point before it counts: 1 % of the width.
BENT = 0.01

Row = tuple[str, str, str]


class Watched:
    """What came on a topic and on the camera_info beside it."""

    def __init__(self, node: Node, topic: str, kind: type) -> None:
        """Subscribe as the perception node does."""
        self.images: list[Any] = []
        self.info: CameraInfo | None = None
        self.infos = 0
        self.lost = 0
        self.info_topic = f'{topic.removesuffix("/compressed").rpartition("/")[0]}/camera_info'
        self._subscribe(node, kind, topic)
        node.create_subscription(
            CameraInfo, self.info_topic, self._on_info, qos_profile_sensor_data)

    def _subscribe(self, node: Node, kind: type, topic: str) -> None:
        try:
            from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
        except ImportError:  # Humble
            from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

        def on_lost(event: Any) -> None:
            self.lost += event.total_count_change
        try:
            node.create_subscription(
                kind, topic, self.images.append, qos_profile_sensor_data,
                event_callbacks=SubscriptionEventCallbacks(message_lost=on_lost))
        except UnsupportedEventTypeError:  # not every middleware tells
            node.create_subscription(kind, topic, self.images.append, qos_profile_sensor_data)

    def _on_info(self, info: CameraInfo) -> None:
        self.info = info
        self.infos += 1


def check_topic(node: Node, name: str, rectified: str) -> Iterator[Row]:
    """Yield rows of level, text and remedy about an image topic.

    Args:
        node: listens.
        name: of the topic.
        rectified: whether its images are, see ``is_rectified``.
    """
    topic = node.resolve_topic_name(name)
    kind = COMPRESSED if topic.endswith('/compressed') else IMAGE
    publishers = [_seen(info) for info in node.get_publishers_info_by_topic(topic)]
    suits = [p for p in publishers if p.type == kind and not p.conflict]
    watched = Watched(node, topic, CompressedImage if kind == COMPRESSED else Image)
    end = time.monotonic() + (SECONDS if suits else 0)
    while (left := end - time.monotonic()) > 0 and len(watched.images) < ENOUGH:
        rclpy.spin_once(node, timeout_sec=left)
    cure = transport_cure(get_rmw_implementation_identifier())
    if not watched.images:
        graph = dict(node.get_topic_names_and_types())
        yield 'BAD', silence_text(
            topic, kind, 'best_effort volatile', publishers, graph, watched.lost, '',
            discovery_hint(os.environ)).strip(), cure if suits else 'see above'
        return
    if len(publishers) > 1:
        yield 'NOTE', f'{topic}: {len(publishers)} publishers: ' + ', '.join(
            p.node for p in publishers), 'one camera, one topic: stop or remap the others'
    count = len(watched.images)
    seconds = SECONDS - max(end - time.monotonic(), 0)
    rate = f'{topic}: {count} images in {seconds:.1f} s'
    if watched.lost > count / 20:
        yield 'BAD', loss_text(topic, watched.lost, count, '').strip(), cure
    else:
        yield 'GOOD', rate, ''
    yield from _content(topic, watched, rectified)


def _content(topic: str, watched: Watched, rectified: str) -> Iterator[Row]:
    message = watched.images[-1]
    try:
        picture = pixels_of(message)
    except BadImageError as error:
        yield 'BAD', f'{topic}: {error}', (
            'set the camera driver to bgr8, rgb8, mono8, yuv422_yuy2 or a bayer encoding, or put '
            'image_proc between')
        return
    height, width = picture.shape[:2]
    encoding = getattr(message, 'encoding', '') or message.format
    yield 'GOOD', f'{topic}: {width}x{height} {encoding}', ''
    info = watched.info
    if info is None:
        yield 'NOTE', (f'no camera_info on {watched.info_topic}: depth rests on the field of view '
                       'that the model card assumes'), (
            'calibrate by camera_calibration and publish camera_info beside the images, or fix '
            'the scale by `demt calibrate-depth`')
        return
    described = describe_image(info, is_rectified(topic, rectified))   # as the node takes it
    try:
        check_camera_info(described, width, height)
    except BadCameraInfoError as error:
        yield 'BAD', f'{watched.info_topic}: {error}', 'calibrate by camera_calibration'
        return
    if not is_distorted(described):
        yield 'GOOD', f'{watched.info_topic}: a calibration that fits the images', ''
        return
    moved = bending(info)
    yield 'BAD' if not moved <= BENT * width else 'NOTE', (
        f'{topic} is not rectified: its lens moves points by up to {moved:.0f} pixels'), (
        'let image_proc rectify it (ros2 run image_proc rectify_node) and give the node '
        'image_rect' + (
            '; where it is rectified, and only its name does not say so, set rectified of the '
            'node to true, and look again with --rectified true' if rectified == 'auto' else ''))


def bending(info: Any) -> float:
    """Return by how many pixels distortion moves points of the image's border at most.

    Infinite where the distortion model is unknown.
    """
    k = np.reshape(info.k, (3, 3))
    x, y = np.linspace(0, info.width, 17), np.linspace(0, info.height, 17)
    border = np.concatenate([
        np.stack([x, np.full(17, edge)], 1) for edge in (0.0, info.height)] + [
        np.stack([np.full(17, edge), y], 1) for edge in (0.0, info.width)])
    points, d = border[:, None], np.asarray(info.d)
    if info.distortion_model == 'equidistant' and len(d) == 4:
        straight = cv2.fisheye.undistortPoints(points, k, d, P=k)
    elif info.distortion_model in ('plumb_bob', 'rational_polynomial') and len(d) in (4, 5, 8):
        straight = cv2.undistortPoints(points, k, d, P=k)
    else:
        return float('inf')
    return float(np.linalg.norm(straight[:, 0] - border, axis=1).max())


def _seen(info: Any) -> Seen:
    compatible, reason = qos_check_compatible(info.qos_profile, qos_profile_sensor_data)
    return Seen(f'{info.node_namespace.rstrip("/")}/{info.node_name}', info.topic_type,
                f'{info.qos_profile.reliability.name} {info.qos_profile.durability.name}'.lower(),
                reason if compatible == QoSCompatibility.ERROR else '')
