"""The parameter depth_scale of a running node: depth is multiplied by it, at once."""

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from node_testing import make_image, reliable
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

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
