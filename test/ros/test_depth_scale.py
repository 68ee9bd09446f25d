"""The parameter depth_scale of a node: depth is multiplied by it, at once."""

import time

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from node_testing import make_image, node_in_this_process, reliable
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

from demt_perception.inference import Predictor
from demt_perception.ros.frame import Frame, Result

NAME = '/scaled'


def test_depth_is_multiplied_at_once(tester, start_node, tiny_model):
    pixels = np.random.default_rng(5).integers(0, 255, (96, 160, 3), np.uint8)
    start_node('-r', f'__node:={NAME[1:]}', '-r', 'image:=/scaled_camera/image',
               model=tiny_model, max_age=0)

    def change(value):
        return tester.call(SetParameters, f'{NAME}/set_parameters', SetParameters.Request(
            parameters=[Parameter('depth_scale', value=value).to_parameter_msg()])).results[0]

    with tester.listening(f'{NAME}/depth/image', Image, reliable()) as got, \
            tester.publishing('/scaled_camera/image') as camera:
        def depth():
            got.clear()
            tester.pump(camera, lambda: make_image(pixels, stamp=tester.now()),
                        lambda: len(got) > 3)
            return np.frombuffer(got[-1].data, np.float32)

        before = depth()
        assert change(0.8).successful
        after = depth()
        both = np.isfinite(before) & np.isfinite(after)
        assert both.any()
        # Interpolation beside pixels out of range differs.
        assert np.median(after[both] / before[both]) == pytest.approx(0.8, rel=1e-4)
        assert not change(-1.0).successful


def test_each_camera_has_its_own(tiny_model):
    pixels = np.full((96, 160, 3), 40, np.uint8)
    predictor, depths = Predictor(tiny_model, 'onnxruntime', 1), {}
    with node_in_this_process(
            tiny_model, 'cameras:=[front, left]', 'left.depth_scale:=2.0') as node:
        node.trigger_configure()
        for camera in node._perception.cameras:
            predictions = predictor.predict(pixels)
            frame = Frame(make_image(pixels), 0, time.monotonic())
            camera.publish(Result(camera, frame, predictions, None, frozenset(), {}, 0.0))
            depths[camera.name] = predictions.depth
    plain = predictor.predict(pixels).depth
    assert np.isfinite(plain).all()
    np.testing.assert_allclose(depths['front'], plain, rtol=1e-6)
    np.testing.assert_allclose(depths['left'], 2 * plain, rtol=1e-6)
