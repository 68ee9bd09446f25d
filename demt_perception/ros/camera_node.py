"""Publishes a camera, a stream, a video, a folder of images or a bag as a ROS camera.

Topics (relative, to be remapped):
    image (sensor_msgs/Image): bgr8; frames of a bag keep their recorded encoding.
    image/compressed (sensor_msgs/CompressedImage): instead, with ``image_transport:=compressed``.
    camera_info (sensor_msgs/CameraInfo): where a calibration is known, stamped as its image.

Every frame is stamped with the node's clock at the moment it was taken, as far as the source
tells, otherwise came: what is done to it afterwards counts as its age. A recording is played as
if it were seen now, so that latencies measured downstream are true.
"""

from concurrent.futures import ThreadPoolExecutor, wait
from queue import SimpleQueue
import sys
import threading
import time
from typing import Any

import numpy as np
from rcl_interfaces.msg import ParameterDescriptor
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.signals import SignalHandlerOptions
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from demt_perception.ros.camera_frames import preparation
from demt_perception.ros.camera_info_file import CameraInfoError, read_camera_info
from demt_perception.ros.compressed import TRANSPORTS
from demt_perception.ros.conversions import ImageFiller
from demt_perception.ros.ending import end_at_once, GLANCE, PATIENCE, spin_until
from demt_perception.ros.number_parameter import declare_number
from demt_perception.ros.read_ahead import ReadAhead
from demt_perception.ros.sources import Frame, open_source, SourceError


class CameraSource(Node):
    """The node: publishes until it is closed."""

    def __init__(self, reasons: 'SimpleQueue[Any]') -> None:
        """Open the source and start publishing.

        Args:
            reasons: gets None when the source has ended, the exception when it has failed.

        Raises:
            SourceError, CameraInfoError: a parameter names what cannot be read.
        """
        super().__init__('camera')
        self._stop = threading.Event()
        source = open_source(
            self._parameter('source', '', 'device index, rtsp:// or http:// address, video file, '
                            'folder of images, rosbag2 folder or file, or generated'),
            self._stop, self._parameter(
                'device_format', '', 'pixel format, size and rate asked of a device, such as '
                'MJPG 1920x1080@30; empty = as it comes'))
        self._rate = declare_number(self, 'rate', 0.0, 0.0, 1000.0, ParameterDescriptor(
            description='frames a second; 0 = as the source has them', read_only=True))
        loop = self._parameter('loop', True, 'start anew at the end of a recording')
        self._frame_id = self._parameter(
            'frame_id', 'camera_optical_frame', 'frame of images that bring none')
        info_file = self._parameter(
            'camera_info_file', '', 'calibration YAML as written by camera_calibration')
        transport = self._parameter('image_transport', 'raw', f'one of {TRANSPORTS}')
        prepare = preparation(transport, read_camera_info(info_file) if info_file else None)

        self._live = source.live
        self._native_rate = source.rate
        kind, topic = (Image, 'image') if transport == 'raw' else (
            CompressedImage, 'image/compressed')
        # Reliable, so that every reader can listen; a slow reader costs a frame, not the camera.
        self._images = self._publisher(kind, topic)
        self._infos = self._publisher(CameraInfo, 'camera_info')
        self._filler = ImageFiller(Image(), 'bgr8')

        self._reasons = reasons
        self._reader = ReadAhead(source, loop, prepare)
        self._player = threading.Thread(target=self._play, name='player', daemon=True)
        self._player.start()
        self.get_logger().info(f'publishing {self._images.topic_name}: {source.description}')

    def close(self, patience: float = PATIENCE) -> bool:
        """Stop reading and publishing; return whether both threads have ended in time."""
        self._stop.set()
        ended = self._reader.close(patience)
        self._player.join(patience)
        return ended and not self._player.is_alive()

    def _parameter(self, name: str, default: Any, description: str, **ranges: Any) -> Any:
        descriptor = ParameterDescriptor(description=description, read_only=True, **ranges)
        # A source such as 0 arrives as a number.
        if name == 'source':
            descriptor.dynamic_typing = True
            return str(self.declare_parameter(name, default, descriptor).value)
        return self.declare_parameter(name, default, descriptor).value

    def _publisher(self, kind: type, topic: str) -> Any:
        return self.create_publisher(
            kind, topic, QoSProfile(depth=1),
            qos_overriding_options=QoSOverridingOptions.with_default_policies())

    def _play(self) -> None:
        try:
            begin = time.monotonic()
            for index, frame in enumerate(self._reader):
                if not self._live:
                    begin = self._wait(begin, index / self._rate if self._rate else frame.offset)
                if self._stop.is_set():
                    return
                self._publish(frame)
            self._reasons.put(None)
        except Exception as error:  # ends the process
            self._reasons.put(error)

    def _wait(self, begin: float, offset: float) -> float:
        """Wait until a frame is due; return the schedule's begin, moved where we are late."""
        late = time.monotonic() - (begin + offset)
        if late < 0:
            self._stop.wait(-late)
        elif late > 1 / (self._rate or self._native_rate):
            # Catching up with a burst is nothing that a camera does.
            begin += late
        return begin

    def _publish(self, frame: Frame) -> None:
        stamp = self.get_clock().now()
        if frame.taken is not None:
            age = int(max(time.monotonic() - frame.taken, 0) * 1e9)
            # A simulated clock that has not come yet is at 0.
            stamp = Time(nanoseconds=max(stamp.nanoseconds - age, 0), clock_type=stamp.clock_type)
        header = Header(stamp=stamp.to_msg(),
                        frame_id=frame.frame_id or self._frame_id)
        if isinstance(frame.image, np.ndarray):
            message = self._filler.fill(frame.image, header)
        else:
            message = frame.image
            message.header = header
        if frame.camera_info is not None:
            frame.camera_info.header = header
            self._infos.publish(frame.camera_info)
        self._images.publish(message)


def _made(reasons: 'SimpleQueue[Any]') -> CameraSource:
    """Return the node; end the process where a signal comes while a source takes long to open.

    In another thread: Python tells of no signal while the first is in a call such as that which
    opens a video on a drive that does not answer.
    """
    making = ThreadPoolExecutor(1).submit(CameraSource, reasons)
    while reasons.empty() and not making.done():
        wait([making], GLANCE)
    if not wait([making], PATIENCE).done:
        end_at_once(0)
    return making.result()


def run(args: list[str] | None, reasons: 'SimpleQueue[Any]') -> int:
    """Run the node until its source ends or a signal comes; return the exit code.

    Args:
        args: of the command line; None: the process's.
        reasons: where the numbers of signals arrive, see ``ending.note_signals``.
    """
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = _made(reasons)
    except (SourceError, CameraInfoError) as error:
        print(f'camera_source: {error}', file=sys.stderr)
        rclpy.try_shutdown()
        return 1
    reason, ended = spin_until(node, reasons)
    if isinstance(reason, Exception):
        node.get_logger().fatal(str(reason))
    elif reason is None:
        node.get_logger().info('the source has ended')
    code = 1 if isinstance(reason, Exception) else 0
    # A reader may hang in a call of a driver or the network.
    ended = node.close() and ended
    node.destroy_node()
    rclpy.try_shutdown()
    if not ended:
        end_at_once(code)
    return code
