"""What Nav2 takes of the node, over real DDS: mask, confidence and cloud, pixel by pixel.

What consumers ask for was read in their sources: semantic_segmentation_layer (main, b269885),
depth_image_proc (rolling) and RViz's transformers of clouds.
"""

from contextlib import ExitStack

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
from node_testing import gradient_scene, make_image
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField

from demt_perception.inference import Predictor

HEIGHT, WIDTH = 168, 320   # of no other test: their camera_info does not hold for it
FX, FY, CX, CY = 300.0, 330.0, 158.5, 88.0
LENS = [-0.2485, -0.0195, -0.0006, 0.0002, 0.0086]
BUNDLE = {'points': PointCloud2, 'points/semantic': Image, 'points/confidence': Image}
DEPTH = {'depth/image': Image, 'depth/camera_info': CameraInfo}


@pytest.fixture(scope='module')
def scene():
    return gradient_scene(HEIGHT, WIDTH)


@pytest.fixture(scope='module')
def expected(scene, tiny_model):
    return Predictor(tiny_model, 'onnxruntime', 1).predict(scene, (FX, FY))


def make_info(header, lens=()):
    return CameraInfo(header=header, width=WIDTH, height=HEIGHT, distortion_model='plumb_bob',
                      d=list(lens), k=[FX, 0, CX, 0, FY, CY, 0, 0, 1])


def words(cloud):
    """Return the points as a structured array, by the fields that the message names."""
    kinds = {PointField.FLOAT32: 'f4', PointField.UINT32: 'u4'}
    assert all(field.count == 1 for field in cloud.fields)
    kind = np.dtype({'names': [field.name for field in cloud.fields],
                     'formats': [kinds[field.datatype] for field in cloud.fields],
                     'offsets': [field.offset for field in cloud.fields],
                     'itemsize': cloud.point_step})
    assert cloud.row_step == cloud.width * cloud.point_step
    assert len(cloud.data) == cloud.height * cloud.row_step
    return np.frombuffer(cloud.data, kind).reshape(cloud.height, cloud.width)


def pixels(image, kind=np.uint8):
    return np.frombuffer(image.data, kind).reshape(image.height, image.width)


def capture(tester, scene, topics, node='/shared', camera='/cam', lens=()):
    """Return one frame's message of each topic, and the header of its image."""
    with ExitStack() as stack:
        images = stack.enter_context(tester.publishing(f'{camera}/image'))
        infos = stack.enter_context(tester.publishing(f'{camera}/camera_info', CameraInfo))
        got = {topic: stack.enter_context(tester.listening(
            f'{node}/{topic}', kind, qos_profile_sensor_data)) for topic, kind in topics.items()}
        sent = {}

        def make():
            image = make_image(scene, stamp=tester.now())
            infos.publish(make_info(image.header, lens))
            sent[stamp_of(image)] = image.header
            return image

        def common():
            return set.intersection(*({stamp_of(m) for m in found} for found in got.values()))

        tester.pump(images, make, common, f'one frame on {", ".join(topics)}')
    stamp = max(common())
    return {topic: next(m for m in found if stamp_of(m) == stamp)
            for topic, found in got.items()}, sent[stamp]


def stamp_of(message):
    return message.header.stamp.sec, message.header.stamp.nanosec


def by_depth_image_proc(depth, info):
    """Return x, y and z as depth_image_proc's convertDepth computes them."""
    assert depth.encoding == '32FC1'
    z = pixels(depth, np.float32)
    u, v = np.meshgrid(np.arange(depth.width), np.arange(depth.height))
    p = info.p
    xyz = np.stack([(u - p[2]) * z / p[0], (v - p[6]) * z / p[5], z], -1)
    return np.where(np.isfinite(z)[..., None], xyz, np.nan)


@pytest.mark.usefixtures('shared_node')
def test_the_bundle_of_a_frame_is_one(tester, scene, expected):
    found, header = capture(tester, scene, BUNDLE | DEPTH | {'semantic/image': Image})
    for topic, message in found.items():
        assert message.header == header, topic
        assert (message.height, message.width) == (HEIGHT, WIDTH), topic
    assert {found[topic].encoding for topic in BUNDLE if topic != 'points'} == {'mono8'}
    cloud, points = found['points'], words(found['points'])
    assert points.dtype.names == ('x', 'y', 'z', 'rgb', 'label', 'confidence')
    assert not cloud.is_dense
    assert not cloud.is_bigendian
    np.testing.assert_array_equal(pixels(found['points/semantic']), expected.semantic)
    np.testing.assert_array_equal(points['label'], expected.semantic)
    np.testing.assert_array_equal(found['points/semantic'].data, found['semantic/image'].data)
    confidence = pixels(found['points/confidence'])
    np.testing.assert_allclose(confidence, expected.confidence, atol=1)
    np.testing.assert_allclose(points['confidence'], confidence / 255, rtol=1e-6)
    # RViz's RGB8 transformer: red is (word >> 16) & 0xff.
    color = np.ascontiguousarray(points['rgb']).view(np.uint32)
    np.testing.assert_array_equal(color >> 16, scene[..., 2])
    np.testing.assert_array_equal(color & 0xff, scene[..., 0])
    xyz = np.stack([points['x'], points['y'], points['z']], -1)
    np.testing.assert_allclose(
        xyz, by_depth_image_proc(found['depth/image'], found['depth/camera_info']), rtol=1e-5)
    np.testing.assert_array_equal(np.isnan(xyz).any(-1), np.isnan(expected.depth))


@pytest.mark.usefixtures('shared_node')
def test_points_alone_are_labelled_and_decimated_at_once(tester, scene, expected):
    def decimate(step):
        request = SetParameters.Request(parameters=[
            Parameter('points.decimation', value=step).to_parameter_msg()])
        result, = tester.call(SetParameters, '/shared/set_parameters', request).results
        return result

    assert decimate(3).successful
    try:
        found, _ = capture(tester, scene, {'points': PointCloud2})
        both, _ = capture(tester, scene, {t: BUNDLE[t] for t in BUNDLE if t != 'points'})
    finally:
        decimate(1)
    points = words(found['points'])
    np.testing.assert_array_equal(points['label'], expected.semantic[::3, ::3])
    np.testing.assert_allclose(points['z'], expected.depth[::3, ::3], rtol=1e-4)
    v, u = np.ogrid[:HEIGHT:3, :WIDTH:3]
    for name, ray in ('x', (u - CX) / FX), ('y', (v - CY) / FY):
        np.testing.assert_allclose(points[name], ray * points['z'], rtol=1e-4, atol=1e-4)
    for message in both.values():
        assert (message.height, message.width) == points.shape
    assert not decimate(0).successful


def test_points_follow_the_lens_and_need_a_calibration(tester, start_node, scene, tiny_model):
    start_node('-r', '__node:=bent', '-r', 'image:=/bent/image', model=tiny_model)
    with tester.listening('/bent/points', PointCloud2) as clouds, \
            tester.listening('/bent/points/semantic', Image) as masks, \
            tester.publishing('/bent/image') as images:
        tester.pump(images, lambda: make_image(scene, stamp=tester.now()), lambda: len(masks) > 2)
        assert not clouds
    found, _ = capture(tester, scene, {'points': PointCloud2}, '/bent', '/bent', LENS)
    points = words(found['points'])
    seen = ~np.isnan(points['x'])
    assert seen.any()
    xyz = np.stack([points['x'], points['y'], points['z']], -1)[seen].astype(np.float64)
    k = np.array([[FX, 0, CX], [0, FY, CY], [0, 0, 1]])
    at, _ = cv2.projectPoints(xyz, np.zeros(3), np.zeros(3), k, np.array(LENS))
    v, u = np.nonzero(seen)
    np.testing.assert_allclose(at[:, 0], np.stack([u, v], -1), atol=0.01)
    with tester.diagnosing('bent') as report, tester.publishing('/bent/image') as images, \
            tester.listening('/bent/points/semantic', Image), \
            tester.listening('/bent/points', PointCloud2):
        for _ in range(3):
            images.publish(make_image(scene, frame_id='', stamp=tester.now()))
            tester.spin_for(0.2)
        found = report(lambda report: 'no_frame_id' in report.values)
    assert found.values['no_frame_id'] != '0'


def test_points_of_a_lens_that_is_not_known_are_not_guessed(tester, start_node, scene, tiny_model):
    start_node('-r', '__node:=strange', '-r', 'image:=/strange/image', model=tiny_model)
    with tester.diagnosing('strange') as report, \
            tester.publishing('/strange/image') as images, \
            tester.publishing('/strange/camera_info', CameraInfo) as infos, \
            tester.listening('/strange/points', PointCloud2) as clouds, \
            tester.listening('/strange/points/semantic', Image) as masks:
        def send():
            image = make_image(scene, stamp=tester.now())
            info = make_info(image.header, [0.1] * 6)
            info.distortion_model = 'double_sphere'
            infos.publish(info)
            return image
        tester.pump(images, send, lambda: len(masks) > 2)
        found = report(lambda report: 'unknown_lens' in report.values)
        assert found.values['unknown_lens'] != '0' and not clouds
