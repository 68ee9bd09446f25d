"""Plays a recorded bag into the perception node, on the bag's own time.

ros2 launch demt_perception rosbag.launch.py bag:=/data/drive rviz:=true
ros2 launch demt_perception rosbag.launch.py bag:=/data/drive image_topic:=/front/image_raw
ros2 launch demt_perception rosbag.launch.py bag:=drive cameras:=front,left image_topic:=image_raw

Without image_topic the first camera of the bag is taken, raw or compressed as it was recorded.
What the bag holds of the node's own outputs is played below /recorded, apart from the new ones.
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
from demt_perception.ros.launching import (
    cameras_of,
    full_name,
    NODE,
    outputs_aside,
    take_back_settings,
)
from demt_perception.ros.transport import transport_environment

take_back_settings()
SHARE = Path(get_package_share_directory('demt_perception'))


def value(context: LaunchContext, name: str) -> str:
    """Return an argument; those that only camera.launch.py declares may not be there yet."""
    return LaunchConfiguration(name, default='').perform(context)


def placed(context: LaunchContext, name: str) -> str:
    """Return the full name of a topic or node of camera.launch.py."""
    return full_name(name, value(context, 'namespace'),
                     context.launch_configurations.get('ros_namespace', ''))


def find_images(context: LaunchContext) -> list:
    """Choose the bag's images and how they come, as far as the user has not."""
    cameras, given = value(context, 'cameras'), value(context, 'image_topic')
    bag_path, transport = value(context, 'bag'), value(context, 'image_transport')
    if cameras and not given:
        raise ValueError(f'cameras is {cameras!r} and image_topic is not given, want what follows '
                         'each name in the topics of the bag: of /front/image_raw it is '
                         'cameras:=front image_topic:=image_raw')
    try:
        topics = listed_topics(bag_path)
    except BagError as error:
        if given:
            # `ros2 bag` may have plugins for what is not read here; the user said what matters.
            return [LogInfo(msg=f'how {given} was recorded is not known: {error}')]
        if not Path(bag_path).exists():
            raise
        raise BagError(
            f'{error}. Launch runs in the Python of ROS, which may have no package for that: give '
            'image_topic:=..., or a folder with metadata.yaml (`ros2 bag reindex FOLDER` writes '
            'it)') from error
    if not given:
        return choice(*first_images(topics, transport))
    full = [placed(context, camera.topic) for camera in cameras_of(cameras, '', given)]
    return choice(*named_images(topics, given, full, transport))


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
    said, apart = recorded_outputs(context)
    return [*said, ExecuteProcess(
        cmd=['ros2', 'bag', 'play', value(context, 'bag'), '--clock', *delay, *apart],
        name='rosbag_play', output='screen',
        # It sends large images, too.
        additional_env=transport_environment(SHARE / 'config' / 'fastdds.xml', os.environ))]


def recorded_outputs(context: LaunchContext) -> tuple[list, list[str]]:
    """Return what to say of the node's own outputs in the bag, and the player's arguments."""
    node = placed(context, NODE)
    try:
        rules = outputs_aside(listed_topics(value(context, 'bag')), node)
    except BagError:
        return [LogInfo(msg=f'topics of {node} that the bag may have mix with the new ones: give '
                            'the node a namespace, or leave them out by `ros2 bag convert`')], []
    if not rules:
        return [], []
    return [LogInfo(msg=f'{len(rules)} topics of {node} in the bag are played below /recorded: '
                        f'{rules[0]}')], ['--remap', *rules]


def generate_launch_description() -> LaunchDescription:
    """Return the arguments that differ from camera.launch.py, the player and the node."""
    return LaunchDescription([
        DeclareLaunchArgument(
            'bag', description='rosbag2 folder with metadata.yaml, or storage file; of an .mcap '
                               'file image_topic has to be given, too, where the Python of ROS '
                               'has no package mcap'),
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
