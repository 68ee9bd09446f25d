"""The costmap of Nav2, key by key against what the layer declares, and against the node."""

import math
from pathlib import Path
import re

import numpy as np
import pytest
import yaml

from demt_perception.inference import DEFAULT_MODEL, find_model
from demt_perception.model_card import load_card

CONFIG = Path(__file__).resolve().parents[2] / 'config'
TEXT, WHOLE, DECIMAL, SWITCH, TEXTS = str, int, float, bool, list
# Declared by SemanticSegmentationLayer::onInitialize of semantic_segmentation_layer, the same in
# its branches humble (ed01095), jazzy (d1914ba) and main (b269885). A value of another type than
# the declared one ends the costmap with an exception.
LAYER = {'enabled': SWITCH, 'combination_method': WHOLE, 'observation_sources': TEXT}
SOURCE = {'segmentation_topic': TEXT, 'confidence_topic': TEXT, 'labels_topic': TEXT,
          'pointcloud_topic': TEXT, 'observation_persistence': DECIMAL,
          'expected_update_rate': DECIMAL, 'class_types': TEXTS,
          'max_obstacle_distance': DECIMAL, 'min_obstacle_distance': DECIMAL,
          'tile_map_decay_time': DECIMAL, 'visualize_tile_map': SWITCH,
          'use_cost_selection': SWITCH}
CLASSES = {'classes': TEXTS, 'base_cost': WHOLE, 'max_cost': WHOLE, 'mark_confidence': WHOLE,
           'samples_to_max_cost': WHOLE, 'dominant_priority': SWITCH}
# Costmap2DROS and InflationLayer of navigation2.
COSTMAP = {'global_frame': TEXT, 'robot_base_frame': TEXT, 'robot_radius': DECIMAL,
           'rolling_window': SWITCH, 'width': WHOLE, 'height': WHOLE, 'resolution': DECIMAL,
           'update_frequency': DECIMAL, 'publish_frequency': DECIMAL,
           'always_send_full_costmap': SWITCH, 'plugins': TEXTS}
# ObstacleLayer, of each source.
OBSTACLES = {'topic': TEXT, 'data_type': TEXT, 'min_obstacle_height': DECIMAL,
             'max_obstacle_height': DECIMAL, 'obstacle_max_range': DECIMAL,
             'raytrace_max_range': DECIMAL, 'marking': SWITCH, 'clearing': SWITCH}
INFLATION = {'cost_scaling_factor': DECIMAL, 'inflation_radius': DECIMAL}


@pytest.fixture(scope='module')
def costmap():
    text = (CONFIG / 'nav2_costmap.yaml').read_text()
    return yaml.safe_load(text)['local_costmap']['local_costmap']['ros__parameters']


def check(values, types, besides=()):
    for key, value in values.items():
        if key not in besides:
            assert type(value) is types[key], f'{key} is {value!r}, want {types[key].__name__}'


def test_every_key_is_one_that_the_plugins_declare(costmap):
    check(costmap, COSTMAP, besides=costmap['plugins'])
    assert set(costmap['plugins']) <= costmap.keys()
    layer, inflation = costmap['semantic_layer'], costmap['inflation_layer']
    assert layer['plugin'] == 'semantic_segmentation_layer::SemanticSegmentationLayer'
    assert inflation['plugin'] == 'nav2_costmap_2d::InflationLayer'
    check(inflation, INFLATION, besides=('plugin',))
    sources = layer['observation_sources'].split()
    check(layer, LAYER, besides=('plugin', *sources))
    for source in sources:
        kinds = layer[source]['class_types']
        check(layer[source], SOURCE, besides=kinds)
        for kind in kinds:
            check(layer[source][kind], CLASSES)
            assert layer[source][kind].keys() == CLASSES.keys()
            for key in ('base_cost', 'max_cost', 'mark_confidence'):   # uint8 there
                assert 0 <= layer[source][kind][key] <= 255


def test_every_class_of_the_model_has_a_cost_once(costmap):
    source = costmap['semantic_layer']['camera']
    named = [name for kind in source['class_types'] for name in source[kind]['classes']]
    assert sorted(named) == sorted(load_card(find_model(DEFAULT_MODEL)).classes)


def test_the_topics_are_those_of_the_node(costmap):
    pytest.importorskip('sensor_msgs', reason='ROS 2 is not installed')
    from demt_perception.ros.composites import COMPOSITES
    source = costmap['semantic_layer']['camera']
    offered = {f'/demt_perception/{composite.topic}' for composite in COMPOSITES}
    topics = {source[f'{name}_topic'] for name in ('pointcloud', 'segmentation', 'confidence')}
    assert topics <= offered
    assert source['labels_topic'] == '/demt_perception/semantic/label_info'


def test_the_parameters_of_the_node_can_be_set():
    rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')
    from rclpy.context import Context

    from demt_perception.ros.parameters import declare_parameters
    path = CONFIG / 'nav2_perception.yaml'
    context = Context()
    context.init()
    try:
        node = rclpy.create_node(
            'any', context=context, cli_args=['--ros-args', '--params-file', str(path)])
        declare_parameters(node)
        for key, value in yaml.safe_load(path.read_text())['/**']['ros__parameters'].items():
            assert node.get_parameter(key).value == value
        node.destroy_node()
    finally:
        context.try_shutdown()


def obstacle_layer():
    """Return the obstacle layer of the tutorial."""
    page = (CONFIG.parent / 'docs' / 'tutorials' / 'nav2.md').read_text()
    (block,) = [text for text in re.findall(r'```yaml\n(.*?)```', page, re.DOTALL)
                if 'ObstacleLayer' in text]
    return yaml.safe_load(block)['obstacle_layer']


def test_the_obstacle_layer_clears_by_the_ground_and_does_not_mark_it():
    """ObservationBuffer leaves out points by height before a source marks or clears."""
    layer = obstacle_layer()
    sources = [layer[name] for name in layer['observation_sources'].split()]
    assert {source['topic'] for source in sources} == {'/demt_perception/points'}
    (mark,) = [source for source in sources if source['marking']]
    (clear,) = [source for source in sources if source['clearing']]
    assert not mark['clearing'] and not clear['marking']
    assert mark['min_obstacle_height'] > 0 > clear['min_obstacle_height']
    assert clear['max_obstacle_height'] >= mark['max_obstacle_height']
    assert clear['raytrace_max_range'] >= mark['obstacle_max_range']
    check(layer, {'observation_sources': TEXT}, besides=('plugin', 'marks', 'clears'))
    for source in sources:
        check(source, OBSTACLES)


def test_the_manager_of_the_tutorial_wants_no_bond():
    page = (CONFIG.parent / 'docs' / 'tutorials' / 'nav2.md').read_text()
    (block,) = [text for text in re.findall(r'```yaml\n(.*?)```', page, re.DOTALL)
                if 'lifecycle_manager' in text]
    (manager,) = yaml.safe_load(block).values()
    values = manager['ros__parameters']
    assert values['node_names'] == ['demt_perception']
    assert type(values['bond_timeout']) is float and values['bond_timeout'] == 0


def test_the_transform_of_the_tutorial_is_that_of_an_optical_frame():
    """REP 103: z of the camera is forward (x of the robot), x is right, y is down."""
    words = (CONFIG.parent / 'docs' / 'tutorials' / 'nav2.md').read_text().split()
    roll, pitch, yaw = (float(words[words.index(f'--{name}') + 1])
                        for name in ('roll', 'pitch', 'yaw'))
    assert pitch == 0
    around_x = [[1, 0, 0], [0, math.cos(roll), -math.sin(roll)],
                [0, math.sin(roll), math.cos(roll)]]
    around_z = [[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]]
    turn = np.array(around_z) @ np.array(around_x)
    np.testing.assert_allclose(turn, [[0, 0, 1], [-1, 0, 0], [0, -1, 0]], atol=1e-5)
