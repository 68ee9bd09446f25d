"""Which image a camera_info describes, judged by what image_geometry would make of it."""

import cv2
import numpy as np
import pytest

messages = pytest.importorskip('sensor_msgs.msg', reason='ROS 2 is not installed')
from demt_perception.inference.point_cloud import Camera, make_rays
from demt_perception.ros.camera_model import cropped_camera_info, scaled_camera_info
from demt_perception.ros.rectification import (
    camera_of,
    describe_image,
    is_rectified,
    judge_rectified,
    unknown_lens,
)

LENS = [-0.2485, -0.0195, -0.0006, 0.0002, 0.0086]


def make_info(**changes):
    info = messages.CameraInfo(
        width=1280, height=720, distortion_model='plumb_bob', d=LENS,
        k=[1155.9, 0, 672.2, 0, 1150.6, 388.6, 0, 0, 1],
        p=[1020.0, 0, 660, -80, 0, 1080, 380, 0, 0, 0, 1, 0])
    for name, value in changes.items():
        setattr(info, name, value)
    return info


def rectified_point(info, u, v):
    """Return what image_geometry::PinholeCameraModel::rectifyPoint returns."""
    assert info.distortion_model in ('plumb_bob', 'rational_polynomial', 'equidistant')
    if not any(info.d):
        return u, v
    k, r = (np.reshape(matrix, (3, 3)) for matrix in (info.k, info.r))
    point = cv2.undistortPoints(np.array([[[u, v]]]), k, np.array(info.d), None, r,
                                np.reshape(info.p, (3, 4)))
    return tuple(point[0, 0])


@pytest.mark.parametrize(('topic', 'rectified'), [
    ('/camera/image_rect', True), ('/camera/image_rect_color', True), ('/rect/image', True),
    ('/zed/rgb/color/rect/image', True), ('/a/image_rectified', True), ('image_rect_raw', True),
    ('/camera/image_raw', False), ('/camera/image', False), ('/direct/image', False),
    ('/rectangle/image', False), ('/correct/image', False),
    ('/robot_rect/cam/image_raw', False), ('/rect/cam/image_raw', False),
    ('/robot_rect/image', False), ('/camera_rect/image_raw/compressed', False),
    ('/cam/image_rect/compressed', True), ('/rectified/image/compressed', True),
    ('/camera/image_undistorted', False)])
def test_names_of_rectified_topics(topic, rectified):
    assert is_rectified(topic) is rectified
    assert is_rectified(topic, 'true') is True
    assert is_rectified(topic, 'false') is False


@pytest.mark.parametrize(('topic', 'wanted', 'rectified', 'says'), [
    ('/a/image_rect', 'auto', True, 'by its name'), ('/a/image', 'auto', False, 'by its name'),
    ('/a/image_rect', 'false', False, 'as the parameter front.rectified says'),
    ('/a/image_undistorted', 'true', True, 'as the parameter front.rectified says')])
def test_the_parameter_counts_before_the_name(topic, wanted, rectified, says):
    judged, text = judge_rectified(topic, wanted, 'front.rectified')
    assert judged is rectified
    assert says in text
    assert (' not rectified' in text) is not rectified


def test_of_a_rectified_image_nothing_is_left_to_rectify():
    info = describe_image(make_info(), rectified=True)
    for u, v in ((0.0, 380.0), (1279.0, 0.0)):
        assert rectified_point(info, u, v) == (u, v)
    assert list(info.k) == [1020, 0, 660, 0, 1080, 380, 0, 0, 1]
    assert list(info.p) == list(make_info().p)
    assert camera_of(info) == Camera(1020, 1080, 660, 380)
    assert camera_of(info) == camera_of(describe_image(make_info(d=[0.0] * 5), rectified=False))


def test_of_a_raw_image_the_lens_is_left():
    info = describe_image(make_info(), rectified=False)
    assert (list(info.d), list(info.k)) == (LENS, list(make_info().k))
    assert camera_of(info) == Camera(1155.9, 1150.6, 672.2, 388.6, 'plumb_bob', tuple(LENS))


@pytest.mark.parametrize('rectified', [True, False])
def test_a_camera_info_without_p_and_lens_is_made_whole(rectified):
    """Left as it is, P gives depth_image_proc focal lengths of 0, and rectifyPoint refuses."""
    info = describe_image(make_info(p=[0.0] * 12, d=[], distortion_model=''), rectified)
    assert (info.p[0], info.p[5], info.p[2], info.p[10]) == (1155.9, 1150.6, 672.2, 1)
    assert rectified_point(info, 0.0, 0.0) == (0, 0)
    assert list(info.r) == [1, 0, 0, 0, 1, 0, 0, 0, 1]


@pytest.mark.parametrize('rectified', [True, False])
def test_an_ideal_fish_eye_is_no_pinhole_unless_it_was_rectified(rectified):
    """With all coefficients 0 it is r = f * theta (Kannala and Brandt)."""
    info = describe_image(make_info(d=[0.0] * 4, distortion_model='equidistant'), rectified)
    x, _ = make_rays(camera_of(info), (720, 1280))
    x = np.broadcast_to(x, (720, 1280))[388, 1272]
    if rectified:
        assert (info.distortion_model, list(info.d)) == ('plumb_bob', [0.0] * 5)
        assert x == pytest.approx((1272 - 660) / 1020, abs=1e-5)
    else:
        assert unknown_lens(info) == ''
        assert x == pytest.approx(np.tan((1272 - 672.2) / 1155.9), abs=1e-4)


def test_the_message_that_came_is_left_alone():
    info = make_info()
    describe_image(info, rectified=True)
    assert info == make_info()


def test_a_lens_that_is_not_known_is_named_and_gives_no_camera():
    info = describe_image(make_info(distortion_model='double_sphere', d=[0.1] * 6), False)
    assert 'double_sphere' in unknown_lens(info)
    assert camera_of(info) is None
    prism = [*LENS, 0.0, 0.0, 0.0, 1e-3, 0.0, 0.0, 0.0]
    assert camera_of(make_info(distortion_model='rational_polynomial', d=prism)) is None
    prism[8] = 0.0
    assert camera_of(make_info(distortion_model='rational_polynomial', d=prism)) is not None
    assert unknown_lens(describe_image(make_info(), False)) == ''
    assert unknown_lens(describe_image(make_info(distortion_model='x'), True)) == ''


@pytest.mark.parametrize('rectified', [True, False])
@pytest.mark.parametrize('lens', [LENS, []])
def test_columns_of_depth_fall_into_the_scan(rectified, lens):
    """As depthimage_to_laserscan writes ``ranges[index]``, unchecked, by angles of both kinds."""
    info = describe_image(make_info(d=lens), rectified)
    cy, fx, cx = info.p[6], info.p[0], info.p[2]
    left, right = (np.arctan2(rectified_point(info, u, cy)[0] - cx, fx) for u in (0.0, 1279.0))
    angle_min, angle_max = -right, -left
    index = (-np.arctan2(np.arange(1280) - cx, fx) - angle_min) / ((angle_max - angle_min) / 1279)
    inside = (index > -0.5) & (index < 1279.5)
    if lens and not rectified:   # why the node warns of such images
        assert not inside.all()
    else:
        assert inside.all()


@pytest.mark.parametrize('rectified', [True, False])
@pytest.mark.parametrize('left', [0, 300])
def test_a_part_of_an_image_looks_where_it_looks_in_the_whole(rectified, left):
    info = describe_image(make_info(), rectified)
    part = cropped_camera_info(info, left, 200, 640, 360)
    whole, here = (
        np.stack(np.broadcast_arrays(*make_rays(camera_of(scaled_camera_info(i, w, h)), (h, w))))
        for i, w, h in ((info, 1280, 720), (part, 640, 360)))
    np.testing.assert_allclose(here, whole[:, 200:560, left:left + 640], atol=1e-6)


def test_binning_is_worked_in_at_the_size_of_the_sensor_too():
    info = describe_image(make_info(binning_x=2, binning_y=2), rectified=True)
    scaled = scaled_camera_info(info, 1280, 720)   # images of 640x360, output_scale 2
    assert (scaled.binning_x, scaled.binning_y, scaled.k[0]) == (0, 0, 1020)
