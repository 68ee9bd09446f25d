"""What comes and goes while a node lives leaves nothing behind in it."""

import gc

import pytest

rclpy = pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from node_testing import free_domain, node_in_this_process
from sensor_msgs.msg import Image

from demt_perception.ros.view import Bridge
from demt_perception.view.hub import Hub


def held(node):
    """Return how many entities, alive or not, the node's own callback group refers to."""
    gc.collect()
    return len(node.default_callback_group.entities)


@pytest.mark.parametrize('cameras', ["['']", '[left, right]'])
def test_configurations_leave_nothing_in_the_group_of_the_node(tiny_model, cameras):
    counts = []
    with node_in_this_process(tiny_model, f'cameras:={cameras}') as node:
        for _ in range(3):
            node.trigger_configure()
            node.trigger_activate()
            assert node._perception is not None
            node._report()   # advertises the figures of each camera
            node.trigger_deactivate()
            node.trigger_cleanup()
            node._report()   # and takes them back
            counts.append(held(node))
    assert counts[0] == counts[1] == counts[2]


def test_pipelines_that_ended_well_are_not_kept(tiny_model):
    with node_in_this_process(tiny_model) as node:
        node.trigger_configure()
        for _ in range(3):
            node.trigger_activate()
            node.trigger_deactivate()
        assert node._perception._pipelines == []


def test_viewers_that_come_and_go_leave_nothing_in_the_group_of_the_bridge(monkeypatch):
    rclpy.init(domain_id=free_domain())
    bridge = Bridge(Hub({}), '/looked_at')
    seen = rclpy.create_node('looked_at')
    try:
        seen.create_publisher(Image, '/looked_at/depth/color', 1)
        counts = []
        for _ in range(3):
            monkeypatch.setattr(bridge._hub, 'wanted', lambda: (True, {'/looked_at/depth/color'}))
            while not bridge._images or not bridge._reports:
                bridge._attend()
            monkeypatch.setattr(bridge._hub, 'wanted', lambda: (False, set()))
            bridge._attend()
            assert not bridge._images and not bridge._reports
            counts.append(held(bridge))
        assert counts[0] == counts[1] == counts[2]
    finally:
        seen.destroy_node()
        bridge.destroy_node()
        rclpy.shutdown()
