"""What comes and goes with a configuration leaves nothing behind in the node."""

import gc

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from node_testing import node_in_this_process


def test_configurations_leave_nothing_in_the_group_of_the_node(tiny_model):
    counts = []
    with node_in_this_process(tiny_model) as node:
        for _ in range(3):
            node.trigger_configure()
            node.trigger_activate()
            assert node._perception is not None
            node.trigger_deactivate()
            node.trigger_cleanup()
            gc.collect()
            counts.append(len(node.default_callback_group.entities))
    assert counts[0] == counts[1] == counts[2]


def test_pipelines_that_ended_well_are_not_kept(tiny_model):
    with node_in_this_process(tiny_model) as node:
        node.trigger_configure()
        for _ in range(3):
            node.trigger_activate()
            node.trigger_deactivate()
        assert node._perception._pipelines == []
