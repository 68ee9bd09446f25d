"""Try whether the present settings carry large images: sends 1280x720 ones between two processes.

Run ``python -m demt_perception.ros.transport_check``: prints ``received/sent``. For
``demt doctor``.
"""

from array import array
import os
import subprocess
import sys
import time

import rclpy
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

from demt_perception.child import python_command

HEIGHT, WIDTH = 720, 1280
IMAGES, RATE = 30, 30
DISCOVERY_SECONDS, LATE_SECONDS = 10.0, 2.0


def receive() -> int:
    """Start the sender, return how many images arrived.

    Raises:
        RuntimeError: the sender found no subscriber, or failed.
    """
    topic = f'demt_transport_check_{os.getpid()}'
    received = 0

    def count(image: Image) -> None:
        nonlocal received
        received += len(image.data) == HEIGHT * WIDTH * 3

    node = Node('demt_transport_check_receiver')
    node.create_subscription(Image, topic, count, qos_profile_sensor_data)
    with subprocess.Popen(python_command('-m', __spec__.name, topic)) as sender:
        while sender.poll() is None:
            rclpy.spin_once(node, timeout_sec=0.05)
    end = time.monotonic() + LATE_SECONDS
    while received < IMAGES and time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.05)
    node.destroy_node()
    if sender.returncode:
        raise RuntimeError(f'two processes did not find each other within {DISCOVERY_SECONDS:g} s')
    return received


def send(topic: str) -> int:
    """Publish the images once a subscriber is there; return 1 if none comes."""
    node = Node('demt_transport_check_sender')
    publisher = node.create_publisher(Image, topic, qos_profile_sensor_data)
    end = time.monotonic() + DISCOVERY_SECONDS
    while not publisher.get_subscription_count():
        if time.monotonic() > end:
            return 1
        time.sleep(0.05)
    time.sleep(0.5)  # the other side may know a little later
    image = Image(height=HEIGHT, width=WIDTH, encoding='bgr8', step=WIDTH * 3)
    image.data = array('B', bytes(HEIGHT * WIDTH * 3))
    for _ in range(IMAGES):
        publisher.publish(image)
        time.sleep(1 / RATE)
    time.sleep(0.5)  # leaving early would take unread images along
    node.destroy_node()
    return 0


def main() -> int:
    """Be the sender where a topic is given, else the receiver."""
    rclpy.init()
    try:
        if len(sys.argv) > 1:
            return send(sys.argv[1])
        print(f'{receive()}/{IMAGES}')
        return 0
    finally:
        rclpy.shutdown()


if __name__ == '__main__':
    sys.exit(main())
