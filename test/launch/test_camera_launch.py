"""camera.launch.py for real, where launch and an installed package are at hand."""

from pathlib import Path
import tempfile
import time
import unittest

import cv2
import numpy as np
import pytest

for name in ('launch_testing', 'launch_ros'):
    pytest.importorskip(name, reason=f'{name} is not installed: it comes with ROS 2')

from ament_index_python.packages import get_package_share_directory, PackageNotFoundError
import launch
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
import launch_testing
import launch_testing.actions
import launch_testing.asserts
import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
import yaml

try:
    SHARE = Path(get_package_share_directory('demt_perception'))
except PackageNotFoundError:
    pytest.skip('demt_perception is not installed: colcon build, and source install/setup.bash',
                allow_module_level=True)

TINY_MODEL = Path(__file__).resolve().parents[1] / 'data' / 'tiny_model'


@pytest.mark.launch_test
def generate_test_description() -> launch.LaunchDescription:
    folder = Path(tempfile.mkdtemp(prefix='demt_launch_test_'))
    (folder / 'images').mkdir()
    for index in range(5):
        picture = np.full((72, 128, 3), 40 * index, np.uint8)
        cv2.imwrite(str(folder / 'images' / f'{index}.png'), picture)
    params = folder / 'params.yaml'
    params.write_text(yaml.safe_dump(
        {'/**': {'ros__parameters': {'model': str(TINY_MODEL), 'threads': 1}}}))
    return launch.LaunchDescription([
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(SHARE / 'launch' / 'camera.launch.py')),
            launch_arguments={
                'source': str(folder / 'images'), 'params_file': str(params),
                'namespace': 'robot', 'image_topic': 'front/image_raw'}.items()),
        launch_testing.actions.ReadyToTest(),
    ])


class TestRunning(unittest.TestCase):

    def test_the_node_answers_images(self) -> None:
        rclpy.init()
        try:
            node = rclpy.create_node('listener')
            received: list[Image] = []
            node.create_subscription(
                Image, '/robot/demt_perception/semantic/image', received.append,
                qos_profile_sensor_data)
            limit = time.monotonic() + 30
            while not received and time.monotonic() < limit:
                rclpy.spin_once(node, timeout_sec=0.2)
            assert received, 'no semantic image in 30 s'
            assert (received[0].height, received[0].width) == (72, 128)
            assert received[0].encoding == 'mono8'
            node.destroy_node()
        finally:
            rclpy.try_shutdown()


@launch_testing.post_shutdown_test()
class TestAfterwards(unittest.TestCase):

    def test_every_process_ends_well(self, proc_info) -> None:
        launch_testing.asserts.assertExitCodes(proc_info)
