"""demt calibrate-depth on a live topic, and on a bag with its camera_info."""

from contextlib import contextmanager
from itertools import islice
import json
import threading

import pytest
from shared_data import SHARED

rclpy = pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from node_testing import environment, make_image
import numpy as np
from rclpy.context import Context
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from demt_perception.cli.main import main
from demt_perception.inference import Predictor
from demt_perception.ros.camera_frames import preparation
from demt_perception.ros.sources import Frame
from demt_perception.ros.topic_frames import topic_frames

BAG = SHARED / 'data' / 'bags' / 'udacity_highway_mcap'
PIXELS = np.random.default_rng(3).integers(0, 255, (96, 160, 3), np.uint8)
INFO = CameraInfo(height=96, width=160, k=[150.0, 0, 70, 0, 150, 50, 0, 0, 1])


def calibrate(capsys, *arguments):
    assert main(['calibrate-depth', *map(str, arguments), '--engine', 'onnxruntime', '--json',
                 '--frames', '2']) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


@contextmanager
def sending(monkeypatch, topic, info_now=lambda: INFO):
    """Have a camera send images, and before each the camera_info of that moment."""
    _, domain = environment()
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
    context = Context()
    context.init(domain_id=domain)
    node = rclpy.create_node('camera', context=context)
    compressed = topic.endswith('compressed')
    images = node.create_publisher(CompressedImage if compressed else Image, topic,
                                   qos_profile_sensor_data)
    infos = node.create_publisher(CameraInfo, '/front/camera_info', qos_profile_sensor_data)
    message = preparation('compressed', None)(Frame(PIXELS, 0.0)).image if compressed else (
        make_image(PIXELS))
    stop = threading.Event()

    def send():
        while not stop.wait(0.05):
            infos.publish(info_now())
            images.publish(message)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        stop.set()
        sender.join()
        node.destroy_node()
        context.try_shutdown()


@pytest.mark.parametrize('topic', ['/front/image', '/front/image/compressed'])
def test_a_live_topic(capsys, monkeypatch, tiny_model, topic):
    with sending(monkeypatch, topic):
        found = calibrate(capsys, topic, '--point', 70, 50, 10, '--model', tiny_model)
    assert found['pictures'] == 2
    assert not found['focal_assumed']
    if not topic.endswith('compressed'):
        depth = Predictor(tiny_model, 'onnxruntime').predict(PIXELS, (150.0, 150.0)).depth
        middle = float(np.median(depth[47:54, 67:74]))   # at the principal point, so along Z
        assert found['depth_scale'] == pytest.approx(10 / middle, rel=1e-3)


def test_the_frames_of_a_topic_have_its_newest_camera_info(monkeypatch):
    focal = [40.0]
    with sending(monkeypatch, '/front/image', lambda: CameraInfo(k=focal * 9)):
        frames = topic_frames('/front/image')
        seen = (frame.camera_info.k[0] for frame in islice(frames, 40) if frame.camera_info)
        assert next(seen) == 40
        focal[0] = 80.0
        assert 80 in seen
        frames.close()


def test_a_topic_that_is_silent(capsys, monkeypatch):
    from demt_perception.ros import topic_frames
    monkeypatch.setattr(topic_frames, 'SECONDS', 0.3)
    assert main(['calibrate-depth', '/nobody/image', '--height', '1']) == 1
    assert 'demt doctor --topic /nobody/image' in capsys.readouterr().err


@pytest.mark.skipif(not BAG.is_dir(), reason=f'{BAG} is not there')
def test_a_bag_brings_its_calibration(capsys, tiny_model):
    found = calibrate(capsys, BAG, '--region', 600, 400, 40, 40, 10, '--model', tiny_model)
    assert not found['focal_assumed']
