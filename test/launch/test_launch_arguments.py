"""Every launch file for real, with every argument, where launch and an installed package are."""

import contextlib
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest
from shared_data import SHARED
import yaml

for name in ('launch', 'launch_ros', 'rclpy'):
    pytest.importorskip(name, reason=f'{name} is not installed: it comes with ROS 2')

from ament_index_python.packages import get_package_share_directory, PackageNotFoundError

try:
    SHARE = Path(get_package_share_directory('demt_perception'))
except PackageNotFoundError:
    pytest.skip('demt_perception is not installed: colcon build, and source install/setup.bash',
                allow_module_level=True)

# The tester of the tests over DDS.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'ros'))

import launch
from launch.launch_description_sources import PythonLaunchDescriptionSource
from node_testing import environment, reliable, Tester
from rcl_interfaces.srv import GetParameters
from sensor_msgs.msg import CameraInfo, Image

ROOT = Path(__file__).resolve().parents[2]
TINY_MODEL = ROOT / 'test' / 'data' / 'tiny_model'
# Others may run nodes of the same name in the same domain.
SPACE = f'launched{os.getpid()}'
RUN = """
import sys, launch
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
service = launch.LaunchService()
service.include_launch_description(launch.LaunchDescription([IncludeLaunchDescription(
    PythonLaunchDescriptionSource(sys.argv[1]),
    launch_arguments=[argument.split(':=', 1) for argument in sys.argv[2:]])]))
sys.exit(service.run())
"""


@pytest.fixture
def files(tmp_path):
    """Return a folder with `images` (72x128), `wide` (72x200), a calibration and parameters."""
    for name, width in (('images', 128), ('wide', 200)):
        (tmp_path / name).mkdir()
        for index in range(3):
            cv2.imwrite(str(tmp_path / name / f'{index}.png'),
                        np.full((72, width, 3), 40 * index, np.uint8))
    shutil.copy(SHARE / 'config' / 'udacity_camera.yaml', tmp_path / 'calibration.yaml')
    (tmp_path / 'params.yaml').write_text(yaml.safe_dump({'/**': {'ros__parameters': {
        'model': str(TINY_MODEL), 'engine': 'onnxruntime', 'threads': 1, 'max_age': 0.0}}}))
    return tmp_path


@pytest.fixture
def run(files):
    """Return a function that launches a file in a domain, and gives a tester and the log."""
    environ, domain = environment(transport=False)
    tester = Tester(domain)
    with contextlib.ExitStack() as stack:
        def start(name, **arguments):
            arguments = {'params_file': files / 'params.yaml', 'namespace': SPACE, **arguments}
            log = stack.enter_context((files / 'log').open('w'))
            process = subprocess.Popen(
                [sys.executable, '-c', RUN, SHARE / 'launch' / name,
                 *(f'{key}:={value}' for key, value in arguments.items())],
                env=environ, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
            stack.callback(end, process)
            return tester, lambda: (files / 'log').read_text()

        def end(process):
            os.killpg(process.pid, signal.SIGINT)   # as Ctrl-C in a terminal does
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
            text = (files / 'log').read_text()
            assert 'Traceback' not in text, text
            assert 'exit code' not in text, text   # launch says it of processes that fail
            assert 'escalating' not in text, text   # SIGINT is enough

        yield start
    tester.close()


def parameter(tester, node, name):
    value = tester.call(GetParameters, f'{node}/get_parameters',
                        GetParameters.Request(names=[name])).values[0]
    return value.bool_value if value.type == 1 else value.string_value


def test_a_source_with_all_that_can_be_said_of_it(run, files):
    tester, log = run(
        'camera.launch.py', source=files / 'images', image_topic='front/image_raw',
        camera_info_file=files / 'calibration.yaml', image_transport='compressed',
        log_level='debug', target='cpu', rviz='false', device_format='')
    with tester.listening(f'/{SPACE}/demt_perception/semantic/image', Image, reliable()) as got, \
            tester.listening(f'/{SPACE}/front/camera_info', CameraInfo, reliable()) as infos:
        tester.spin_until(lambda: got and infos, 'an output and camera_info')
    assert (got[0].width, got[0].height) == (128, 72)
    assert infos[0].width == 128
    tester.spin_until(
        lambda: tester.node.count_publishers(f'/{SPACE}/front/image_raw/compressed') == 1)
    assert 'target cpu, parameters' in log()
    assert 'DEBUG' in log()


def test_several_cameras(run, files):
    tester, _ = run('camera.launch.py', cameras='front,left', image_topic='image_raw',
                    source=f'{files / "images"},{files / "wide"}')
    node = f'/{SPACE}/demt_perception'
    with tester.listening(f'{node}/front/semantic/image', Image, reliable()) as front, \
            tester.listening(f'{node}/left/semantic/image', Image, reliable()) as left:
        tester.spin_until(lambda: front and left, 'outputs of both')
    assert (front[0].width, left[0].width) == (128, 200)
    assert front[0].header.frame_id == 'front_optical_frame'
    tester.spin_until(lambda: tester.node.count_publishers(f'/{SPACE}/left/image_raw') == 1)


def test_a_node_that_waits_for_its_manager(run):
    tester, _ = run('camera.launch.py', autostart='false', use_sim_time='true')
    assert tester.state(f'/{SPACE}/demt_perception') == 'unconfigured'
    assert parameter(tester, f'/{SPACE}/demt_perception', 'use_sim_time') is True
    assert parameter(tester, f'/{SPACE}/demt_perception', 'autostart') is False


@pytest.mark.parametrize('target', ['desktop', 'jetson'])
def test_a_target_takes_its_parameters(run, target):
    tester, log = run(f'{target}.launch.py', autostart='false', image_topic='/x/image')
    assert tester.state(f'/{SPACE}/demt_perception') == 'unconfigured'
    assert f'target {target}, parameters' in log()


def test_a_bag(run):
    bag = SHARED / 'data' / 'bags' / 'udacity_highway_mcap'
    if not bag.is_dir():
        pytest.skip(f'{bag} is not there')
    if not shutil.which('ros2'):
        pytest.skip('`ros2 bag` is not installed')
    tester, _ = run('rosbag.launch.py', bag=bag, delay='8')
    with tester.listening(f'/{SPACE}/demt_perception/depth/image', Image, reliable()) as got:
        tester.spin_until(lambda: got, 'depth of the bag')
    assert parameter(tester, f'/{SPACE}/demt_perception', 'use_sim_time') is True


@pytest.mark.parametrize('path', sorted((SHARE / 'launch').glob('*.launch.py')),
                         ids=lambda path: path.name)
def test_launch_shows_every_argument(path):
    """What `ros2 launch --show-args` does."""
    description = PythonLaunchDescriptionSource(str(path)).get_launch_description(
        launch.LaunchContext())
    shown = {argument.name: argument for argument in description.get_launch_arguments()}
    assert shown.keys() >= {'source', 'image_topic', 'cameras', 'params_file', 'namespace',
                            'use_sim_time', 'autostart', 'log_level', 'rviz'}
    assert all(argument.description for argument in shown.values())
