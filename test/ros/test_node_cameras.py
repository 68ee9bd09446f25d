"""Several cameras on one engine, over real DDS: each its topics, its turn, its figures."""

from contextlib import ExitStack
import math

from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
from node_testing import make_image, reliable
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image

from demt_perception.inference import Predictor

# (width, height), and every how many rounds it sends: two fast ones, a slow one, a very slow one.
CAMERAS = {'front': ((160, 96), 1), 'left': ((64, 48), 1), 'right': ((96, 160), 3),
           'rear': ((320, 180), 7)}
COLORS = {'front': (255, 0, 0), 'left': (0, 255, 0), 'right': (0, 0, 255), 'rear': (255, 0, 0)}
CLASSES = {'front': 2, 'left': 1, 'right': 0, 'rear': 2}
NAME = '/several'


@pytest.fixture(scope='module')
def node(ros, tester, tiny_model):
    node = ros.start('-r', '__node:=several', '-r', 'left/image:=/elsewhere/picture',
                     '-p', f'cameras:=[{", ".join(CAMERAS)}]', model=tiny_model, max_age=0,
                     no_frame_timeout=600)
    tester.spin_until(lambda: 'loaded in' in node.log(), 'the node')
    tester.spin_until(lambda: tester.state(NAME) == 'active', 'the node')
    yield node
    assert node.stop() == 0
    assert 'Traceback' not in node.log()


@pytest.fixture(scope='module')
def publishers(tester, node):
    with ExitStack() as stack:
        yield {name: stack.enter_context(tester.publishing(topic)) for name, topic in zip(
            CAMERAS, ('/front/image', '/elsewhere/picture', '/right/image', '/rear/image'),
            strict=True)}


def picture(tester, name):
    (width, height), _ = CAMERAS[name]
    return make_image(np.full((height, width, 3), COLORS[name], np.uint8), frame_id=name,
                      stamp=tester.now())


def key(message):
    return message.header.stamp.sec, message.header.stamp.nanosec


def test_rates_and_sizes_of_their_own(tester, publishers):
    sent = {name: set() for name in CAMERAS}
    with ExitStack() as stack:
        got = {name: stack.enter_context(tester.listening(
            f'{NAME}/{name}/semantic/image', Image, reliable(50))) for name in CAMERAS}
        for turn in range(10_000):
            for name, (_, every) in CAMERAS.items():
                if turn % every == 0:
                    message = picture(tester, name)
                    sent[name].add(key(message))
                    publishers[name].publish(message)
            tester.spin_for(0.01)
            if all(len(messages) > 10 for messages in got.values()):
                break
    for name, messages in got.items():
        (width, height), _ = CAMERAS[name]
        for message in messages:
            assert (message.width, message.height) == (width, height)
            assert message.header.frame_id == name
            assert set(message.data) == {CLASSES[name]}, 'nobody gets what another one saw'
        stamps = [key(message) for message in messages]
        assert stamps == sorted(set(stamps)), 'in order, each once'
        assert set(stamps) <= sent[name]


def test_a_fast_camera_does_not_starve_a_slow_one(tester, node, publishers):
    """The slow one sends when its last frame is through: none of its frames may be superseded."""
    with tester.listening(f'{NAME}/front/depth/image', Image, reliable(50)) as fast, \
            tester.listening(f'{NAME}/rear/depth/image', Image, reliable(50)) as slow:
        sent = []

        def through():
            for _ in range(3):
                publishers['front'].publish(picture(tester, 'front'))
            if not sent or (slow and key(slow[-1]) == sent[-1]):
                message = picture(tester, 'rear')
                sent.append(key(message))
                publishers['rear'].publish(message)
            return len(slow) >= 20

        tester.spin_until(through, 'twenty frames of the slow camera')
        assert [key(message) for message in slow] == sent[:20]
        assert fast


def test_each_has_its_figures_and_troubles(tester, publishers):
    messages = pytest.importorskip('demt_msgs.msg', reason='demt_msgs is not built')
    with tester.listening('/diagnostics', DiagnosticArray) as reports, \
            tester.listening(f'{NAME}/left/stats', messages.InferenceStats) as left, \
            tester.listening(f'{NAME}/stats', messages.InferenceStats) as every:

        def statuses():
            while reports:
                found = {status.name: status for status in reports.pop(0).status
                         if 'self-check' not in status.name}
                if 'several: inference' in found:
                    return found
            return None

        found = tester.spin_until(statuses, 'a report')
        assert set(found) == {'several: inference', *(f'several: {name}' for name in CAMERAS)}

        bad = picture(tester, 'right')
        bad.step = 1
        publishers['right'].publish(bad)
        found = tester.spin_until(
            lambda: (seen := statuses()) and seen['several: inference'].level == b'\x01' and seen,
            'the trouble')
        assert found['several: right'].level == b'\x01'
        assert 'right: wrong_step' in found['several: inference'].message
        assert found['several: front'].level == b'\x00'

        received = {name: int({pair.key: pair.value for pair in status.values}['received'])
                    for name, status in found.items()}
        assert received.pop('several: inference') == sum(received.values())
        tester.spin_until(lambda: left and left[-1].received == received['several: left'])
        tester.spin_until(lambda: every and every[-1].received == sum(received.values()))


def test_camera_info_beside_each(tester, publishers):
    with tester.publishing('/elsewhere/camera_info', CameraInfo) as infos, \
            tester.listening(f'{NAME}/left/depth/camera_info', CameraInfo) as left, \
            tester.listening(f'{NAME}/front/depth/camera_info', CameraInfo) as front, \
            tester.listening(f'{NAME}/front/depth/image', Image) as images:

        def make():
            infos.publish(CameraInfo(width=64, height=48, k=[50.0, 0, 32, 0, 50, 24, 0, 0, 1]))
            publishers['front'].publish(picture(tester, 'front'))
            return picture(tester, 'left')

        tester.pump(publishers['left'], make, lambda: left and len(images) > 2)
        assert left[-1].k[0] == 50
        assert not front, "the other one's calibration is not taken"


def test_each_has_a_region_of_its_own(tester, publishers, tiny_model):
    def region(name, value):
        return tester.call(SetParameters, f'{NAME}/set_parameters', SetParameters.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg()])).results[0]

    with tester.listening(f'{NAME}/front/depth/image', Image) as front, \
            tester.listening(f'{NAME}/left/depth/image', Image) as left:

        def make():
            publishers['front'].publish(picture(tester, 'front'))
            return picture(tester, 'left')

        assert region('front.roi', [10, 20, 50, 40]).successful
        tester.pump(publishers['left'], make, lambda: front and front[-1].width == 50 and left)
        assert (front[-1].height, left[-1].width) == (40, 64)
        # There is no camera_info: the card's field of view is that of the whole picture.
        focal = 160 / 2 / math.tan(math.radians(60) / 2)
        blue = np.full((40, 50, 3), COLORS['front'], np.uint8)
        expected = Predictor(tiny_model, 'onnxruntime', 1).predict(blue, (focal, focal)).depth
        np.testing.assert_allclose(
            np.frombuffer(front[-1].data, np.float32), expected.ravel(), rtol=1e-5)
        refused = region('left.roi', [0, 0, 65, 48])
        assert not refused.successful
        assert 'left.roi [0, 0, 65, 48]' in refused.reason
        assert '64x48' in refused.reason
        assert region('front.roi', [0, 0, 0, 0]).successful
        tester.pump(publishers['left'], make, lambda: front[-1].width == 160)


def test_another_model_serves_all_of_them(tester, publishers, tiny_model):
    services = pytest.importorskip('demt_msgs.srv', reason='demt_msgs is not built')
    loaded = tester.call(services.LoadModel, f'{NAME}/load_model', services.LoadModel.Request(
        model=str(tiny_model), engine='openvino'))
    assert loaded.success, loaded.message
    for name in CAMERAS:
        with tester.listening(f'{NAME}/{name}/semantic/image', Image) as got:
            tester.pump(publishers[name], lambda name=name: picture(tester, name), lambda: got)
            assert set(got[-1].data) == {CLASSES[name]}
