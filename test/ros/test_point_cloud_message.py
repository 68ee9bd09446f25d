import numpy as np
import pytest

messages = pytest.importorskip('sensor_msgs.msg', reason='ROS 2 is not installed')
from std_msgs.msg import Header

from demt_perception.inference import Predictor
from demt_perception.inference.point_cloud import CONFIDENCE, LABEL
from demt_perception.ros.camera_model import scaled_camera_info
from demt_perception.ros.composites import composites_of
from demt_perception.ros.point_cloud import CloudFiller
from demt_perception.ros.rectification import camera_of

HEIGHT, WIDTH = 48, 64
ALL = ('semantic', 'confidence')


def make_info(focal=50.0):
    return messages.CameraInfo(width=WIDTH, height=HEIGHT, distortion_model='plumb_bob',
                               d=[0.0] * 5, k=[focal, 0, 32, 0, focal, 24, 0, 0, 1],
                               p=[focal, 0, 32, 0, 0, focal, 24, 0, 0, 0, 1, 0])


@pytest.fixture(scope='module')
def predict(tiny_model):
    predictor = Predictor(tiny_model, 'onnxruntime', 1)
    picture = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    return lambda scale=1.0: predictor.predict(picture, (50.0, 50.0), scale)


def points_of(message):
    return np.frombuffer(message.data, np.float32).reshape(message.height, message.width, 6)


def test_it_has_the_size_of_the_outputs(predict):
    predictions = predict(0.5)
    info = scaled_camera_info(make_info(), WIDTH // 2, HEIGHT // 2)
    message = CloudFiller().fill(predictions, camera_of(info), Header(frame_id='lens'), 1, ALL)
    assert (message.height, message.width) == predictions.size == (HEIGHT // 2, WIDTH // 2)
    assert message.header.frame_id == 'lens'
    points = points_of(message)
    np.testing.assert_array_equal(points.view(np.uint32)[..., LABEL], predictions.semantic)
    np.testing.assert_allclose(
        points[..., 0], (np.arange(32) - 15.75) / 25 * predictions.depth, rtol=1e-5)


def test_memory_is_used_again_and_rays_follow_camera_and_step(predict):
    filler, predictions = CloudFiller(), predict()
    first = filler.fill(predictions, camera_of(make_info()), Header(), 1, ALL)
    x, memory = points_of(first)[..., 0].copy(), first.data
    again = filler.fill(predictions, camera_of(make_info(25.0)), Header(), 1, ALL)
    assert again.data is memory
    np.testing.assert_allclose(points_of(again)[..., 0], 2 * x, rtol=1e-5)
    fewer = filler.fill(predictions, camera_of(make_info(25.0)), Header(), 4, ALL)
    assert (fewer.height, fewer.width, fewer.row_step) == (12, 16, 16 * 24)
    np.testing.assert_allclose(points_of(fewer)[..., 0], 2 * x[::4, ::4], rtol=1e-5)


@pytest.mark.parametrize('given', [(), ('semantic',), ALL])
def test_what_is_not_given_is_unknown(predict, given):
    points = points_of(CloudFiller().fill(predict(), camera_of(make_info()), Header(), 1, given))
    assert (points.view(np.uint32)[..., LABEL] == 255).all() == ('semantic' not in given)
    assert np.isnan(points[..., CONFIDENCE]).all() == ('confidence' not in given)


@pytest.mark.parametrize(('tasks', 'sureness', 'topics'), [
    (('semseg', 'depth'), True, {'points', 'points/semantic', 'points/confidence'}),
    (('semseg', 'depth'), False, {'points', 'points/semantic'}),
    (('depth',), True, {'points'}),
    (('semseg',), True, {'points/semantic', 'points/confidence'}),
    (('normals', 'edge'), True, set())])
def test_topics_of_the_bundle(tasks, sureness, topics):
    assert {composite.topic for composite in composites_of(tasks, sureness)
            if composite.topic.startswith('points')} == topics


def test_a_camera_info_is_there_for_each_task_and_needs_no_other():
    found = {composite.topic: composite for composite in composites_of(('semseg', 'edge'), True)
             if composite.kind is messages.CameraInfo}
    assert {topic: one.needs + one.uses for topic, one in found.items()} == {
        'semantic/camera_info': ('semseg',), 'boundary/camera_info': ('edge',)}
