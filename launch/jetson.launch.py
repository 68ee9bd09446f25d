"""The perception node with the parameters for an NVIDIA Jetson: config/jetson.yaml.

ros2 launch demt_perception jetson.launch.py image_topic:=/front/image_raw

All arguments of camera.launch.py but target can be given.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

LAUNCH = Path(get_package_share_directory('demt_perception')) / 'launch'


def generate_launch_description() -> LaunchDescription:
    """Return camera.launch.py with the target fixed."""
    return LaunchDescription([
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(LAUNCH / 'camera.launch.py')),
            launch_arguments={'target': 'jetson'}.items()),
    ])
