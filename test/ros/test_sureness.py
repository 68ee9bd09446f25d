"""Topics that say how good others are: offered where the model has them, unless switched off."""

from dataclasses import replace

import pytest

rclpy = pytest.importorskip('rclpy', reason='ROS 2 is not installed')
from node_testing import free_domain
from rclpy.context import Context
from rclpy.lifecycle import LifecycleNode

from demt_perception.model_card import load_card
from demt_perception.ros.outlet import Outlet
from demt_perception.ros.parameters import declare_parameters, read_settings

BOTH = {'semantic/confidence', 'depth/uncertainty'}


@pytest.fixture
def node():
    context = Context()
    rclpy.init(context=context, domain_id=free_domain())
    node = LifecycleNode('sure', context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


def offered(node):
    names = {publisher.topic_name for publisher in node.publishers}
    return {topic for topic in (*BOTH, 'depth/image', 'semantic/image')
            if f'/sure/{topic}' in names}


@pytest.mark.parametrize('wanted', [True, False])
def test_the_parameter_switches_them(node, tiny_model, wanted):
    declare_parameters(node)
    node.set_parameters([rclpy.parameter.Parameter('confidence', value=wanted)])
    settings = read_settings(lambda name: node.get_parameter(name).value)
    assert settings.confidence is wanted
    outlet = Outlet(node, '', load_card(tiny_model), settings.confidence)
    assert offered(node) == {'depth/image', 'semantic/image'} | (BOTH if wanted else set())
    outlet.destroy()
    assert not offered(node)


def test_another_model_brings_and_takes_them(node, tiny_model):
    card = load_card(tiny_model)
    outlet = Outlet(node, '', replace(card, uncertainty_factor=0.0), True)
    assert offered(node) == {'depth/image', 'semantic/image', 'semantic/confidence'}
    outlet.offer(card, True)
    assert offered(node) > BOTH
    outlet.offer(replace(card, tasks=('depth', 'normals', 'edge')), True)
    assert offered(node) == {'depth/image', 'depth/uncertainty'}
    outlet.destroy()
