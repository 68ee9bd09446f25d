"""A subscriber that takes long over each message: python slow_subscriber.py TOPIC SECONDS."""

import sys
import time

import rclpy
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image


def main():
    """Subscribe, reliable and wanting every message, and say so at the first."""
    rclpy.init()
    node = rclpy.create_node('slow')
    qos = QoSProfile(history=HistoryPolicy.KEEP_ALL, reliability=ReliabilityPolicy.RELIABLE)

    def on_image(message):
        print('heard', flush=True)
        time.sleep(float(sys.argv[2]))

    node.create_subscription(Image, sys.argv[1], on_image, qos)
    rclpy.spin(node)


if __name__ == '__main__':
    main()
