"""The node publishes human parts and saliency of a model that has them."""

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
from node_testing import make_image
from sensor_msgs.msg import Image
from six_task_model import make_model


def test_six_tasks(tester, start_node, tiny_model, tmp_path):
    messages = pytest.importorskip('demt_msgs.msg', reason='demt_msgs is not built')
    model = make_model(tmp_path / 'six', tiny_model)
    start_node('-r', '__node:=six', '-r', 'image:=/six_image', model=model)
    bgr = np.zeros((60, 80, 3), np.uint8)
    bgr[..., 0] = 255
    with tester.publishing('/six_image') as images, \
            tester.listening('/six/human_parts/image', Image) as parts, \
            tester.listening('/six/human_parts/color', Image) as colors, \
            tester.listening('/six/saliency/image', Image) as saliency, \
            tester.listening('/six/dense', messages.DensePrediction) as dense:
        tester.pump(images, lambda: make_image(bgr, stamp=tester.now()),
                    lambda: parts and colors and saliency and dense, 'all outputs')
    assert (parts[-1].encoding, colors[-1].encoding, saliency[-1].encoding) == (
        'mono8', 'rgb8', 'mono8')
    assert set(parts[-1].data) == {6}
    assert bytes(colors[-1].data[:3]) == bytes((0, 128, 128))
    assert min(saliency[-1].data) > 200
    assert set(dense[-1].human_parts.data) == {6}
    assert dense[-1].saliency.height == 60
