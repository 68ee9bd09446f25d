"""The layouts for RViz, rqt and Foxglove: read as their programs read them, not run.

What each program knows was read in its sources: rviz_default_plugins and rviz_common (saved
configurations), qt_gui's perspective_manager.py, rqt_image_view's image_view.cpp, rqt_plot's
plot.py, rqt_runtime_monitor's plugin.xml, and Foxglove's panel types.
"""

import ast
import json
from pathlib import Path
import re

import pytest
import yaml

from demt_perception.ros.frame_statistics import Snapshot
from demt_perception.ros.health import Inference, values
from demt_perception.ros.outputs import OUTPUTS

ROOT = Path(__file__).resolve().parents[2]
NODE = '/demt_perception'
PICTURES = {f'{NODE}/{output.topic}' for output in OUTPUTS if output.encoding in ('rgb8', 'mono8')}

RVIZ_TOPIC = {'Depth', 'Durability Policy', 'History Policy', 'Reliability Policy', 'Value'}
RVIZ_DISPLAYS = {
    'rviz_default_plugins/Image': {
        'Class', 'Enabled', 'Max Value', 'Median window', 'Min Value', 'Name', 'Normalize Range',
        'Topic', 'Value'},
    'rviz_default_plugins/PointCloud2': {
        'Alpha', 'Class', 'Color Transformer', 'Decay Time', 'Enabled', 'Name',
        'Position Transformer', 'Selectable', 'Size (Pixels)', 'Size (m)', 'Style', 'Topic',
        'Use Fixed Frame', 'Use rainbow', 'Value'},
}
RVIZ_OTHERS = {'rviz_common/Displays', 'rviz_default_plugins/Interact',
               'rviz_default_plugins/MoveCamera'}
RQT_PLUGINS = {
    'rqt_image_view/ImageView': {
        'topic', 'zoom1', 'dynamic_range', 'max_range', 'publish_click_location',
        'mouse_pub_topic', 'toolbar_hidden', 'num_gridlines', 'smooth_image', 'rotate',
        'color_scheme'},
    'rqt_plot/Plot': {'autoscroll', 'topics'},
    'rqt_runtime_monitor/RuntimeMonitor': set(),
}
FOXGLOVE_PANELS = {'Image', 'Plot', 'DiagnosticSummary'}


@pytest.fixture(scope='module')
def rviz():
    return yaml.safe_load((ROOT / 'config' / 'perception.rviz').read_text())


@pytest.fixture(scope='module')
def perspective():
    """The perspective with its values imported as qt_gui does, but literals only."""
    def imported(data):
        assert data.keys() <= {'keys', 'groups'}
        for value in data['keys'].values():
            assert value['type'] == 'repr'
        return {'keys': {key: ast.literal_eval(value['repr'])
                         for key, value in data['keys'].items()},
                'groups': {name: imported(group) for name, group in data['groups'].items()}}

    return imported(json.loads((ROOT / 'config' / 'perception.perspective').read_text()))


@pytest.fixture(scope='module')
def foxglove():
    return json.loads((ROOT / 'config' / 'foxglove_layout.json').read_text())


def fields(message):
    """Return the fields of one of our messages, from its source."""
    text = (ROOT / 'demt_msgs' / 'msg' / f'{message}.msg').read_text()
    return set(re.findall(r'^[\w/]+(?:\[\])? (\w+)', text, re.MULTILINE))


def test_rviz_has_displays_and_keys_that_rviz_knows(rviz):
    manager = rviz['Visualization Manager']
    assert {part['Class'] for part in (*rviz['Panels'], *manager['Tools'])} <= RVIZ_OTHERS
    for display in manager['Displays']:
        assert display.keys() <= RVIZ_DISPLAYS[display['Class']], display['Name']
        assert display['Topic'].keys() <= RVIZ_TOPIC | {'Filter size'}
        assert display['Topic']['Reliability Policy'] == 'Best Effort'   # matches every publisher


def test_rviz_shows_topics_of_the_node(rviz):
    by_class: dict = {}
    for display in rviz['Visualization Manager']['Displays']:
        # Relative, for namespaces.
        by_class.setdefault(display['Class'], set()).add('/' + display['Topic']['Value'])
    assert len(by_class['rviz_default_plugins/Image']) == 4
    assert by_class['rviz_default_plugins/Image'] <= PICTURES
    pytest.importorskip('sensor_msgs', reason='ROS 2 is not installed')
    from demt_perception.ros.composites import COMPOSITES
    clouds = {f'{NODE}/{one.topic}' for one in COMPOSITES if one.kind.__name__ == 'PointCloud2'}
    assert by_class['rviz_default_plugins/PointCloud2'] <= clouds


def test_rqt_has_plugins_and_settings_that_rqt_knows(perspective):
    manager = perspective['groups']['pluginmanager']
    running = manager['keys']['running-plugins']
    assert running.keys() == RQT_PLUGINS.keys()
    names = {f'plugin__{plugin.replace("/", "__")}__{number}': RQT_PLUGINS[plugin]
             for plugin, numbers in running.items() for number in numbers}
    for name, group in manager['groups'].items():
        assert group['groups'].keys() == {'plugin'}
        assert group['groups']['plugin']['keys'].keys() <= names[name], name


def test_rqt_shows_topics_of_the_node(perspective):
    groups = perspective['groups']['pluginmanager']['groups']
    settings = [group['groups']['plugin']['keys'] for group in groups.values()]
    shown = {keys['topic'] for keys in settings if 'topic' in keys}
    assert len(shown) == 4
    assert shown <= PICTURES
    plotted = {topic for keys in settings for topic in keys.get('topics', ())}
    assert plotted
    for topic in plotted:
        head, _, field = topic.rpartition('/')
        assert head == f'{NODE}/stats'
        assert field in fields('InferenceStats')


def test_foxglove_lays_out_every_panel_once(foxglove):
    assert foxglove.keys() == {'configById', 'globalVariables', 'userNodes', 'playbackConfig',
                               'layout'}
    found = []

    def walk(part):
        if isinstance(part, str):
            found.append(part)
            return
        assert part.keys() == {'direction', 'splitPercentage', 'first', 'second'}
        assert part['direction'] in ('row', 'column')
        assert 0 < part['splitPercentage'] < 100
        walk(part['first'])
        walk(part['second'])

    walk(foxglove['layout'])
    assert sorted(found) == sorted(foxglove['configById'])
    assert {name.partition('!')[0] for name in found} == FOXGLOVE_PANELS


def test_foxglove_shows_topics_of_the_node(foxglove):
    panels = foxglove['configById']
    shown = {panel['imageMode']['imageTopic'] for name, panel in panels.items()
             if name.startswith('Image!')}
    assert len(shown) == 4
    assert shown <= PICTURES
    keys = values(Inference(), Snapshot(stages={'total': (1.0, 2.0)}), 0.0, 1.0)
    paths = [path for panel in panels.values() for path in panel.get('paths', ())]
    assert len(paths) == 4
    for path in paths:
        assert path['enabled']
        if own := re.fullmatch(rf'{NODE}/stats\.(\w+)', path['value']):
            assert own[1] in fields('InferenceStats')
        else:
            name, key = re.fullmatch(
                r'/diagnostics\.status\[:\]\{name=="(.+)"\}\.values\[:\]\{key=="(\w+)"\}\.value',
                path['value']).groups()
            assert name == 'demt_perception: inference'   # as ros/reports.py calls it
            assert key in keys
    assert panels['DiagnosticSummary!health']['topicToRender'] == '/diagnostics'
