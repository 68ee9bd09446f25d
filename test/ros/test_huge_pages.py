"""What the kernel is asked for below large arrays: nothing, see ``perception_node``."""

from pathlib import Path
import sys

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
from node_testing import make_image
from sensor_msgs.msg import Image

pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='flags of memory are of Linux')


def test_no_memory_of_a_node_is_to_become_huge_pages(tester, start_node, tiny_model):
    """Its normals of such a picture are arrays of 24 MB."""
    node = start_node('-r', '__node:=large', '-r', 'image:=/large/image', model=tiny_model)
    picture = np.zeros((1080, 1920, 3), np.uint8)
    with tester.listening('/large/normals/image', Image) as normals, \
            tester.publishing('/large/image') as images:
        tester.pump(images, lambda: make_image(picture, stamp=tester.now()), lambda: normals)
        assert len(normals[0].data) > 20e6
        flags = [line.split()[1:] for line in
                 Path(f'/proc/{node.process.pid}/smaps').read_text().splitlines()
                 if line.startswith('VmFlags')]
    assert flags and not [found for found in flags if 'hg' in found]
