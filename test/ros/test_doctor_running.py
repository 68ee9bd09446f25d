"""`demt doctor` on running nodes that have the faults that it is to find, over real DDS."""

from array import array
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')

import cv2
from node_testing import environment, free_domain
import numpy as np
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import String

from demt_perception.cli.main import main
from demt_perception.ros import domains
from demt_perception.ros.domains import domains_of_ports, unused_domain
from demt_perception.ros.image_check import _content, bending

HEIGHT, WIDTH = 48, 64
K = [50.0, 0, 32, 0, 50, 24, 0, 0, 1]


@pytest.fixture(scope='module')
def running():
    """Yield the domain of a process full of faulty nodes, which is this one."""
    environ, domain = environment()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        context = Context()
        context.init(domain_id=domain)
        # Fast DDS has one type for a topic in a participant, so readers have their own.
        others = Context()
        others.init(domain_id=domain)
        node = rclpy.create_node('camera', context=context)
        reader = rclpy.create_node('reader', context=others)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    senders = []

    def publish(topic, message, qos=None):
        sender = node.create_publisher(type(message), topic, qos or QoSProfile(depth=1))
        senders.append((sender, message))

    def image(encoding='bgr8', channels=3):
        return Image(height=HEIGHT, width=WIDTH, encoding=encoding, step=WIDTH * channels,
                     data=array('B', bytes(HEIGHT * WIDTH * channels)))

    publish('/good/image_rect', image())
    publish('/good/camera_info', info(0.0))
    publish('/bent/image_raw', image())
    publish('/bent/camera_info', info(-0.3))
    publish('/odd/image', image('32FC4', 16))
    publish('/wrong_size/image', image())
    publish('/wrong_size/camera_info', info(0.0, width=1280))
    publish('/text/image', String(data='no image'))
    for _ in range(2):
        publish('/packed/image/compressed', CompressedImage(format='png', data=cv2.imencode(
            '.png', np.zeros((HEIGHT, WIDTH, 3), np.uint8))[1].tobytes()))
    publish('/settings', String(), QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    reader.create_subscription(String, '/settings', print, QoSProfile(
        depth=1, reliability=ReliabilityPolicy.RELIABLE))
    reader.create_subscription(String, '/good/image_rect', print, 1)
    publish('/label', String(), QoSProfile(depth=1))
    reader.create_subscription(String, '/label', print, QoSProfile(
        depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    node.create_timer(0.02, lambda: [sender.publish(message) for sender, message in senders])
    spinner = threading.Thread(target=executor.spin, daemon=True)
    spinner.start()
    yield domain
    executor.shutdown()
    spinner.join()
    for one in (node, reader):
        one.destroy_node()
        one.context.try_shutdown()


def info(bend, width=WIDTH):
    return CameraInfo(height=HEIGHT, width=width, k=K, distortion_model='plumb_bob',
                      d=[bend, 0.0, 0.0, 0.0, 0.0], p=[50.0, 0, 32, 0, 0, 50, 24, 0, 0, 0, 1, 0])


@pytest.fixture(scope='module')
def report(running):
    """Return what the doctor says of them all: exit code and findings."""
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
        patch.setenv('ROS_DOMAIN_ID', str(running))
        code = main(['doctor', '--json', '--topic', '/good/image_rect', '/bent/image_raw',
                     '/odd/image', '/wrong_size/image', '/text/image', '/packed/image/compressed',
                     '/none/image'])
    return code, json.loads(out.getvalue())['findings']


@pytest.mark.parametrize(('level', 'text', 'remedy'), [
    ('good', '2 nodes: /camera, /reader', ''),
    ('bad', '/settings: quality of service: /reader gets nothing from /camera',
     'qos_overrides./settings.subscription.reliability:=best_effort'),
    ('bad', '/label: quality of service', 'durability to volatile'),
    ('bad', '/good/image_rect: /camera sends sensor_msgs/msg/Image, /reader wants '
     'std_msgs/msg/String', 'remap'),
    ('good', '/good/image_rect: 64x48 bgr8', ''),
    ('good', '/good/camera_info: a calibration that fits', ''),
    ('bad', '/bent/image_raw is not rectified: its lens moves points by up to', 'image_proc'),
    ('bad', "/odd/image: encoding is '32FC4'", 'set the camera driver to bgr8'),
    ('bad', '/wrong_size/camera_info: camera_info is for 1280x48, the images are 64x48',
     'calibrate'),
    ('bad', 'the type differs', ''),
    ('note', '/packed/image/compressed: 2 publishers: /camera, /camera', 'one camera, one topic'),
    ('good', '/packed/image/compressed: 64x48 png', ''),
    ('note', 'no camera_info on /packed/camera_info: depth rests on', 'demt calibrate-depth'),
    ('bad', 'no frame on /none/image: nobody publishes it; images are on', ''),
])
def test_every_fault_is_found_with_its_cure(report, level, text, remedy):
    code, findings = report
    assert code == 1
    suits = [f for f in findings if text in f['text'] and f['level'] == level]
    assert suits, [(f['level'], f['text']) for f in findings]
    assert any(remedy in f['remedy'] for f in suits)


def test_nothing_else_is_found(report):
    assert len([f for f in report[1] if f['level'] == 'bad']) == 8


def test_an_image_is_what_the_option_says(running, monkeypatch, capsys):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(running))
    main(['doctor', '--topic', '/bent/image_raw', '--rectified', 'true'])
    said = capsys.readouterr().out
    assert '/bent/camera_info: a calibration that fits the images' in said
    assert 'is not rectified' not in said


@pytest.mark.parametrize(('rectified', 'level'), [('auto', 'GOOD'), ('false', 'BAD')])
def test_an_image_need_not_be_what_its_name_says(rectified, level):
    pixels = Image(height=HEIGHT, width=WIDTH, encoding='mono8', step=WIDTH,
                   data=array('B', bytes(HEIGHT * WIDTH)))
    watched = SimpleNamespace(images=[pixels], info=info(-0.3), info_topic='/a/camera_info')
    *_, row = _content('/a/image_rect', watched, rectified)
    assert row[0] == level
    assert ('is not rectified' in row[1]) is (level == 'BAD')


def test_the_option_alone_says_nothing(capsys):
    assert main(['doctor', '--rectified', 'true']) == 2
    assert 'demt doctor: --rectified true is of images: give --topic' in capsys.readouterr().err


def test_without_a_topic_it_names_those_there_are(running, monkeypatch):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(running))
    done = subprocess.run([sys.executable, '-m', 'demt_perception.ros.graph_check'],
                          capture_output=True, text=True, timeout=100, check=True)
    level, text, remedy = json.loads(done.stdout)[-1]
    assert (level, text[:37]) == ('NOTE', 'image topics: /bent/image_raw, /good/')
    assert '/packed/image/compressed' in text and '/text/image' not in text
    assert remedy == 'demt doctor --topic /bent/image_raw looks into one'


def test_the_wrong_domain_is_found(running, capsys, monkeypatch):
    other = free_domain()
    while other == running:
        other = free_domain()
    monkeypatch.setenv('ROS_DOMAIN_ID', str(other))
    assert main(['doctor', '--topic', '/good/image_rect']) == 1
    said = capsys.readouterr().out
    assert f'domain {other}: no node, but something runs in domain' in said
    line = next(line for line in said.splitlines() if 'something runs' in line)
    assert str(running) in line.rpartition('domain ')[2].split(', ')
    assert 'export ROS_DOMAIN_ID=' in said


SEND_LARGE = """
import array, time, rclpy, sensor_msgs.msg
rclpy.init()
node = rclpy.create_node('large')
sender = node.create_publisher(
    sensor_msgs.msg.Image, '/large/image', rclpy.qos.qos_profile_sensor_data)
image = sensor_msgs.msg.Image(height=2160, width=3840, encoding='bgr8', step=11520)
image.data = array.array('B', bytes(2160 * 11520))
print('ready', flush=True)
while True:
    sender.publish(image)
    time.sleep(0.1)
"""


def test_large_images_that_get_lost_are_found(capsys, monkeypatch):
    """A sender of 4K pictures with Fast DDS as it comes, which loses them."""
    environ, domain = environment(transport=False)
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
    for name in os.environ.keys() - environ.keys():
        monkeypatch.delenv(name)
    with subprocess.Popen([sys.executable, '-c', SEND_LARGE], env=environ,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as sender:
        try:
            assert sender.stdout.readline() == b'ready\n'
            assert main(['doctor', '--topic', '/large/image']) == 1
        finally:
            sender.send_signal(signal.SIGINT)   # it takes its shared memory along
    said = capsys.readouterr().out
    assert 'lost' in said
    assert 'fastdds.xml' in said


def test_ports_tell_domains():
    assert domains_of_ports({7410, 7411, 7660 + 12, 53, 7400, 5353, 32768 + 5, 60000}) == {0, 1}


@pytest.mark.parametrize(('model', 'd'), [
    ('plumb_bob', [-0.2, 0.05, 0.0, 0.0, 0.0]), ('equidistant', [-0.02, 0.01, 0.0, 0.0])])
def test_bending_is_how_far_the_lens_moves_points(model, d):
    calibration = info(0.0)
    calibration.distortion_model, calibration.d = model, d
    corner = np.array([[[-0.64, -0.48, 1.0]]])
    project = cv2.fisheye.projectPoints if model == 'equidistant' else cv2.projectPoints
    seen = project(corner, np.zeros(3), np.zeros(3), np.reshape(K, (3, 3)), np.array(d))[0]
    inwards = np.linalg.norm(seen.ravel())
    # The straight picture's corner is seen so far in; what is seen at the corner lies farther out.
    assert bending(calibration) > inwards
    assert bending(calibration) == pytest.approx(inwards, rel=0.9)
    calibration.distortion_model = 'unheard of'
    assert bending(calibration) == float('inf')


def test_a_domain_that_nothing_uses(monkeypatch):
    ports = {7410 + 250 * domain for domain in range(1, 101) if domain != 37}
    monkeypatch.setattr(domains, '_udp_ports', lambda: ports)
    assert {unused_domain() for _ in range(50)} == {37}
    ports.add(7410 + 250 * 37)   # then any
    assert unused_domain() in range(1, 101)
