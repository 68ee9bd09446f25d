"""A node that is changed while it works, over real DDS: every service and every parameter."""

import os
import shutil

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
from changed_node import FOCAL, HEIGHT, NAME, publishing, running, scene, settled, shooting, WIDTH
from diagnostic_msgs.msg import DiagnosticArray
from node_testing import make_image, reliable
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import SetBool
import yaml

from demt_perception.inference import Predictor

# More of them where there is time: DEMT_LONG_TESTS=1.
SWITCHES = 20_000 if os.environ.get('DEMT_LONG_TESTS') else 1000


@pytest.fixture(scope='module')
def node(ros, tester, tiny_model):
    with running(ros, tester, tiny_model) as node:
        yield node


@pytest.fixture(scope='module')
def camera(tester, node):
    with publishing(tester) as camera:
        yield camera


@pytest.fixture
def shoot(tester, camera):
    return shooting(tester, camera)


@pytest.fixture
def set_parameter(tester, node):
    """Return a function that sets parameters, each back to what it was after the test."""
    def call(name, value):
        return tester.call(SetParameters, f'{NAME}/set_parameters', SetParameters.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg()])).results[0]

    def get(name):
        value, = tester.call(GetParameters, f'{NAME}/get_parameters', GetParameters.Request(
            names=[name])).values
        value = Parameter.from_parameter_msg(type('Message', (), {'name': name, 'value': value}))
        return value.value

    before = {}

    def change(name, value):
        old = get(name)
        result = call(name, value)
        if result.successful:
            before.setdefault(name, old)
        seen = get(name)
        seen = list(seen) if isinstance(value, list) else seen
        assert (seen == value) is result.successful, 'the parameter says what is true'
        return result

    yield change
    for name, value in before.items():
        assert call(name, value).successful


def values(message, kind=np.uint8):
    return np.frombuffer(message.data, kind).reshape(message.height, message.width)


def test_every_parameter_is_known_and_says_when_it_changes(tester, node):
    names = [name for name in tester.call(
        ListParameters, f'{NAME}/list_parameters', ListParameters.Request()).result.names
        if not name.startswith('qos_overrides')]
    descriptions = tester.call(DescribeParameters, f'{NAME}/describe_parameters',
                               DescribeParameters.Request(names=names)).descriptors
    own = [d for d in descriptions
           if d.name not in ('use_sim_time', 'start_type_description_service')]
    assert len(own) > 20
    for described in own:
        assert described.name == 'autostart' or any(words in described.description for words in (
            'changes at once', 'taken over by configure', '~/load_model')), described.name


@pytest.mark.parametrize(('name', 'value'), [
    ('cameras', ['front']), ('model', 'other'), ('engine', 'openvino'), ('precision', 'f32'),
    ('threads', 2), ('input_size', [64, 64]), ('match_aspect', True)])
def test_what_cannot_change_is_refused_with_what_to_do(set_parameter, name, value):
    refused = set_parameter(name, value)
    assert not refused.successful
    assert f'{name} is' in refused.reason
    assert 'clean up first' in refused.reason


@pytest.mark.parametrize(('name', 'value', 'says'), [
    ('output_scale', 9.0, '4'), ('max_age', -1.0, 'max_age'),
    ('image_transport', 'theora', 'raw, compressed'), ('classes', ['red', 'sky'], "['sky']"),
    ('roi', [1, 2, 3], '[x, y, width, height]'), ('roi', [0, 0, 1, 1], 'at least 2'),
    ('diagnostics_period', 0.0, '0.05'), ('no_frame_timeout', 0.0, '0.1'),
    ('autostart', False, 'read-only'), ('depth.every', 0, ''), ('roi', None, ''),
    ('max_age', None, ''), ('roi', 'all', ''), ('classes', [1, 2], '')])
def test_values_that_are_none_are_refused(set_parameter, name, value, says):
    refused = set_parameter(name, value)
    assert not refused.successful
    assert says in refused.reason


def test_scale_confidence_and_age_change_at_once(tester, shoot, set_parameter, camera):
    with tester.listening(f'{NAME}/depth/image', Image, reliable()) as depth, \
            tester.diagnosing('changed') as report:
        settled(shoot, depth)
        assert set_parameter('output_scale', 0.5).successful
        settled(shoot, depth, lambda m: (m.width, m.height) == (WIDTH // 2, HEIGHT // 2), 'half')

        assert tester.node.count_publishers(f'{NAME}/semantic/confidence')
        assert set_parameter('confidence', False).successful
        tester.spin_until(lambda: not tester.node.count_publishers(f'{NAME}/semantic/confidence'))
        assert set_parameter('confidence', True).successful
        with tester.listening(f'{NAME}/semantic/confidence', Image) as confidence:
            shoot(lambda: confidence, 'confidence is back')

        assert set_parameter('max_age', 0.01).successful
        old = make_image(scene(), stamp=tester.now())
        old.header.stamp.sec -= 60
        camera[0].publish(old)
        report(lambda r: 'too_old' in r.text)


def test_period_and_timeout_change_at_once(tester, set_parameter, node):
    with tester.diagnosing('changed') as report:
        report()
        assert set_parameter('no_frame_timeout', 0.1).successful
        assert 'no frame' in report(lambda r: r.level == 1).text
        assert set_parameter('diagnostics_period', 0.05).successful
        report(), report()


def test_the_transport_changes_at_once(tester, shoot, set_parameter):
    import cv2
    with tester.listening(f'{NAME}/semantic/image', Image) as semantic:
        settled(shoot, semantic)
        assert set_parameter('image_transport', 'compressed').successful
        with tester.publishing('/moving/image/compressed', CompressedImage) as images:
            semantic.clear()
            message = CompressedImage(format='jpeg', data=cv2.imencode(
                '.jpg', scene())[1].tobytes())

            def make():
                message.header.stamp = tester.now()
                return message

            tester.pump(images, make, lambda: len(semantic) > 2, 'compressed ones')
        assert set_parameter('image_transport', 'raw').successful
        settled(shoot, semantic, what='raw ones again')


def test_a_region_is_what_the_predictor_gives_for_it(tester, shoot, set_parameter, tiny_model):
    x, y, width, height = region = [60, 40, 200, 120]
    part = np.ascontiguousarray(scene()[y:y + height, x:x + width])
    expected = Predictor(tiny_model, 'onnxruntime', 1).predict(part, (FOCAL, FOCAL), 0.5)
    with tester.listening(f'{NAME}/depth/image', Image, reliable()) as depth, \
            tester.listening(f'{NAME}/depth/camera_info', CameraInfo, reliable()) as infos:
        settled(shoot, depth)
        assert set_parameter('output_scale', 0.5).successful
        assert set_parameter('roi', region).successful
        message = settled(shoot, depth, lambda m: (m.width, m.height) == (100, 60), 'the part')
        np.testing.assert_allclose(values(message, np.float32), expected.depth, atol=1e-4)
        info = infos[-1]
        assert (info.width, info.height) == (100, 60)
        # Worked into K, so that who does not know of regions is right, too.
        assert (info.k[0], info.k[4]) == (FOCAL / 2, FOCAL / 2)
        assert (info.k[2], info.k[5]) == ((170 - x + 0.5) / 2 - 0.5, (90 - y + 0.5) / 2 - 0.5)
        assert (info.roi.width, info.roi.height) == (0, 0)

        refused = set_parameter('roi', [200, 0, 200, 100])
        assert not refused.successful
        assert f'{WIDTH}x{HEIGHT}' in refused.reason
        assert set_parameter('roi', [0, 0, 0, 0]).successful
        settled(shoot, depth, lambda m: m.width == WIDTH // 2, 'all of it again')


def test_only_some_classes(tester, shoot, set_parameter, tiny_model, tmp_path):
    whole = Predictor(tiny_model, 'onnxruntime', 1).predict(scene(), (FOCAL, FOCAL))
    assert len(np.unique(whole.semantic)) > 1
    with tester.listening(f'{NAME}/semantic/image', Image) as semantic, \
            tester.listening(f'{NAME}/semantic/confidence', Image) as confidence:
        settled(shoot, semantic)
        assert set_parameter('classes', ['blue', 'green']).successful
        filtered = np.where(whole.semantic == 0, 255, whole.semantic)
        settled(shoot, semantic, lambda m: (values(m) == filtered).all(), 'without red')
        settled(shoot, confidence, lambda m: (
            values(m) == np.where(filtered == 255, 0, whole.confidence)).all(), 'without red')

        # A model that has them not is refused, rather than published without a filter.
        services = pytest.importorskip('demt_msgs.srv', reason='demt_msgs is not built')
        folder = tmp_path / 'others'
        shutil.copytree(tiny_model, folder)
        card = yaml.safe_load((folder / 'card.yaml').read_text())
        (folder / 'card.yaml').write_text(yaml.safe_dump({**card, 'classes': ['a', 'b', 'c']}))
        refused = tester.call(services.LoadModel, f'{NAME}/load_model',
                              services.LoadModel.Request(model=str(folder)))
        assert not refused.success
        assert "the old model stays: classes ['blue', 'green']" in refused.message
        settled(shoot, semantic, lambda m: (values(m) == filtered).all(), 'as before')


def test_enable_stops_listening_and_goes_on(tester, shoot, camera, node):
    def enable(value):
        return tester.call(SetBool, f'{NAME}/enable', SetBool.Request(data=value))

    with tester.listening(f'{NAME}/depth/image', Image, reliable()) as depth, \
            tester.diagnosing('changed') as report:
        settled(shoot, depth)
        off = enable(False)
        assert off.success
        assert 'disabled by ~/enable' in off.message
        tester.spin_until(lambda: not camera[0].get_subscription_count(), 'it does not listen')
        assert 'disabled by ~/enable' in report(lambda r: 'disabled' in r.text).text
        assert tester.state(NAME) == 'active'
        assert enable(True).success
        settled(shoot, depth)
        report(lambda r: r.level == 0 and 'Hz in' in r.text)


def test_camera_info_is_kept_over_a_pause(tester, shoot, camera, node):
    """Depth must not rest on an assumed focal length until it comes anew."""
    def enable(value):
        return tester.call(SetBool, f'{NAME}/enable', SetBool.Request(data=value)).success

    with tester.listening(f'{NAME}/depth/image', Image, reliable()) as depth, \
            tester.listening(f'{NAME}/depth/camera_info', CameraInfo, reliable()) as infos:
        settled(shoot, depth)
        assert enable(False) and enable(True)
        infos.clear()
        tester.pump(camera[0], lambda: make_image(scene(), stamp=tester.now()), lambda: infos,
                    'camera_info as before')
        assert infos[0].k[0] == pytest.approx(FOCAL)


def test_the_period_of_reports_changes_at_once(tester, set_parameter):
    with tester.diagnosing('changed') as report:
        assert set_parameter('diagnostics_period', 3000.0).successful
        tester.spin_for(0.3)
        assert set_parameter('diagnostics_period', 0.2).successful
        report()


def test_a_region_that_no_image_has_is_told_and_keeps_nothing_else_from_changing(
        tester, shoot, set_parameter):
    def enable(value):
        return tester.call(SetBool, f'{NAME}/enable', SetBool.Request(data=value)).success

    with tester.listening(f'{NAME}/depth/image', Image) as depth, \
            tester.listening('/diagnostics', DiagnosticArray) as reports:
        assert enable(False)
        assert set_parameter('roi', [0, 0, 4000, 3000]).successful, 'nobody knows the size yet'
        assert enable(True)
        shoot(lambda: any('roi [0, 0, 4000, 3000] reaches beyond' in status.message
                          for report in reports for status in report.status), 'why')
        assert set_parameter('output_scale', 0.5).successful
        assert set_parameter('roi', [0, 0, 0, 0]).successful
        settled(shoot, depth, lambda m: m.width == WIDTH // 2)


def test_tasks_are_switched_a_thousand_times(tester, node, shoot):
    services = pytest.importorskip('demt_msgs.srv', reason='demt_msgs is not built')
    client = tester.node.create_client(services.SetTasks, f'{NAME}/set_tasks')
    tester.spin_until(client.service_is_ready)
    sets = [['depth'], ['semseg', 'edge'], ['normals'], []]
    with tester.listening(f'{NAME}/depth/image', Image) as depth, \
            tester.listening(f'{NAME}/boundary/image', Image) as boundary, \
            tester.diagnosing('changed') as report:
        settled(shoot, depth)
        memory = float(report().values['rss_mb'])
        for turn in range(SWITCHES):
            wanted = sets[turn % len(sets)]
            future = client.call_async(services.SetTasks.Request(tasks=wanted))
            if turn % 20 == 0:
                shoot(future.done, 'an answer')   # and frames between
            tester.spin_until(future.done, 'an answer')
            assert future.result().success
            assert list(future.result().tasks) == (
                wanted or ['semseg', 'depth', 'normals', 'edge'])
        assert tester.call(services.SetTasks, f'{NAME}/set_tasks',
                           services.SetTasks.Request(tasks=['depth'])).success
        settled(shoot, depth)
        boundary.clear()
        settled(shoot, depth)
        assert not boundary
        assert float(report().values['rss_mb']) < memory + 50
        assert tester.call(services.SetTasks, f'{NAME}/set_tasks',
                           services.SetTasks.Request()).success
        settled(shoot, boundary)
    tester.node.destroy_client(client)
