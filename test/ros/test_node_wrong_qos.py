"""Overrides of a quality of service that cannot be: said, and nothing else changes."""

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
from lifecycle_msgs.msg import Transition
from node_testing import gradient_scene, make_image
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

ERROR = b'\2'


def wrong(topic, kind):
    return ('-p', f'qos_overrides.{topic}.{kind}.reliability:=sometimes')


def start(start_node, name, tiny_model, *overrides, **parameters):
    return start_node('-r', f'__node:={name}', '-r', f'image:=/{name}/image', '-r',
                      f'image/compressed:=/{name}/image/compressed', *overrides,
                      model=tiny_model, **parameters)


def test_of_an_output_the_node_is_not_configured(tester, start_node, tiny_model):
    node = start(start_node, 'wrong_output', tiny_model,
                 *wrong('/wrong_output/depth/image', 'publisher'))
    with tester.diagnosing('wrong_output') as report:
        seen = report(lambda one: one.level == ERROR[0])
    assert 'cannot be configured' in seen.text and 'sometimes' in seen.text
    assert tester.state('/wrong_output') == 'unconfigured'
    tester.spin_until(lambda: not tester.node.count_publishers('/wrong_output/semantic/image'),
                      'the others to be taken back')
    assert node.stop() == 0


@pytest.mark.parametrize('topic', ['image', 'camera_info'])
def test_of_an_input_the_node_is_not_activated(tester, start_node, tiny_model, topic):
    name = f'wrong_{topic}'
    node = start(start_node, name, tiny_model, *wrong(f'/{name}/{topic}', 'subscription'))
    with tester.diagnosing(name) as report:
        seen = report(lambda one: one.level == ERROR[0])
    assert 'cannot be activated' in seen.text and 'sometimes' in seen.text
    assert tester.state(f'/{name}') == 'inactive'
    tester.spin_until(lambda: not tester.node.count_subscribers(f'/{name}/image'),
                      'the other to be taken back')
    assert not tester.change_state(Transition.TRANSITION_ACTIVATE, f'/{name}')
    assert node.stop() == 0


def test_of_what_is_changed_later_the_change_is_refused(tester, start_node, tiny_model):
    name = '/wrong_later'
    node = start(start_node, name[1:], tiny_model,
                 *wrong(f'{name}/semantic/confidence', 'publisher'),
                 *wrong(f'{name}/image/compressed', 'subscription'), confidence='false')
    tester.spin_until(lambda: 'loaded in' in node.log(), 'the node')
    tester.spin_until(lambda: tester.state(name) == 'active', 'the node')

    def change(**values):
        result, = tester.call(SetParameters, f'{name}/set_parameters', SetParameters.Request(
            parameters=[Parameter(key, value=value).to_parameter_msg()
                        for key, value in values.items()])).results
        return result

    def value(key):
        found, = tester.call(GetParameters, f'{name}/get_parameters', GetParameters.Request(
            names=[key])).values
        return Parameter.from_parameter_msg(type('Message', (), {'name': key, 'value': found})
                                            ).value

    for key, new, old in (('confidence', True, False), ('image_transport', 'compressed', 'raw')):
        result = change(**{key: new})
        assert not result.successful and 'sometimes' in result.reason, key
        assert value(key) == old
    # What was refused does not come by the way of another change, nor stand in its way.
    srv = pytest.importorskip('demt_msgs.srv', reason='demt_msgs is not built')
    loaded = tester.call(srv.LoadModel, f'{name}/load_model',
                         srv.LoadModel.Request(engine='onnxruntime'))
    assert loaded.success, loaded.message
    assert change(output_scale=0.5).successful
    with tester.listening(f'{name}/semantic/image', Image) as outputs, \
            tester.publishing(f'{name}/image') as images:
        scene = gradient_scene(96, 160)
        tester.pump(images, lambda: make_image(scene, stamp=tester.now()),
                    lambda: outputs and outputs[-1].height == 48, 'outputs of half the size')
    topics = dict(tester.node.get_topic_names_and_types())
    assert not [topic for topic in topics if topic.startswith(name) and 'confidence' in topic]
    assert node.stop() == 0
    assert 'Traceback' not in node.log()
