"""What the node publishes, over real DDS: topics, types, values, headers, quality of service."""

from builtin_interfaces.msg import Time
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
from node_testing import best_effort, gradient_scene, make_image, reliable
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from demt_perception.inference import Predictor
from demt_perception.model_card import load_card

pytestmark = pytest.mark.usefixtures('shared_node')
NAME = '/shared'
HEIGHT, WIDTH = 180, 320
FOCAL = 300.0
# Topic, attribute of Predictions, encoding, type and shape of a pixel: section by section.
IMAGES = [
    ('semantic/image', 'semantic', 'mono8', np.uint8, ()),
    ('semantic/confidence', 'confidence', 'mono8', np.uint8, ()),
    ('semantic/color', 'semantic_color', 'rgb8', np.uint8, (3,)),
    ('semantic/overlay', 'overlay', 'rgb8', np.uint8, (3,)),
    ('depth/image', 'depth', '32FC1', np.float32, ()),
    ('depth/uncertainty', 'depth_uncertainty', '32FC1', np.float32, ()),
    ('depth/color', 'depth_color', 'rgb8', np.uint8, (3,)),
    ('normals/image', 'normals', '32FC3', np.float32, (3,)),
    ('normals/color', 'normals_color', 'rgb8', np.uint8, (3,)),
    ('boundary/image', 'boundary', 'mono8', np.uint8, ()),
]


@pytest.fixture(scope='module')
def scene():
    return gradient_scene(HEIGHT, WIDTH)


@pytest.fixture(scope='module')
def expected(scene, tiny_model):
    return Predictor(tiny_model, 'onnxruntime', 1).predict(scene, (FOCAL, FOCAL))


@pytest.fixture(scope='module')
def camera(tester):
    with tester.publishing('/cam/camera_info', CameraInfo) as infos, \
            tester.publishing('/cam/image') as images:
        yield images, infos


@pytest.fixture
def shoot(tester, camera, scene):
    """Return a function that publishes image and camera_info until a condition holds."""
    images, infos = camera

    def make():
        image = make_image(scene, stamp=tester.now())
        infos.publish(CameraInfo(header=image.header, width=WIDTH, height=HEIGHT, k=[
            FOCAL, 0, WIDTH / 2, 0, FOCAL, HEIGHT / 2, 0, 0, 1]))
        sent.append(image.header)
        return image

    sent = []
    return lambda until, what='': tester.pump(images, make, until, what) and sent


def pixels(message, kind, shape):
    return np.frombuffer(message.data, kind).reshape(message.height, message.width, *shape)


@pytest.mark.parametrize(('topic', 'attribute', 'encoding', 'kind', 'shape'), IMAGES)
@pytest.mark.parametrize('qos', [best_effort, reliable], ids=['best_effort', 'reliable'])
def test_every_image_is_what_the_predictor_gives(
        tester, shoot, expected, topic, attribute, encoding, kind, shape, qos):
    with tester.listening(f'{NAME}/{topic}', Image, qos()) as got:
        # The first may still have been made before the camera_info was there.
        sent = shoot(lambda: len(got) >= 3, topic)
    message = got[-1]
    assert message.header in sent
    assert message.header.frame_id == 'lens'
    assert (message.height, message.width, message.encoding) == (HEIGHT, WIDTH, encoding)
    assert message.step == WIDTH * np.dtype(kind).itemsize * (shape[0] if shape else 1)
    np.testing.assert_allclose(
        pixels(message, kind, shape), getattr(expected, attribute), atol=1e-5)


def test_all_outputs_of_a_frame_carry_its_header(tester, shoot):
    lists = {}
    from contextlib import ExitStack
    with ExitStack() as stack:
        for topic, *_ in IMAGES:
            lists[topic] = stack.enter_context(tester.listening(f'{NAME}/{topic}', Image))
        lists['info'] = stack.enter_context(
            tester.listening(f'{NAME}/depth/camera_info', CameraInfo))

        def complete():
            stamps = [{(m.header.stamp.sec, m.header.stamp.nanosec) for m in messages}
                      for messages in lists.values()]
            return set.intersection(*stamps)

        sent = shoot(complete, 'one frame on all topics')
    stamp = Time(sec=(found := complete().pop())[0], nanosec=found[1])
    headers = [m.header for messages in lists.values() for m in messages
               if m.header.stamp == stamp]
    assert len(headers) == len(IMAGES) + 1
    assert all(header == headers[0] for header in headers)
    assert headers[0] in sent


@pytest.mark.parametrize('place', ['semantic', 'depth', 'normals', 'boundary'])
def test_camera_info_beside_the_images(tester, shoot, place):
    with tester.listening(f'{NAME}/{place}/camera_info', CameraInfo, reliable()) as got:
        sent = shoot(lambda: got, 'camera_info')
    assert (got[-1].width, got[-1].height, got[-1].k[0]) == (WIDTH, HEIGHT, FOCAL)
    assert got[-1].header in sent


def test_the_dense_message_holds_the_same(tester, shoot, expected):
    messages = pytest.importorskip('demt_msgs.msg', reason='demt_msgs is not built')
    with tester.listening(f'{NAME}/dense', messages.DensePrediction) as got:
        sent = shoot(lambda: got and got[-1].camera_info.width, 'dense')
    dense = got[-1]
    assert dense.header in sent
    assert (dense.model, dense.camera_info.k[4]) == ('tiny_model', FOCAL)
    for topic, attribute, encoding, kind, shape in IMAGES:
        field = {'semantic/image': 'semantic', 'semantic/confidence': 'confidence',
                 'depth/image': 'depth', 'depth/uncertainty': 'depth_uncertainty',
                 'normals/image': 'normals',
                 'boundary/image': 'boundary'}.get(topic)
        if field:
            image = getattr(dense, field)
            assert (image.encoding, image.header) == (encoding, dense.header)
            np.testing.assert_allclose(
                pixels(image, kind, shape), getattr(expected, attribute), atol=1e-5)


def test_a_late_subscriber_gets_the_label_table(tester, tiny_model):
    messages = pytest.importorskip('demt_msgs.msg', reason='demt_msgs is not built')
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    with tester.listening(f'{NAME}/semantic/label_table', messages.LabelTable, latched) as got:
        tester.spin_until(lambda: got, 'label table')
    assert list(got[0].names) == ['red', 'green', 'blue']
    assert list(got[0].ids) == [0, 1, 2]
    np.testing.assert_allclose(
        [(c.r, c.g, c.b, c.a) for c in got[0].colors],
        [(*np.divide(rgb, 255), 1) for rgb in load_card(tiny_model).palette], rtol=1e-6)


def test_a_late_subscriber_gets_the_label_info(tester):
    messages = pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    with tester.listening(f'{NAME}/semantic/label_info', messages.LabelInfo, latched) as got:
        tester.spin_until(lambda: got, 'label info')
    assert [(c.class_id, c.class_name) for c in got[0].class_map] == [
        (0, 'red'), (1, 'green'), (2, 'blue')]


def test_publishers_are_reliable_and_keep_the_last(tester):
    for topic, *_ in IMAGES:
        info, = tester.node.get_publishers_info_by_topic(f'{NAME}/{topic}')
        assert info.qos_profile.reliability.name == 'RELIABLE'
        assert info.qos_profile.durability.name == 'VOLATILE'


def test_diagnostics_tell_what_runs(tester, shoot):
    with tester.listening(f'{NAME}/semantic/image', Image) as got, \
            tester.diagnosing('shared') as report:
        shoot(lambda: len(got) >= 3)
        found = report(lambda r: float(r.values['output_rate']) > 0)
    assert found.level == 0, found.text
    assert (found.values['engine'], found.values['model']) == ('onnxruntime', 'tiny_model')
    for key in ('device', 'precision', 'input_rate', 'received', 'processed', 'dropped',
                'wait_p50_ms', 'convert_p95_ms', 'preprocess_p50_ms', 'engine_p50_ms',
                'semantic_p50_ms', 'publish_p95_ms', 'total_p50_ms'):
        assert found.values[key], key
    assert float(found.values['rss_mb']) > 20
    assert 0 <= float(found.values['last_frame_age_s']) < 60


def test_only_what_is_subscribed_is_computed(tester, shoot, camera):
    """And without any subscriber the network is not run."""
    messages = pytest.importorskip('demt_msgs.msg', reason='demt_msgs is not built')
    with tester.listening(f'{NAME}/stats', messages.InferenceStats) as stats:
        tester.spin_until(lambda: stats)
        before = stats[-1]
        shoot(lambda: stats[-1].received > before.received + 5, 'received frames')
        assert stats[-1].processed == before.processed
        assert stats[-1].output_rate == 0
        # Older samples of other tests leave the window of 10 s only later: look at a new stage.
        with tester.listening(f'{NAME}/boundary/image', Image) as got:
            shoot(lambda: stats[-1].processed > before.processed + 2, 'processed frames')
        assert got
