"""An unconfigured node keeps nothing of its model."""

import weakref

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from node_testing import node_in_this_process


def test_an_unconfigured_node_keeps_nothing_of_its_model(tiny_model):
    with node_in_this_process(tiny_model) as node:
        for _ in range(2):
            node.trigger_configure()
            node.trigger_activate()
            perception = weakref.ref(node._perception)
            assert perception() is not None
            node.trigger_deactivate()
            node.trigger_cleanup()
            assert perception() is None, 'its buffers are 1.8 MB at 288x512'
            assert not node.is_loading()


def test_a_closed_one_is_known_for_as_long_as_a_thread_of_its_is_at_work(tiny_model, monkeypatch):
    from demt_perception.ros.perception import Perception
    with node_in_this_process(tiny_model) as node:
        busy = set()
        monkeypatch.setattr(Perception, 'is_preparing', lambda self: id(self) in busy)
        for _ in range(2):   # the second does not make the first forgotten
            node.trigger_configure()
            if not busy:
                busy.add(id(node._perception))
            node.trigger_cleanup()
            assert node.is_loading()
        busy.clear()
        assert not node.is_loading()


def test_a_closed_one_is_given_up_when_its_work_has_ended(tiny_model, monkeypatch):
    """And not only when the next model is freed, which on a vehicle may be never."""
    from demt_perception.ros.perception import Perception
    with node_in_this_process(tiny_model) as node:
        busy = set()
        monkeypatch.setattr(Perception, 'is_preparing', lambda self: id(self) in busy)
        node.trigger_configure()
        perception = weakref.ref(node._perception)
        busy.add(id(perception()))
        node.trigger_cleanup()
        node._report()
        assert perception() is not None
        busy.clear()
        node._report()
        assert perception() is None
