"""Plays a recorded bag into the perception node, on the bag's own time.

ros2 launch demt_perception rosbag.launch.py bag:=/data/drive rviz:=true

Without image_topic the first camera of the bag is taken, raw or compressed as it was recorded.
All arguments of camera.launch.py but source can be given.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    SetLaunchConfiguration,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from demt_perception.bags import camera_topics, open_bag
from demt_perception.bags.camera_topics import COMPRESSED_IMAGE

LAUNCH = Path(get_package_share_directory('demt_perception')) / 'launch'


def find_camera(context: LaunchContext) -> list:
    """Choose the camera of the bag, unless the user has."""
    if LaunchConfiguration('image_topic').perform(context):
        return []
    with open_bag(LaunchConfiguration('bag').perform(context)) as bag:
        image, _ = camera_topics(bag.topics)
    return [
        SetLaunchConfiguration('image_topic', image.name.removesuffix('/compressed')),
        SetLaunchConfiguration(
            'image_transport', 'compressed' if image.type == COMPRESSED_IMAGE else 'raw'),
    ]


def generate_launch_description() -> LaunchDescription:
    """Return the arguments that differ from camera.launch.py, the player and the node."""
    return LaunchDescription([
        DeclareLaunchArgument('bag', description='rosbag2 folder or storage file'),
        DeclareLaunchArgument(
            'image_topic', default_value='',
            description="image topic of the bag; empty = the bag's first camera"),
        DeclareLaunchArgument(
            'use_sim_time', default_value='true', choices=['true', 'false'],
            description="take the time from /clock: the bag's own time"),
        DeclareLaunchArgument(
            'delay', default_value='5', description='seconds before the bag starts to play'),
        OpaqueFunction(function=find_camera),
        # First: it also sets the transport that large images need, for the player too.
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(LAUNCH / 'camera.launch.py'))),
        # The delay lets the node load its model, so that the bag's first frames count.
        ExecuteProcess(
            cmd=['ros2', 'bag', 'play', LaunchConfiguration('bag'), '--clock', '--delay',
                 LaunchConfiguration('delay')],
            name='rosbag_play', output='screen'),
    ])
