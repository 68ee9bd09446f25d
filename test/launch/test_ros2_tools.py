"""The tools of ROS 2 itself on the node: what its users type."""

import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest
import yaml

if not shutil.which('ros2'):
    pytest.skip('`ros2` is not installed: it comes with ROS 2', allow_module_level=True)
pytest.importorskip('rclpy', reason='rclpy is not installed')

# The tester of the tests over DDS.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'ros'))

from node_testing import environment, Tester
from sensor_msgs.msg import Image

TINY_MODEL = Path(__file__).resolve().parents[1] / 'data' / 'tiny_model'
SPACE = f'tools{os.getpid()}'
NODE = f'/{SPACE}/demt_perception'


@pytest.fixture(scope='module')
def ros2(tmp_path_factory):
    """Return a function that runs `ros2` beside a launched node and returns what it says."""
    folder = tmp_path_factory.mktemp('tools')
    (folder / 'images').mkdir()
    cv2.imwrite(str(folder / 'images' / '0.png'), np.full((72, 128, 3), 90, np.uint8))
    (folder / 'params.yaml').write_text(yaml.safe_dump({'/**': {'ros__parameters': {
        'model': str(TINY_MODEL), 'engine': 'onnxruntime', 'threads': 1, 'max_age': 0.0}}}))
    environ, domain = environment()

    def run(*arguments, seconds=60):
        done = subprocess.run(['ros2', *arguments], env=environ, capture_output=True, text=True,
                              timeout=seconds, check=False)
        return done.stdout + done.stderr

    packages = run('pkg', 'list')
    if 'demt_perception' not in packages.split():
        pytest.skip('demt_perception is not installed: colcon build, source install/setup.bash')
    with (folder / 'log').open('w') as log:
        launched = subprocess.Popen(
            ['ros2', 'launch', 'demt_perception', 'camera.launch.py', f'namespace:={SPACE}',
             f'source:={folder / "images"}', f'params_file:={folder / "params.yaml"}'],
            env=environ, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    tester = Tester(domain)
    try:
        with tester.listening(f'{NODE}/depth/image', Image) as got:
            tester.spin_until(lambda: got, 'the launched node')
        yield run
    finally:
        tester.close()
        os.killpg(launched.pid, signal.SIGINT)
        launched.wait(30)
    assert 'Traceback' not in (folder / 'log').read_text()


@pytest.mark.parametrize(('command', 'said'), [
    ('launch demt_perception camera.launch.py --show-args', 'camera_info_file'),
    ('launch demt_perception rosbag.launch.py --show-args', 'rosbag2 folder'),
    ('node list FOUND', NODE),
    ('node info FOUND NODE', 'demt_msgs/srv/LoadModel'),
    ('topic list -t FOUND', f'{NODE}/depth/image [sensor_msgs/msg/Image]'),
    ('topic info -v FOUND NODE/depth/image', 'Publisher count: 1'),
    ('topic echo --once --field header NODE/semantic/image', 'frame_id: camera_optical_frame'),
    ('param list FOUND NODE', 'depth_scale'),
    ('param describe FOUND NODE depth_scale', 'Type: double'),
    ('param set FOUND NODE depth_scale 1.25', 'Set parameter successful'),
    ('param get FOUND NODE depth_scale', '1.25'),
    ('param set FOUND NODE threads 3', 'is taken over by configure'),
    ('param dump FOUND NODE', 'no_frame_timeout'),
    ('lifecycle nodes FOUND', NODE),
    ('lifecycle get FOUND NODE', 'active [3]'),
    ('lifecycle set FOUND NODE deactivate', 'Transitioning successful'),
    ('lifecycle get FOUND NODE', 'inactive [2]'),
    ('lifecycle set FOUND NODE activate', 'Transitioning successful'),
    ('service list -t FOUND', f'{NODE}/set_tasks [demt_msgs/srv/SetTasks]'),
    ('service call NODE/set_tasks demt_msgs/srv/SetTasks {tasks:[depth]}', 'success=True'),
    ('service call NODE/enable std_srvs/srv/SetBool {data:false}', 'success=True'),
    ('service call NODE/enable std_srvs/srv/SetBool {data:true}', 'success=True'),
    ('interface show demt_msgs/msg/DensePrediction', 'sensor_msgs/Image depth'),
    ('interface show demt_msgs/srv/LoadModel', 'string model'),
    ('interface list', 'demt_msgs/srv/SetTasks'),
])
def test_a_tool_works_on_the_node(ros2, command, said):
    words = [part for word in command.split() for part in (
        ['--no-daemon', '--spin-time', '4'] if word == 'FOUND' else
        [word.replace('NODE', NODE).replace(':', ': ') if '{' in word
         else word.replace('NODE', NODE)])]
    assert said in ros2(*words)
