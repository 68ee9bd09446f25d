"""Which topics the page offers, and the node's state as the page gets it. Without ROS."""

import json
from types import SimpleNamespace

from hypothesis import given, settings, strategies
import pytest

from demt_perception.ros import view_reports
from demt_perception.ros.outputs import OUTPUTS
from demt_perception.ros.view_reports import class_names, classes, Health, stats_report
from demt_perception.ros.view_topics import camera_of, input_topics, output_topics
from demt_perception.view.topics import COLORED_VECTOR

IMAGE = ['sensor_msgs/msg/Image']


def graph(prefix):
    return [(f'{prefix}/{output.topic}', IMAGE) for output in reversed(OUTPUTS)]


def test_every_output_is_offered_and_four_are_shown_first():
    topics = output_topics('/ns/n', [
        *graph('/ns/n'), ('/ns/n/dense', ['demt_msgs/msg/Dense']),
        ('/other/semantic/image', IMAGE), ('/ns/nn/depth/color', IMAGE)])
    assert [topic.name for topic in topics] == [
        f'/ns/n/{output.topic}' for output in OUTPUTS if output.topic != 'normals/image']
    assert [topic.name for topic in sorted(topics, key=lambda one: one.default)
            if topic.default] == [f'/ns/n/{name}' for name in (
                'semantic/overlay', 'depth/color', 'normals/color', 'boundary/image')]
    shown = [topic.title for topic in topics if topic.shown]
    assert len(set(shown)) == len(shown)
    kinds = {topic.name.removeprefix('/ns/n/'): topic.kind for topic in topics}
    assert kinds['semantic/image'] == 'classes'
    assert kinds['depth/uncertainty'] == 'scalar'
    assert kinds['normals/color'] == COLORED_VECTOR
    assert kinds['semantic/confidence'] == 'probability'
    assert not next(t for t in topics if t.name.endswith('depth/image')).shown
    assert 'head' in next(t for t in topics if t.name.endswith('human_parts/image')).names


def test_cameras_are_told_apart():
    topics = output_topics('/n', [*graph('/n/left'), *graph('/n/front')])
    assert [topic.camera for topic in topics] == sorted(
        ['front', 'left'] * (len(OUTPUTS) - 1))
    inputs = input_topics([('/front/image', IMAGE), ('/left/image/compressed',
                           ['sensor_msgs/msg/CompressedImage']), ('/front/camera_info', ['x'])],
                          ['front', 'left'])
    assert [(topic.name, topic.camera, topic.input) for topic in inputs] == [
        ('/front/image', 'front', True), ('/left/image/compressed', 'left', True)]


@pytest.mark.parametrize(('name', 'camera'), [
    ('/n/stats', ''), ('/n/front/stats', 'front'), ('/n/a/b/stats', None), ('/n//stats', None),
    ('/n/statsx', None), ('/m/stats', None), ('/stats', None)])
def test_the_camera_of_a_topic(name, camera):
    assert camera_of('/n', name, 'stats') == camera


@settings(deadline=None)
@given(strategies.lists(strategies.tuples(strategies.text(), strategies.lists(
    strategies.sampled_from([*IMAGE, 'x'])))))
def test_any_graph_is_read(names):
    assert output_topics('/n', names) == []
    input_topics(names, [''])


def test_statistics_become_json():
    message = SimpleNamespace(
        model='m', engine='e', device='d', precision='p', input_rate=float('nan'),
        output_rate=2.0, received=3, processed=2, dropped=1, idle=0, drop_reasons=['too_old'],
        drop_counts=[1], stages=['total'], p50_ms=[4.0], p95_ms=[float('inf')])
    report = json.loads(json.dumps(stats_report(message, 'front'), allow_nan=False))
    assert report['input_rate'] == 0
    assert report['drops'] == {'too_old': 1}
    assert report['stages'] == {'total': [4.0, 0.0]}
    assert report['camera'] == 'front'


def test_class_names_are_found_by_id():
    color = SimpleNamespace(r=1.0, g=0.5, b=0.0)
    table = SimpleNamespace(ids=[0, 2], names=['road', 'car'], colors=[color, color])
    entries = classes(table)
    assert entries[1] == {'id': 2, 'name': 'car', 'color': [255, 128, 0]}
    assert class_names(entries) == ('road', 'class 1', 'car')
    assert class_names([]) == ()


def test_health_is_that_of_the_node_and_grows_old(monkeypatch):
    def status(name, level):
        return SimpleNamespace(name=name, level=level, message='fine',
                               values=[SimpleNamespace(key='k', value='v')])

    health = Health('/ns/n')
    health.add(SimpleNamespace(status=[
        status('ns/n: inference', b'\x01'), status('ns/nn: x', b'\x02'), status('n: x', b'\x02'),
        status('other/n: inference', b'\x02')]))
    assert health.now() == [{'name': 'ns/n: inference', 'level': 1, 'message': 'fine',
                             'values': [['k', 'v']]}]
    later = view_reports.time.monotonic() + 2 * view_reports.SILENCE
    monkeypatch.setattr(view_reports.time, 'monotonic', lambda: later)
    assert health.now()[0]['level'] == view_reports.UNKNOWN
    assert health.now()[0]['message'] == 'no report for 10 s'
