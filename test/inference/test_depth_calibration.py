"""Scales of scenes whose geometry is known exactly."""

from dataclasses import replace
import math

import cv2
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from demt_perception.inference.depth_calibration import (
    CalibrationError,
    camera_of,
    combine,
    halves,
    predicted_distance,
    predicted_height,
    shrink_mask,
)
from demt_perception.inference.distortion import undistort
from demt_perception.inference.point_cloud import Camera

SIZE = (60, 100)
CAMERA = camera_of(SIZE, (80.0, 95.0), 60.0)


def road(height, pitch, roll=0.0, lens=(0.0,) * 5):
    """Return depth of an endless plane, NaN over the horizon, seen from a height in metres."""
    y, x = np.mgrid[:SIZE[0], :SIZE[1]]
    matrix = np.array([[CAMERA.fx, 0, CAMERA.cx], [0, CAMERA.fy, CAMERA.cy], [0, 0, 1]])
    at = cv2.undistortPoints(np.stack([x, y], -1).reshape(-1, 1, 2).astype(float), matrix,
                             np.array(lens)).reshape(*SIZE, 2)
    rays = np.concatenate([at, np.ones((*SIZE, 1))], -1)
    down = np.array([math.sin(roll), math.cos(pitch) * math.cos(roll), math.sin(pitch)])
    down /= np.linalg.norm(down)
    with np.errstate(divide='ignore'):
        depth = height / (rays @ down)
    depth[(depth <= 0) | (depth > 80)] = np.nan
    return depth.astype(np.float32)


@given(st.floats(0.3, 3), st.floats(-0.1, 0.6), st.floats(-0.2, 0.2), st.integers(0, 9))
def test_the_height_over_a_plane_is_found_exactly(height, pitch, roll, seed):
    depth = road(height, pitch, roll)
    found = predicted_height(depth, CAMERA, np.isfinite(depth), np.random.default_rng(seed))
    assert found == pytest.approx(height, rel=1e-3)


@pytest.mark.parametrize('lens', [(-0.3, 0.08, 0.0, 0.0, 0.0), (0.1, -0.02, 1e-3, -1e-3, 0.0)])
def test_a_lens_is_undone(lens):
    camera = replace(CAMERA, model='plumb_bob', distortion=lens)
    depth = road(1.5, 0.2, lens=lens)
    ground, random = np.isfinite(depth), np.random.default_rng
    assert predicted_height(depth, camera, ground, random(0)) == pytest.approx(1.5, rel=2e-3)
    assert predicted_height(depth, CAMERA, ground, random(0)) != pytest.approx(1.5, rel=5e-3)
    flat, corner = np.full(SIZE, 5, np.float32), (93, 53, 5, 5)
    x, y = undistort('plumb_bob', lens, (95 - CAMERA.cx) / CAMERA.fx, (55 - CAMERA.cy) / CAMERA.fy)
    assert predicted_distance(flat, camera, corner)[0] == pytest.approx(
        5 * math.hypot(1, x, y), rel=1e-6)


def test_a_region_beyond_what_the_lens_shows_is_an_error():
    camera = replace(CAMERA, model='plumb_bob', distortion=(-3.0, 0.0, 0.0, 0.0, 0.0))
    with pytest.raises(CalibrationError, match='lens shows nothing'):
        predicted_distance(np.full(SIZE, 5, np.float32), camera, (93, 53, 5, 5))


def test_what_stands_on_the_ground_does_not_count():
    depth = road(1.5, 0.2)
    depth[35:50, 20:50] = 4.0   # a box that is taken for ground
    depth *= np.random.default_rng(1).normal(1, 0.01, SIZE).astype(np.float32)
    found = predicted_height(depth, CAMERA, np.isfinite(depth), np.random.default_rng(0))
    assert found == pytest.approx(1.5, rel=0.03)


@pytest.mark.parametrize(('depth', 'said'), [
    (np.full(SIZE, np.nan, np.float32), 'at 0 pixels'),
    (np.full(SIZE, 5, np.float32), 'not below the camera'),
    (np.random.default_rng(2).uniform(1, 60, SIZE).astype(np.float32), 'no plane')])
def test_no_ground_is_an_error_with_a_remedy(depth, said):
    with pytest.raises(CalibrationError, match=said):
        predicted_height(depth, CAMERA, np.ones(SIZE, bool), np.random.default_rng(0))


@given(st.floats(1, 50), st.integers(0, 90), st.integers(0, 50))
def test_a_distance_is_along_the_ray(depth, x, y):
    found, spread = predicted_distance(np.full(SIZE, depth, np.float32), CAMERA, (x, y, 7, 7))
    along = np.array([(x + 3 - CAMERA.cx) / CAMERA.fx, (y + 3 - CAMERA.cy) / CAMERA.fy, 1])
    assert found == pytest.approx(depth * np.linalg.norm(along), rel=1e-5)
    assert spread == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(('region', 'said'), [
    ((95, 0, 7, 7), 'not inside'), ((-1, 0, 7, 7), 'not inside'), ((0, 0, 7, 7), 'not sky')])
def test_a_region_without_depth_is_an_error(region, said):
    depth = np.ones(SIZE, np.float32)
    depth[:7, :5] = np.nan
    with pytest.raises(CalibrationError, match=said):
        predicted_distance(depth, CAMERA, region)


@given(st.floats(0.2, 5), st.floats(0.01, 0.2), st.integers(0, 99))
def test_the_stated_error_is_the_real_one(factor, noise, seed):
    """Of many places with known noise; 5 standard errors are beyond chance."""
    factors = factor * np.exp(np.random.default_rng(seed).normal(0, noise, 400))
    scale = combine(list(factors))
    assert scale.scatter == pytest.approx(noise, rel=0.3)
    assert abs(math.log(scale.factor / factor)) < 5 * 1.3 * scale.error


def test_one_two_and_no_estimates():
    one = combine([1.2], 0.05)
    assert (one.factor, one.error, one.count) == (pytest.approx(1.2), 0.05, 1)
    assert math.isnan(one.scatter)
    two = combine([1.0, 1.2])
    assert two.factor == pytest.approx(math.sqrt(1.2))
    assert two.error == pytest.approx(math.log(1.2) / 2)
    with pytest.raises(CalibrationError, match='nothing'):
        combine([])


def test_halves_cover_the_mask_twice():
    mask = np.zeros(SIZE, bool)
    mask[30:, 10:80] = True
    parts = halves(mask)
    assert sum(part.astype(int) for part in parts).max() == 2
    assert np.array_equal(np.any(parts, axis=0), mask)
    assert halves(np.zeros(SIZE, bool)) == []
    assert shrink_mask(mask, 3).sum() == 64 * 27   # not where the picture ends


def test_a_camera_of_a_field_of_view():
    camera = camera_of((50, 100), None, 90.0)
    assert (camera.fx, camera.cx, camera.cy) == (pytest.approx(50), 49.5, 24.5)
    assert camera_of((50, 100), (7.0, 8.0), 90.0) == Camera(7.0, 8.0, 49.5, 24.5)
