import cv2
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from demt_perception.inference.distortion import is_known, undistort

# Of real lenses: two cameras of cars, a phone with all eight, a wide one.
LENSES = [
    (-0.2485, -0.0195, -0.0006, 0.0002, 0.0086),
    (-0.3728, 0.2037, 0.0002, -0.0007, -0.0724),
    (0.08, -0.2, 0.0003, -0.0004),
    (0.42, -0.09, 0.0004, -0.0003, -0.007, 0.77, -0.03, -0.03),
]
FISHEYES = [(0.05, -0.02, 0.01, -0.003), (-0.03, 0.01, -0.012, 0.004), (0.0, 0.0, 0.0, 0.0)]


def model_of(lens):
    return 'rational_polynomial' if len(lens) == 8 else 'plumb_bob'


def seen_by(lens, x, y):
    """Return where OpenCV says that the lens shows points at Z = 1."""
    points = np.stack([x, y, np.ones_like(x)], -1).reshape(-1, 1, 3)
    seen, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), np.eye(3), np.array(lens))
    return seen.reshape(*x.shape, 2)


@pytest.mark.parametrize('lens', LENSES)
def test_it_is_the_other_way_round_of_opencv(lens):
    x, y = np.meshgrid(np.linspace(-0.6, 0.6, 81), np.linspace(-0.4, 0.4, 41))
    back = undistort(model_of(lens), lens, x, y)
    np.testing.assert_allclose(seen_by(lens, *back), np.stack([x, y], -1), atol=1e-8)


@given(st.floats(-0.35, 0.35), st.floats(-0.05, 0.05), st.floats(-0.002, 0.002),
       st.floats(-0.002, 0.002), st.floats(-0.7, 0.7), st.floats(-0.5, 0.5))
def test_what_is_seen_at_a_point_comes_from_there(k1, k2, p1, p2, x, y):
    """Both ways: what the lens shows of a point leads back to it, or to nothing at all."""
    seen = seen_by((k1, k2, p1, p2), np.array([x]), np.array([y]))[0]
    back = np.stack(undistort('plumb_bob', (k1, k2, p1, p2), seen[:1], seen[1:]))[:, 0]
    if np.isnan(back).any():   # only near where the lens folds the picture
        far = 1 + 3 * k1 * (x * x + y * y) + 5 * k2 * (x * x + y * y) ** 2
        assert far < 0.1
    else:
        np.testing.assert_allclose(seen_by((k1, k2, p1, p2), *back[:, None])[0], seen, atol=1e-8)


def test_what_no_point_is_seen_at_is_nan():
    # 1 - 0.3 r^2 has its greatest value 0.703 at r = 1.054: nothing is seen beyond.
    x, y = undistort('plumb_bob', (-0.3, 0.0, 0.0, 0.0), np.array([0.69, 0.71, 3.0]), np.zeros(3))
    assert np.isnan(x).tolist() == np.isnan(y).tolist() == [False, True, True]


@pytest.mark.parametrize('lens', [
    (-0.5, 0.1, 0.0, 0.0, 0.0), (-0.5, 0.1, 0.0, 0.0, 0.0, 0.05, 0.0, 0.0),
    (0.1, 0.0, 0.0, 0.0, 0.0, -0.5, 0.0, 0.0)])
def test_beyond_the_fold_of_a_lens_there_is_nothing_though_its_polynomial_rises_again(lens):
    """Along a ray the picture grows up to the fold, and no point beyond that is ever given."""
    r = np.linspace(0, 3, 3001)
    shown = seen_by(lens, r, np.zeros_like(r))[:, 0]
    turns = np.flatnonzero((np.diff(shown) <= 0) | (np.diff(shown) > 0.1))
    fold = turns[0] if len(turns) else len(r) - 1
    across = np.linspace(0, 3, 1000)
    back, _ = undistort(model_of(lens), lens, across, np.zeros_like(across))
    assert np.isfinite(back).any() and np.nanmax(back) <= r[fold] + 1e-3
    assert np.isfinite(back[across < 0.99 * min(shown[fold], 3)]).all()


def test_a_fisheye_ends_where_its_polynomial_turns():
    lens = (-0.5, 0.11, 0.0, 0.0)   # turns at 1.08 rad, and rises again from 1.25 on
    bent = np.linspace(0, 3, 1000)
    angle = np.arctan(undistort('equidistant', lens, bent, np.zeros_like(bent))[0])
    turn = min(root for root in np.roots([0.55, 0, -1.5, 0, 1]) if root > 0)
    assert 0.9 * turn < np.nanmax(angle) <= turn


@pytest.mark.parametrize('lens', FISHEYES)
def test_a_fisheye_is_the_other_way_round_of_opencv(lens):
    x, y = np.meshgrid(np.linspace(-1.0, 1.0, 41), np.linspace(-0.7, 0.7, 31))
    back = undistort('equidistant', lens, x, y)
    assert not np.isnan(back).any()
    again = cv2.fisheye.distortPoints(
        np.stack(back, -1).reshape(1, -1, 2), np.eye(3), np.array(lens))
    np.testing.assert_allclose(again.reshape(*x.shape, 2), np.stack([x, y], -1), atol=1e-8)


def test_a_fisheye_shows_its_centre_and_nothing_beyond_90_degrees():
    x, y = undistort('equidistant', (0.0,) * 4, np.array([0.0, 1.0, 1.6]), np.zeros(3))
    np.testing.assert_allclose(x[:2], [0, np.tan(1.0)])
    assert np.isnan([x[2], y[2]]).all()


@pytest.mark.parametrize(('model', 'count', 'known'), [
    ('plumb_bob', 5, True), ('plumb_bob', 4, True), ('rational_polynomial', 8, True),
    ('equidistant', 4, True), ('equidistant', 5, False), ('plumb_bob', 3, False),
    ('plumb_bob', 14, True), ('rational_polynomial', 12, True), ('plumb_bob', 9, False),
    ('double_sphere', 6, False), ('', 0, False)])
def test_what_is_known(model, count, known):
    assert is_known(model, (0.0,) * count) is known


def test_a_thin_prism_is_not_known():
    assert not is_known('rational_polynomial', (0.1,) * 8 + (0.0,) * 3 + (1e-3,))
    assert is_known('rational_polynomial', (0.1,) * 8 + (0.0,) * 4)
    lens = LENSES[3]
    np.testing.assert_array_equal(
        undistort('rational_polynomial', (*lens, 0, 0, 0, 0), np.array([0.3]), np.array([0.2])),
        undistort('rational_polynomial', lens, np.array([0.3]), np.array([0.2])))
