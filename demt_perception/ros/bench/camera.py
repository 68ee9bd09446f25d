"""A camera that sends bgr8 images at whatever rate it is told: a process of the benchmark.

Commands: ``rate`` in Hz and ``count`` of images; a new one ends the last. It tells ``ready``, and
of each command that was not ended early ``sent``, with the stamps in nanoseconds.
"""

import argparse
from array import array
import sys
import time
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from demt_perception.ros.bench.commands import read_commands
from demt_perception.ros.bench.pictures import load_pictures
from demt_perception.ros.processes import tell


def main() -> int:
    """Send until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--height', required=True, type=int)
    parser.add_argument('--width', required=True, type=int)
    parser.add_argument('--source', default='')
    parser.add_argument('--topic', default='/image')
    args = parser.parse_args()
    messages = []
    for bgr in load_pictures(args.source, (args.height, args.width)):
        height, width = bgr.shape[:2]
        message = Image(height=height, width=width, encoding='bgr8', step=3 * width)
        message.header.frame_id = 'camera'
        message.data = array('B', bgr.tobytes())
        messages.append(message)
    rclpy.init()
    node = Node('bench_camera')
    # As our camera node sends.
    publisher = node.create_publisher(Image, args.topic, QoSProfile(depth=1))
    try:
        send(publisher, messages)
    except KeyboardInterrupt:
        pass
    finally:   # else the shared memory stays behind
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


def send(publisher: Any, messages: list[Image]) -> None:
    """Send the images in turn as commands say, until the input ends."""
    commands = read_commands()
    tell('ready')
    while (command := commands.get()) is not None:
        stamps = []
        begin = time.monotonic()
        for index in range(command['count']):
            time.sleep(max(0.0, begin + index / command['rate'] - time.monotonic()))
            if not commands.empty():
                break
            message = messages[index % len(messages)]
            now = time.time_ns()
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(now, 10 ** 9)
            publisher.publish(message)
            stamps.append(now)
        else:
            tell('sent', stamps=stamps)


if __name__ == '__main__':
    sys.exit(main())
