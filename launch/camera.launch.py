"""The perception node on a camera: an existing topic, or a source that is started along.

ros2 launch demt_perception camera.launch.py image_topic:=/front/image_raw
ros2 launch demt_perception camera.launch.py source:=0 rviz:=true
ros2 launch demt_perception camera.launch.py source:=drive.mp4 image_transport:=compressed
ros2 launch demt_perception camera.launch.py cameras:=front,left image_topic:=image_raw
ros2 launch demt_perception camera.launch.py cameras:=front,left source:=0,2

The environment that large images need is given to the processes started here alone. Launch
configurations are not as tidy: an included file takes those of the file around it that have the
same names, such as params_file and namespace, and its own stay behind. So include it in a
GroupAction, and give every argument whose name the file around it has, too:
docs/tutorials/nav2.md.
"""

import os
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from demt_perception.parameter_file import node_parameters
from demt_perception.ros.launching import (
    cameras_of,
    full_name,
    NODE,
    node_remappings,
    read_switch,
    rviz_remappings,
    source_parameters,
    source_remappings,
    take_back_settings,
)
from demt_perception.ros.transport import transport_environment
from demt_perception.targets import detect_target, TARGETS

take_back_settings()
SHARE = Path(get_package_share_directory('demt_perception'))

ARGUMENTS = (
    DeclareLaunchArgument(
        'source', default_value='',
        description='device index, stream, video file, folder of images, bag or generated, to '
                    'publish on image_topic; with cameras one for each, separated by commas; '
                    'empty = the topics exist already'),
    DeclareLaunchArgument(
        'device_format', default_value='',
        description='what is asked of a device, such as MJPG 1920x1080@30'),
    DeclareLaunchArgument(
        'cameras', default_value='',
        description='names of several cameras on one engine, separated by commas; their images '
                    'are on NAME/<image_topic>; empty = one camera'),
    DeclareLaunchArgument(
        'image_topic', default_value='image',
        description='image topic; camera_info is its sibling. With image_transport:=compressed '
                    'the name without /compressed'),
    DeclareLaunchArgument(
        'camera_info_file', default_value='',
        description='calibration YAML of the source, as written by camera_calibration; with '
                    'cameras, {camera} in it stands for the name'),
    DeclareLaunchArgument(
        'image_transport', default_value='', choices=['', 'raw', 'compressed'],
        description='how the images come; empty = as the parameter file says'),
    DeclareLaunchArgument(
        'target', default_value='auto', choices=['auto', *TARGETS],
        description='kind of machine: chooses the parameter file; auto = by what is found'),
    DeclareLaunchArgument(
        'params_file', default_value='',
        description='parameter YAML; empty = config/<target>.yaml of this package'),
    DeclareLaunchArgument(
        'model', default_value='',
        description='model folder or name, e.g. demt_driving_open; empty = as the parameter file '
                    'says'),
    DeclareLaunchArgument('namespace', default_value='', description='namespace of all nodes'),
    DeclareLaunchArgument(
        'use_sim_time', default_value='',
        description='true or false: take the time from /clock; empty = as the parameter file '
                    'says'),
    DeclareLaunchArgument(
        'autostart', default_value='',
        description='true or false: configure and activate the node by itself; empty = as the '
                    'parameter file says'),
    DeclareLaunchArgument(
        'respawn', default_value='true',
        description='true or false: start the perception node again, 2 s after it has ended for '
                    'whatever reason: where an engine hangs for good, it ends by itself '
                    '(docs/reliability.md). One that cannot start, as of a wrong parameter file, '
                    'is started without end: end the launch, not the node'),
    DeclareLaunchArgument('log_level', default_value='info', description='logging severity'),
    DeclareLaunchArgument(
        'rviz', default_value='false', description='true or false: start RViz too'),
)


def start_nodes(context: LaunchContext) -> list:
    """Make the nodes; the values of the arguments are known here."""
    def value(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    given: dict = {}
    own: dict = {}
    if (sim := read_switch('use_sim_time', value('use_sim_time'), empty=True)) is not None:
        given['use_sim_time'] = sim
    if (start := read_switch('autostart', value('autostart'), empty=True)) is not None:
        own['autostart'] = start
    respawn, rviz = read_switch('respawn', value('respawn')), read_switch('rviz', value('rviz'))
    target = value('target')
    if target == 'auto':
        target = detect_target()
    params_file = value('params_file') or str(SHARE / 'config' / f'{target}.yaml')
    cameras = cameras_of(value('cameras'), value('source'), value('image_topic'))
    if value('model'):
        own['model'] = value('model')
    if value('image_transport'):
        given['image_transport'] = value('image_transport')
    # The file is the perception node's; what sends to it must have the same clock and transport.
    shared = shared_parameters(params_file, full_name(
        NODE, value('namespace'), context.launch_configurations.get('ros_namespace', ''))) | given
    if value('cameras'):
        own['cameras'] = [camera.name for camera in cameras]
    common = {
        'namespace': value('namespace'),
        'output': 'screen',
        # Fast DDS loses large images with its defaults; these nodes send many. Of these processes
        # alone: the rest of a robot that this file is included in keeps its own.
        'additional_env': transport_environment(SHARE / 'config' / 'fastdds.xml', os.environ),
        'arguments': ['--ros-args', '--log-level', value('log_level')],
    }
    actions = [
        LogInfo(msg=f'demt_perception: target {target}, parameters {params_file}'),
        Node(
            package='demt_perception', executable='perception_node', name=NODE,
            parameters=[params_file, given | own],
            remappings=node_remappings(cameras), respawn=respawn, respawn_delay=2.0,
            **common),
    ]
    actions += [
        Node(
            package='demt_perception', executable='camera_source',
            name=f'{camera.name}_camera' if camera.name else 'camera',
            # As text: a source of 0 would become a number.
            parameters=[shared, {
                name: ParameterValue(text, value_type=str) for name, text in source_parameters(
                    camera, value('camera_info_file'), value('device_format')).items()}],
            remappings=source_remappings(camera), **common)
        for camera in cameras if camera.source]
    if rviz:
        layout, name = SHARE / 'config' / 'perception.rviz', cameras[0].name
        if name:
            actions.append(LogInfo(msg=f'RViz shows {name}, the first of the cameras'))
        actions.append(Node(
            package='rviz2', executable='rviz2', name='rviz', namespace=value('namespace'),
            arguments=['-d', str(layout)], remappings=rviz_remappings(layout, name),
            # Where nothing is said of it here, SetParameter of a file around this one may do so.
            parameters=[{key: shared[key]} for key in ('use_sim_time',) if key in shared]))
    return actions


def shared_parameters(params_file: str, node: str) -> dict:
    """Return what the parameter file says to the perception node of transport and clock."""
    try:
        found = node_parameters(params_file, node)
    except (OSError, ValueError) as error:
        raise ValueError(f'params_file {params_file} cannot be read: {error}') from error
    return {key: found[key] for key in ('image_transport', 'use_sim_time') if key in found}


def generate_launch_description() -> LaunchDescription:
    """Return arguments and nodes."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start_nodes)])
