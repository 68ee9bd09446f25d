"""A camera source in its own process, and what it publishes over real DDS."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

from node_testing import free_domain
import numpy as np
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from demt_perception.ros.transport import OWN

ROOT = Path(__file__).resolve().parents[2]


class Camera:
    """A running camera source, and everything that it has published."""

    def __init__(self, context: Context, domain: int, **parameters: object) -> None:
        self.received: dict[str, list[Any]] = {'image': [], 'compressed': [], 'info': []}
        self.arrivals: list[int] = []
        self._node = rclpy.create_node('listener', context=context)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self._node)
        for kind, topic, name in ((Image, 'image', 'image'), (CameraInfo, 'camera_info', 'info'),
                                  (CompressedImage, 'image/compressed', 'compressed')):
            self._node.create_subscription(
                kind, topic, lambda message, name=name: self._take(name, message),
                qos_profile_sensor_data)
        # As by `ros2 run`: nobody sets the transport but the node itself.
        environ = {name: value for name, value in os.environ.items() if name not in OWN}
        environ |= {'ROS_DOMAIN_ID': str(domain)}
        arguments = [part for name, value in parameters.items()
                     for part in ('-p', f'{name}:={value}')]
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'demt_perception.ros.camera_source', '--ros-args', *arguments],
            env=environ, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def _take(self, name: str, message: Any) -> None:
        self.received[name].append(message)
        if name != 'info':
            self.arrivals.append(self._node.get_clock().now().nanoseconds)

    def collect(self, name: str, count: int, seconds: float = 15.0) -> list[Any]:
        """Return what came on a topic once there are so many messages."""
        limit = time.monotonic() + seconds
        while len(self.received[name]) < count:
            self._executor.spin_once(0.1)
            assert time.monotonic() < limit, (
                f'{len(self.received[name])} of {count} messages on {name} in {seconds} s')
        return self.received[name]

    def spin_until(self, condition: Callable[[], object], seconds: float = 15.0) -> None:
        """Listen until a condition holds."""
        limit = time.monotonic() + seconds
        while not condition():
            self._executor.spin_once(0.1)
            assert time.monotonic() < limit, f'in vain waited {seconds} s for {condition}'

    def spin(self, seconds: float) -> None:
        """Listen for so long."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            self._executor.spin_once(0.1)

    def wait(self) -> tuple[int, str]:
        """Return exit code and output of a source that ends by itself."""
        output, _ = self.process.communicate(timeout=15)
        return self.process.returncode, output

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.communicate(timeout=15)
        self._executor.shutdown()
        self._node.destroy_node()


@contextmanager
def cameras() -> Iterator[Any]:
    """Yield a function that starts a camera source with parameters."""
    domain = free_domain()
    context = Context()
    context.init(domain_id=domain)
    started = []

    def start(**parameters: object) -> Camera:
        started.append(Camera(context, domain, **parameters))
        return started[-1]

    yield start
    for one in started:
        one.close()
    context.try_shutdown()


def pixels(message: Image) -> np.ndarray:
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)


def stamp(message: Any) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
