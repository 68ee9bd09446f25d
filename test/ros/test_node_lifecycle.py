"""Lifecycle, services, reports and exit of the node, over real DDS and in its own process."""

import os
import shutil
import signal
import subprocess
import sys

from lifecycle_msgs.msg import Transition
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
from node_testing import environment, gradient_scene, make_image, NodeProcess, Tester
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.utilities import get_rmw_implementation_identifier
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

BLUE = np.zeros((96, 160, 3), np.uint8)
BLUE[..., 0] = 200
IMAGE, SEMANTIC = '/image', '/demt_perception/semantic/image'
CONFIGURE, CLEANUP = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP
ACTIVATE, DEACTIVATE = Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE


@pytest.fixture
def camera(tester):
    """Return a publisher and a function that makes its images."""
    publisher = tester.node.create_publisher(Image, IMAGE, 1)
    yield publisher, lambda: make_image(BLUE, stamp=tester.now())
    tester.node.destroy_publisher(publisher)


def set_parameter(tester, name, value):
    value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=str(value))
    return tester.call(SetParameters, '/demt_perception/set_parameters', SetParameters.Request(
        parameters=[Parameter(name=name, value=value)])).results[0]


def test_through_all_states_and_a_configuration_that_fails(
        tester, start_node, camera, tiny_model):
    node = start_node(autostart='false', model='no_such_model')
    with tester.diagnosing() as report:
        assert tester.state() == 'unconfigured'
        assert report().level == 1
        assert not tester.change_state(CONFIGURE)
        assert tester.state() == 'unconfigured', 'it stays alive, and can be configured again'
        found = report(lambda r: r.level == 2)
        assert "'no_such_model'" in found.text
        assert not tester.change_state(ACTIVATE)

        assert set_parameter(tester, 'model', tiny_model).successful
        assert tester.change_state(CONFIGURE)
        assert tester.state() == 'inactive'
        assert report(lambda r: r.level == 0).values['model'] == 'tiny_model'
        refused = set_parameter(tester, 'model', 'other')
        assert not refused.successful
        assert 'clean up first' in refused.reason

    publisher, make = camera
    with tester.listening(SEMANTIC, Image) as got:
        assert not publisher.get_subscription_count(), 'inactive: it does not listen'
        assert tester.change_state(ACTIVATE)
        tester.pump(publisher, make, lambda: got, 'an output')
        assert tester.change_state(DEACTIVATE)
        tester.spin_until(lambda: not publisher.get_subscription_count())
        got.clear()
        for _ in range(3):
            publisher.publish(make())
            tester.spin_for(0.1)
        assert not got
        assert tester.change_state(ACTIVATE)
        tester.pump(publisher, make, lambda: got, 'an output again')
        assert tester.change_state(DEACTIVATE)
    assert tester.change_state(CLEANUP)
    assert tester.state() == 'unconfigured'
    tester.spin_until(lambda: not tester.node.count_publishers(SEMANTIC), 'topics taken back')
    assert tester.change_state(CONFIGURE)
    assert tester.change_state(ACTIVATE)
    assert tester.change_state(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert tester.state() == 'finalized'
    assert node.stop() == 0
    assert 'Traceback' not in node.log()


def test_a_node_that_is_configured_again_and_again_holds_no_more(tester, start_node, tiny_model):
    """What a configured node holds refers to itself, and was left to Python's garbage."""
    kind = pytest.importorskip('demt_msgs.msg', reason='~/dense').DensePrediction
    start_node(autostart='false', model=tiny_model)
    large = gradient_scene(720, 1280)
    held = []
    with tester.diagnosing() as report:
        for _ in range(6):
            assert tester.change_state(CONFIGURE)
            assert tester.change_state(ACTIVATE)
            with tester.publishing('/image') as publisher, \
                    tester.listening('/demt_perception/dense', kind) as got:
                tester.pump(publisher, lambda: make_image(large, stamp=tester.now()),
                            lambda: got, 'an output')
            assert tester.change_state(DEACTIVATE)
            assert tester.change_state(CLEANUP)
            report()   # one that was under way
            held.append(float(report(lambda r: r.level == 1).values['rss_mb']))
    # A message alone has 18 MB.
    assert held[5] < held[1] + 15, held


@pytest.mark.parametrize(('before', 'shutdown'), [
    ((), Transition.TRANSITION_UNCONFIGURED_SHUTDOWN),
    ((CONFIGURE,), Transition.TRANSITION_INACTIVE_SHUTDOWN),
])
def test_shutdown_from_the_other_states(tester, start_node, tiny_model, before, shutdown):
    node = start_node(autostart='false', model=tiny_model)
    for transition in before:
        assert tester.change_state(transition)
    assert tester.change_state(shutdown)
    assert tester.state() == 'finalized'
    assert node.stop() == 0


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signals_end_a_working_node_without_a_traceback(
        tester, start_node, camera, tiny_model, number):
    node = start_node(model=tiny_model)
    publisher, make = camera
    with tester.listening(SEMANTIC, Image) as got:
        tester.pump(publisher, make, lambda: len(got) > 3)
        for _ in range(5):
            publisher.publish(make())
        assert node.stop(number) == 0
    for word in ('Traceback', 'Error', 'dropped'):
        assert word not in node.log()


def test_a_signal_while_the_model_loads(tester, start_node, tiny_model):
    node = start_node(model=tiny_model, engine='auto')
    tester.spin_until(lambda: tester.node.count_publishers('/demt_perception/stats')
                      or 'INFO' in node.log(), 'the node')
    assert node.stop() == 0
    assert 'Traceback' not in node.log()


def test_autostart_with_a_bad_model_says_why_and_stays(tester, start_node, tiny_model, tmp_path):
    """A graph that is not what the card says."""
    folder = tmp_path / 'damaged'
    shutil.copytree(tiny_model, folder)
    with (folder / 'model.onnx').open('ab') as file:
        file.write(b'!')
    node = start_node(model=folder)
    with tester.diagnosing() as report:
        found = report(lambda r: r.level == 2)
        assert 'SHA-256' in found.text
        assert tester.state() == 'unconfigured'
        shutil.copy(tiny_model / 'model.onnx', folder)
        assert tester.change_state(CONFIGURE)
    assert 'SHA-256' in node.log()


def test_a_wrong_parameter_file_ends_the_node_with_the_reason(ros, tmp_path):
    # So that a respawn without end says each time what is wrong.
    path = tmp_path / 'wrong.yaml'
    path.write_text('/**: {ros__parameters: {max_age: fast}}')
    node = NodeProcess(ros.environ, '--params-file', str(path))
    assert node.process.wait(60) == 1
    assert "max_age is 'fast', want a number" in node.log()


def test_services_and_lazy_outputs(tester, start_node, camera, tiny_model):
    services = pytest.importorskip('demt_msgs.srv', reason='demt_msgs is not built')
    messages = pytest.importorskip('demt_msgs.msg')
    start_node(model=tiny_model)
    publisher, make = camera
    with tester.listening('/demt_perception/stats', messages.InferenceStats) as stats:
        # Nobody subscribes to an output: frames come, the network rests.
        tester.pump(publisher, make, lambda: stats and stats[-1].received > 4)
        assert stats[-1].processed == 0
        assert not stats[-1].stages
        # One output is wanted: only that is computed.
        with tester.listening('/demt_perception/boundary/image', Image) as got:
            tester.pump(publisher, make, lambda: got and stats[-1].stages, 'boundaries')
            assert {'receive', 'preprocess', 'engine', 'boundary', 'publish', 'total',
                    'publish boundary/image'} <= set(stats[-1].stages)
            assert not {'semantic', 'depth', 'normals', 'overlay'} & set(stats[-1].stages)

    def set_tasks(*names):
        return tester.call(services.SetTasks, '/demt_perception/set_tasks',
                           services.SetTasks.Request(tasks=names))

    def load_model(model, engine=''):
        return tester.call(services.LoadModel, '/demt_perception/load_model',
                           services.LoadModel.Request(model=str(model), engine=engine))

    with tester.listening(SEMANTIC, Image) as semantic, \
            tester.listening('/demt_perception/depth/image', Image) as depth:
        assert list(set_tasks('depth').tasks) == ['depth']
        # Frames already on their way may still bring the old tasks.
        tester.pump(publisher, make, lambda: len(depth) > 2)
        semantic.clear(), depth.clear()
        tester.pump(publisher, make, lambda: len(depth) > 2)
        assert not semantic
        refused = set_tasks('depth', 'colour')
        assert not refused.success
        assert 'colour' in refused.message
        assert list(refused.tasks) == ['depth']
        assert len(set_tasks().tasks) == 4

        failed = load_model('no_such_model')
        assert not failed.success
        assert 'the old model stays' in failed.message
        semantic.clear()
        tester.pump(publisher, make, lambda: semantic, 'the old model')
        loaded = load_model(tiny_model, 'openvino')
        assert loaded.success, loaded.message
        assert 'openvino' in loaded.message
        semantic.clear()
        tester.pump(publisher, make, lambda: semantic, 'the new model')
        assert set(semantic[-1].data) == {2}
    with tester.diagnosing() as report:
        assert report().values['engine'] == 'openvino'


def test_without_demt_msgs_it_works_and_says_what_is_missing(ros, tester, tiny_model, tmp_path):
    (tmp_path / 'demt_msgs').mkdir()
    (tmp_path / 'demt_msgs' / '__init__.py').write_text("raise ImportError('not built')")
    node = NodeProcess(
        ros.environ | {'PYTHONPATH': f'{tmp_path}:{os.environ.get("PYTHONPATH", "")}'},
        '-r', '__node:=plain', '-r', 'image:=/plain/camera', model=tiny_model)
    try:
        with tester.publishing('/plain/camera') as images, \
                tester.listening('/plain/depth/image', Image) as got:
            tester.pump(images, lambda: make_image(BLUE, stamp=tester.now()), lambda: got)
        assert not tester.node.count_publishers('/plain/dense')
        assert 'demt_msgs is not installed: no ~/dense' in node.log()
    finally:
        assert node.stop() == 0


def test_simulated_time(tester, start_node, tiny_model):
    """Reports go on without a clock; ages follow the clock, and its jump back."""
    start_node('-r', '__node:=sim', '-r', 'image:=/bag/image', model=tiny_model,
               use_sim_time='true')
    clock = tester.node.create_publisher(Clock, '/clock', 10)

    def make(seconds):
        message = make_image(BLUE)
        message.header.stamp.sec = seconds
        return message

    with tester.diagnosing('sim') as report, tester.publishing('/bag/image') as images, \
            tester.listening('/sim/semantic/image', Image) as got:
        tester.pump(images, lambda: make(1000), lambda: got, 'an output before the clock')
        tick = Clock()

        def play(seconds, stamp):
            tick.clock.sec = seconds
            clock.publish(tick)
            return make(stamp)

        got.clear()
        tester.pump(images, lambda: play(1000, 1000), lambda: len(got) > 2, 'an output in time')
        tester.pump(images, lambda: play(1003, 1000),
                    lambda: report().values.get('dropped_too_old'))
        got.clear()
        tester.pump(images, lambda: play(500, 500), lambda: got, 'the bag plays again')
        assert int(report().values['stamp_restarts']) == 1
    tester.node.destroy_publisher(clock)


LOSSY_CAMERA = """
import time
import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('lossy')
publisher = node.create_publisher(Image, '/lossy/image', qos_profile_sensor_data)
image = Image(height=720, width=1280, encoding='bgr8', step=3840)
image.data.frombytes(bytes(3840 * 720))
while True:
    publisher.publish(image)
    time.sleep(0.05)
"""


def test_loss_in_transport_is_noticed(tiny_model):
    """Large best-effort images over Fast DDS as it comes: its defaults lose them."""
    if 'fastrtps' not in get_rmw_implementation_identifier():
        pytest.skip('only Fast DDS loses large images by default')
    environ, domain = environment(transport=False)
    tester = Tester(domain)
    node = NodeProcess(environ, '-r', 'image:=/lossy/image', model=tiny_model,
                       no_frame_timeout=1.0)
    camera = subprocess.Popen([sys.executable, '-c', LOSSY_CAMERA], env=environ)
    try:
        with tester.diagnosing() as report:
            found = report(lambda r: 'lost on the way' in r.text)
    finally:
        camera.kill()
        camera.wait()
        node.stop()
        tester.close()
    assert found.level == 1
    assert 'config folder' in found.text
    assert int(found.values['lost_in_transport']) > 0


def test_while_an_engine_is_built_another_serves(tester, ros, tiny_model, tmp_path):
    pytest.importorskip('openvino')
    node = NodeProcess(ros.environ | {'DEMT_CACHE': str(tmp_path / 'empty')},
                       '-r', '__node:=built', '-r', 'image:=/built/camera', model=tiny_model,
                       engine='openvino', diagnostics_period=0.05, autostart='false')
    try:
        with tester.diagnosing('built') as report:
            report()  # it listens: building takes less than a second
            assert tester.change_state(CONFIGURE, '/built')
            assert tester.change_state(ACTIVATE, '/built')
            seen = report(lambda r: r.text.startswith('building the engine'))
            assert 'onnxruntime serves meanwhile' in seen.text
            assert (seen.level, seen.values['engine']) == (0, 'onnxruntime')
            assert seen.values['building'] != '-'
            seen = report(lambda r: r.values['engine'] == 'openvino')
            assert seen.values['building'] == '-'
        with tester.publishing('/built/camera') as images, \
                tester.listening('/built/depth/image', Image) as got:
            tester.pump(images, lambda: make_image(BLUE, stamp=tester.now()), lambda: got)
        log = node.log()
        assert log.index('on onnxruntime') < log.index('built: model tiny_model')
        assert list((tmp_path / 'empty').glob('*.engine'))
    finally:
        assert node.stop() == 0


def test_stopped_while_an_engine_is_built(ros, tester, tiny_model, tmp_path):
    pytest.importorskip('openvino')
    node = NodeProcess(ros.environ | {'DEMT_CACHE': str(tmp_path / 'empty')},
                       '-r', '__node:=short', model=tiny_model, engine='openvino')
    tester.spin_until(lambda: 'on onnxruntime' in node.log(), 'the engine that serves')
    assert node.stop() == 0, node.log()
