import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

messages = pytest.importorskip('sensor_msgs.msg', reason='ROS 2 is not installed')
from demt_perception.inference.resize import linear
from demt_perception.ros.camera_model import (
    BadCameraInfoError,
    check_camera_info,
    cropped_camera_info,
    focal_lengths,
    is_distorted,
    scaled_camera_info,
)


def camera(**changes):
    info = messages.CameraInfo(
        width=1280, height=720, k=[800.0, 0, 640, 0, 810, 360, 0, 0, 1],
        p=[780.0, 0, 630, -40, 0, 790, 350, 0, 0, 0, 1, 0])
    for name, value in changes.items():
        setattr(info, name, value)
    return info


def project(info, x, y, z):
    p = info.p
    u, v, w = (p[i] * x + p[i + 1] * y + p[i + 2] * z + p[i + 3] for i in (0, 4, 8))
    return u / w, v / w


@given(st.integers(0, 600), st.integers(0, 300), st.integers(2, 300), st.integers(2, 200),
       *[st.sampled_from([1, 2])] * 2, st.floats(0.1, 3), st.tuples(*[st.floats(-3, 3)] * 2))
def test_a_point_in_a_part_of_the_image_is_where_it_is_in_the_image(
        left, top, width, height, across, down, scale, at):
    """Any part of the picture of a camera with region of interest and binning, at any scale."""
    info = camera(binning_x=across, binning_y=down)
    info.roi.x_offset, info.roi.y_offset = 8, 4
    info.roi.width, info.roi.height = 1272, 716
    left, top = left // across, top // down
    full = scaled_camera_info(info, 1272 // across, 716 // down)
    part = cropped_camera_info(info, left, top, width, height)
    check_camera_info(part, width, height)
    assert part.k.tolist() == info.k.tolist(), 'REP 104: the calibration is of the full picture'
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = scaled_camera_info(part, *size)
    u, v = project(full, *at, 10.0)
    x, y = project(small, *at, 10.0)
    # Pixels are counted from the centre of the first one, and images resized from their corner.
    assert x == pytest.approx((u - left + 0.5) * size[0] / width - 0.5, abs=1e-6)
    assert y == pytest.approx((v - top + 0.5) * size[1] / height - 0.5, abs=1e-6)
    assert not (small.roi.width or small.binning_x)


def test_a_part_that_begins_at_the_corner_is_told_at_its_own_size():
    part = scaled_camera_info(cropped_camera_info(camera(), 0, 0, 640, 360), 640, 360)
    assert (part.width, part.height, part.roi.width, part.roi.height) == (640, 360, 0, 0)
    whole = camera()
    whole.roi.width, whole.roi.height = 1280, 720   # as some drivers send it
    assert not scaled_camera_info(whole, 1280, 720).roi.width
    assert whole.roi.width == 1280


def test_focal_lengths_come_from_p_and_else_from_k():
    assert focal_lengths(camera()) == (780, 790)
    assert focal_lengths(camera(p=[0.0] * 12)) == (800, 810)


@pytest.mark.parametrize(('changes', 'word'), [
    ({'d': [0.1, float('nan'), 0.0, 0.0, 0.0]}, 'D ='),
    ({'k': [math.nan] + [0.0] * 8}, 'NaN'),
    ({'p': [780.0, math.inf] + [0.0] * 10}, 'NaN or infinity'),
    ({'k': [0.0] * 9, 'p': [0.0] * 12}, 'focal'),
    ({'p': [-780.0, 0, 630, 0, 0, 790, 350, 0, 0, 0, 1, 0]}, 'focal'),
    ({'p': [780.0, 0, 630, 0, 0, 0, 350, 0, 0, 0, 1, 0]}, 'focal'),
    ({'k': [1.0, 0, 0, 0, 1, 0, 0, 0, 1], 'p': [0.0] * 12}, 'placeholder'),
    ({'k': [500.0, 0, 0, 0, 500, 0, 0, 0, 1], 'p': [0.0] * 12}, r'principal point \(K\)'),
    ({'p': [500.0, 0, 0, 0, 0, 500, 0, 0, 0, 0, 1, 0]}, r'principal point \(P\)'),
    ({'width': 640, 'height': 480}, '640x480'),
    ({'width': 0, 'height': 0}, '0x0'),
])
def test_bad_calibrations_are_refused(changes, word):
    with pytest.raises(BadCameraInfoError, match=word):
        check_camera_info(camera(**changes), 1280, 720)


def test_a_good_one_passes_and_is_copied_unscaled():
    info = camera()
    check_camera_info(info, 1280, 720)
    copied = scaled_camera_info(info, 1280, 720)
    assert copied == info
    copied.header = messages.Image().header
    copied.header.frame_id = 'other'
    assert info.header.frame_id == ''


@given(st.integers(1, 2000), st.integers(1, 2000), st.floats(-3, 3), st.floats(-2, 2),
       st.floats(1, 50))
def test_points_project_to_the_scaled_pixel(width, height, x, y, z):
    u, v = project(camera(), x, y, z)
    scaled = scaled_camera_info(camera(), width, height)
    want = (u + 0.5) * width / 1280 - 0.5, (v + 0.5) * height / 720 - 0.5
    assert project(scaled, x, y, z) == pytest.approx(want, rel=1e-6, abs=1e-6)
    assert (scaled.width, scaled.height) == (width, height)
    assert scaled.k[0] / 800 == pytest.approx(width / 1280)
    assert scaled.k[4] / 810 == pytest.approx(height / 720)
    assert scaled.k[8] == scaled.p[10] == 1


@pytest.mark.parametrize('width', [320, 640, 2560])
def test_what_a_pixel_shows_is_where_the_scaled_camera_has_it(width):
    """Of a ramp, whose every pixel says where it was, after the node's own resizing."""
    ramp = np.tile(np.arange(1280, dtype=np.float32), (720, 1))
    shown = linear(ramp, (width * 9 // 16, width))[0, width // 4]
    scaled = scaled_camera_info(camera(), width, width * 9 // 16)
    ray = (width // 4 - scaled.p[2]) / scaled.p[0]
    assert ray == pytest.approx((shown - 630) / 780, abs=1e-6)


def test_region_of_interest_and_binning():
    info = camera(binning_x=2, binning_y=4)
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 200, 100, 640, 480
    check_camera_info(info, 320, 120)
    assert focal_lengths(info) == (390, 197.5)
    scaled = scaled_camera_info(info, 320, 120)
    u, v = project(camera(), 0.1, 0.2, 2.0)
    assert project(scaled, 0.1, 0.2, 2.0) == pytest.approx(((u - 200) / 2, (v - 100) / 4))
    assert (scaled.roi.width, scaled.binning_x, info.roi.width) == (0, 0, 640)


def test_distortion():
    assert not is_distorted(camera())
    assert not is_distorted(camera(d=[0.0] * 5))
    assert is_distorted(camera(d=[-0.3, 0.1, 0, 0, 0]))


def test_a_fish_eye_is_distorted_with_all_coefficients_0_too():
    assert is_distorted(camera(d=[0.0] * 4, distortion_model='equidistant'))
    assert not is_distorted(camera(d=[], distortion_model='equidistant'))
    assert not is_distorted(camera(d=[0.0] * 4, distortion_model='plumb_bob'))
