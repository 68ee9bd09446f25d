"""Plays a recorded bag into the perception node, on the bag's own time.

ros2 launch demt_perception rosbag.launch.py bag:=/data/drive rviz:=true
ros2 launch demt_perception rosbag.launch.py bag:=/data/drive image_topic:=/front/image_raw
ros2 launch demt_perception rosbag.launch.py bag:=drive cameras:=front,left image_topic:=image_raw

Without image_topic the first camera of the bag is taken, raw or compressed as it was recorded.
All arguments of camera.launch.py but source can be given.
"""

import os
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    SetLaunchConfiguration,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from demt_perception.bags import BagError, listed_topics
from demt_perception.bags.played_images import first_images, named_images
from demt_perception.ros.launching import cameras_of
from demt_perception.ros.transport import transport_environment

SHARE = Path(get_package_share_directory('demt_perception'))


def value(context: LaunchContext, name: str) -> str:
    """Return an argument; those that only camera.launch.py declares may not be there yet."""
    return LaunchConfiguration(name, default='').perform(context)


def find_images(context: LaunchContext) -> list:
    """Choose the bag's images and how they come, as far as the user has not."""
    cameras, given = value(context, 'cameras'), value(context, 'image_topic')
    bag_path, transport = value(context, 'bag'), value(context, 'image_transport')
    if cameras and not given:
        raise ValueError(f'cameras is {cameras!r} and image_topic is not given, want what follows '
                         'each name in the topics of the bag: of /front/image_raw it is '
                         'cameras:=front image_topic:=image_raw')
    if not given:
        return choice(*first_images(listed_topics(bag_path), transport))
    home = value(context, 'namespace').strip('/')
    home = f'/{home}/' if home else '/'
    full = [camera.topic if camera.topic.startswith('/') else home + camera.topic
            for camera in cameras_of(cameras, '', given)]
    try:
        return choice(*named_images(listed_topics(bag_path), given, full, transport))
    except BagError as error:
        # `ros2 bag` may have plugins for what is not read here; the user has said what matters.
        return [LogInfo(msg=f'how {given} was recorded is not known: {error}')]


def choice(topic: str, transport: str) -> list:
    """Return the actions that set what camera.launch.py is to take."""
    return [SetLaunchConfiguration('image_topic', topic),
            SetLaunchConfiguration('image_transport', transport)]


def play(context: LaunchContext) -> list:
    """Start the player."""
    text = value(context, 'delay')
    try:
        seconds = float(text)
    except ValueError as error:
        raise ValueError(f'delay is {text!r}, want seconds: 5') from error
    # The player refuses a delay of 0, and ends.
    delay = ['--delay', text] if seconds > 0 else []
    return [ExecuteProcess(
        cmd=['ros2', 'bag', 'play', value(context, 'bag'), '--clock', *delay],
        name='rosbag_play', output='screen',
        # It sends large images, too.
        additional_env=transport_environment(SHARE / 'config' / 'fastdds.xml', os.environ))]


def generate_launch_description() -> LaunchDescription:
    """Return the arguments that differ from camera.launch.py, the player and the node."""
    return LaunchDescription([
        DeclareLaunchArgument('bag', description='rosbag2 folder or storage file'),
        DeclareLaunchArgument(
            'image_topic', default_value='',
            description="image topic of the bag; empty = the bag's first camera. With cameras "
                        'what follows each name: image_raw'),
        DeclareLaunchArgument(
            'image_transport', default_value='', choices=['', 'raw', 'compressed'],
            description='how the images come; empty = as they were recorded, and as the parameter '
                        'file says where the bag has both'),
        DeclareLaunchArgument(
            'use_sim_time', default_value='true',
            description="true or false: take the time from /clock: the bag's own time"),
        DeclareLaunchArgument(
            'delay', default_value='5',
            description='seconds before the bag starts to play, so that the node can load its '
                        'model; 0 = at once'),
        OpaqueFunction(function=find_images),
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(SHARE / 'launch' / 'camera.launch.py'))),
        OpaqueFunction(function=play),
    ])
