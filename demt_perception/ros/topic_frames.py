"""Frames of a live image topic, with the camera_info beside it."""

from collections.abc import Iterator
import time

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from demt_perception.ros.sources import Frame, SourceError

SECONDS = 10.0
# The camera_info of the first picture may come after it: on a busy machine it is found later.
FOR_INFO = 1.0


def topic_frames(topic: str) -> Iterator[Frame]:
    """Yield frames as they come, each with the newest camera_info or None.

    Args:
        topic: full name; of CompressedImage where it ends with ``/compressed``.

    Raises:
        SourceError: nothing comes for 10 s.
    """
    context = Context()
    rclpy.init(args=[], context=context)
    node = rclpy.create_node('demt_topic_frames', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    images: list[Image | CompressedImage] = []
    infos: list[CameraInfo] = []
    compressed = topic.endswith('/compressed')
    base = topic.removesuffix('/compressed').rpartition('/')[0]
    node.create_subscription(CompressedImage if compressed else Image, topic, images.append,
                             qos_profile_sensor_data)
    node.create_subscription(CameraInfo, f'{base}/camera_info', infos.append,
                             qos_profile_sensor_data)
    try:
        for number in range(10**9):
            end = time.monotonic() + SECONDS
            images.clear()
            came: float | None = None
            while came is None or not (infos or number or time.monotonic() > came + FOR_INFO):
                if came is None and time.monotonic() > end:
                    raise SourceError(f'nothing comes on {topic}: demt doctor --topic {topic} '
                                      'says why')
                executor.spin_once(timeout_sec=0.1)
                came = time.monotonic() if images and came is None else came
            yield Frame(images[-1], 0.0, infos[-1] if infos else None, topic=topic)
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)
