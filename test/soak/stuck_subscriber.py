"""Subscribes to topics, reliable, says so, and waits to be stopped: see ``soak_faults.py``."""

import sys

import rclpy
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

rclpy.init()
node = rclpy.create_node('stuck')
for topic in sys.argv[1:]:
    node.create_subscription(Image, topic, lambda message: None, QoSProfile(depth=10), raw=True)
print('ready', flush=True)
rclpy.spin(node)
