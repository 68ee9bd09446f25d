"""The YAML reference and the declared parameters are the same; bad values are refused."""

from pathlib import Path

import pytest
import yaml

rclpy = pytest.importorskip('rclpy', reason='ROS 2 is not installed')
from node_testing import free_domain
from rclpy.context import Context
from rclpy.parameter import Parameter

from demt_perception.ros.parameters import (
    declare_cameras,
    declare_parameters,
    read_settings,
    strange_camera,
    value_trouble,
)

REFERENCE = Path(__file__).resolve().parents[2] / 'config' / 'perception.yaml'


def read(node):
    return read_settings(lambda name: node.get_parameter(name).value)


@pytest.fixture
def make_node():
    context = Context()
    rclpy.init(context=context, domain_id=free_domain())
    nodes = []

    def make(*arguments, **values):
        nodes.append(rclpy.create_node(
            'parameters', context=context, cli_args=['--ros-args', *arguments],
            parameter_overrides=[Parameter(name, value=value) for name, value in values.items()]))
        declare_parameters(nodes[-1])
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()
    rclpy.shutdown(context=context)


def test_the_reference_is_complete_and_holds_the_defaults(make_node):
    node = make_node()
    values = yaml.safe_load(REFERENCE.read_text())['/**']['ros__parameters']
    own = {name: parameter.value for name, parameter in node.get_parameters_by_prefix('').items()
           if name not in ('use_sim_time', 'start_type_description_service')
           and not name.startswith('qos_overrides')}
    assert values == {name: list(v) if hasattr(v, 'typecode') else v for name, v in own.items()}
    for name in own:
        assert node.describe_parameter(name).description


def test_values_are_read(make_node):
    settings = read(make_node(input_size=[128, 256], image_transport='compressed'))
    assert settings.input_size == (128, 256)
    assert read(make_node()).input_size is None


def test_named_cameras_have_regions_of_their_own(make_node):
    node = make_node(cameras=['front', 'left'], roi=[1, 2, 3, 4])
    declare_cameras(node, ['front', 'left'])
    node.set_parameters([Parameter('left.roi', value=[5, 6, 7, 8])])
    settings = read(node)
    assert settings.cameras == ('front', 'left')
    assert settings.regions == {'left': (5, 6, 7, 8)}
    assert read(make_node(roi=[1, 2, 3, 4])).regions == {'': (1, 2, 3, 4)}


def test_empty_lists_are_what_people_mean_by_them(make_node):
    """They have no type, and arrive as nothing."""
    settings = read(make_node('-p', 'cameras:=[]', '-p', 'classes:=[]', '-p', 'roi:=[]'))
    assert (settings.cameras, settings.classes, settings.regions) == (('',), (), {})


@pytest.mark.parametrize(('written', 'word'), [
    ('true', 'true'), ('false', 'false'), ('"true"', 'true'), ('auto', 'auto')])
def test_rectified_may_be_written_as_a_truth_value_or_as_a_word(make_node, written, word):
    assert read(make_node('-p', f'rectified:={written}')).rectified == {'': word}


def test_named_cameras_are_rectified_each_for_itself(make_node):
    node = make_node('-p', 'cameras:=[front, left]', '-p', 'left.rectified:=true')
    declare_cameras(node, ['front', 'left'])
    assert read(node).rectified == {'front': 'auto', 'left': 'true'}
    assert strange_camera('rectified', ('front', 'left'))


def test_what_changes_at_once_is_taken_over_and_the_rest_is_kept(make_node):
    old, new = read(make_node()), read(make_node(max_age=9.0, model='other', threads=3))
    live = old.live(new)
    assert (live.max_age, live.model, live.threads) == (9.0, old.model, old.threads)


@pytest.mark.parametrize('values', [
    {'image_transport': 'theora'}, {'input_size': [128]}, {'input_size': [-32, 32]},
    {'cameras': ['front', 'front']}, {'cameras': ['2nd']}, {'cameras': ['a/b']},
    {'roi': [1, 2, 3]}, {'roi': [0, 0, 0, 5]}, {'roi': [-1, 0, 5, 5]},
    {'rectified': 'maybe'}, {'rectified': 1}])
def test_bad_values_are_refused_with_what_is_wanted(make_node, values):
    with pytest.raises(ValueError, match='want'):
        read(make_node(**values))


@pytest.mark.parametrize('values', [
    {'output_scale': 0.0}, {'threads': -1}, {'max_age': -1.0}, {'diagnostics_period': 0.0}])
def test_values_out_of_range_are_refused_at_once(make_node, values):
    with pytest.raises(rclpy.exceptions.InvalidParameterValueException):
        make_node(**values)


def test_whole_numbers_are_numbers(make_node):
    settings = read(make_node(max_age=0, output_scale=1, no_frame_timeout=7))
    assert (settings.max_age, settings.output_scale, settings.no_frame_timeout) == (0.0, 1.0, 7.0)
    assert isinstance(settings.max_age, float)


@pytest.mark.parametrize('values', [
    {'max_age': 'soon'}, {'max_age': True}, {'max_age': -1}, {'output_scale': 5},
    {'max_age': float('nan')}])
def test_what_is_no_number_in_range_is_refused(make_node, values):
    with pytest.raises(rclpy.exceptions.InvalidParameterValueException):
        make_node(**values)
    name, value = next(iter(values.items()))
    assert f'{name} is {value!r}' in value_trouble(name, value)


@pytest.mark.parametrize(('name', 'cameras', 'known'), [
    ('roi', ('',), True), ('front.roi', ('front',), True), ('depth_scale', ('',), True),
    ('roi', ('front', 'left'), False), ('back.depth_scale', ('front', 'left'), False),
    ('front.roi', ('',), False), ('max_age', ('front',), True)])
def test_a_parameter_of_no_camera_is_told(name, cameras, known):
    trouble = strange_camera(name, cameras)
    assert (trouble == '') == known
    assert known or 'no effect' in trouble
