import cv2
from hypothesis import assume, given
from hypothesis import strategies as st
import numpy as np
import pytest

from demt_perception.inference.point_cloud import Camera, decimate, FIELDS, fill_points, make_rays

HEIGHT, WIDTH = 37, 53
BARREL = (-0.25, 0.05, 0.001, -0.0005, 0.0)
CAMERAS = [Camera(40, 42, 25, 17), Camera(40, 42, 25, 17, 'plumb_bob', BARREL),
           Camera(30, 30, 26.5, 18, 'equidistant', (0.05, -0.02, 0.01, -0.003))]
WORDS = np.dtype([(name, kind) for name, kind in FIELDS.items()])


def make_points(camera, depth, step=1, **given):
    """Return the points of a picture as a structured array."""
    bgr = given.pop('bgr', np.zeros((*depth.shape, 3), np.uint8))
    images = {name: decimate(image, step) for name, image in given.items()}
    small = decimate(depth, step)
    points = np.full((*small.shape, len(FIELDS)), 7.0, np.float32)
    fill_points(points, make_rays(camera, depth.shape, step), small, decimate(bgr, step), **images)
    return points.view(WORDS)[..., 0]


def pixels_of(camera, points):
    """Return where OpenCV sees points, HxWx2."""
    k = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1.0]])
    xyz = np.stack([points['x'], points['y'], points['z']], -1).astype(np.float64)
    if camera.model == 'equidistant':
        flat = (xyz[..., :2] / xyz[..., 2:]).reshape(1, -1, 2)
        return cv2.fisheye.distortPoints(flat, k, np.array(camera.distortion)).reshape(
            *points.shape, 2)
    seen, _ = cv2.projectPoints(xyz.reshape(-1, 1, 3), np.zeros(3), np.zeros(3), k,
                                np.array(camera.distortion or [0.0] * 5))
    return seen.reshape(*points.shape, 2)


@pytest.mark.parametrize('camera', CAMERAS, ids=lambda camera: camera.model or 'pinhole')
@pytest.mark.parametrize('step', [1, 4])
def test_points_are_seen_at_their_pixels(camera, step):
    depth = np.random.default_rng(0).uniform(0.5, 80, (HEIGHT, WIDTH)).astype(np.float32)
    points = make_points(camera, depth, step)
    u, v = np.meshgrid(np.arange(0, WIDTH, step), np.arange(0, HEIGHT, step))
    np.testing.assert_allclose(pixels_of(camera, points), np.stack([u, v], -1), atol=1e-3)
    np.testing.assert_array_equal(points['z'], depth[::step, ::step])


def test_a_floor_is_flat_and_below():
    """REP 103: y is down. A camera 1.2 m above a floor sees it at depth 1.2 fy / (v - cy)."""
    camera = CAMERAS[0]
    v = np.arange(HEIGHT, dtype=np.float32)[:, None].repeat(WIDTH, 1)
    with np.errstate(divide='ignore'):
        depth = np.where(v > camera.cy, 1.2 * camera.fy / (v - camera.cy), np.nan)
    points = make_points(camera, depth.astype(np.float32))
    below = points[int(camera.cy) + 1:]
    np.testing.assert_allclose(below['y'], 1.2, rtol=1e-6)
    assert (np.diff(below['x'], axis=1) > 0).all()   # x is to the right
    above = points[:int(camera.cy) + 1]
    assert np.isnan([above['x'], above['y'], above['z']]).all()


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.2, 1), st.floats(0.5, 50),
       st.floats(20, 2000), st.floats(20, 2000), st.floats(0, 53), st.floats(0, 37))
def test_any_plane_stays_a_plane(a, b, c, distance, fx, fy, cx, cy):
    camera = Camera(fx, fy, cx, cy)
    x, y = (ray.astype(np.float64) for ray in make_rays(camera, (HEIGHT, WIDTH)))
    slope = a * x + b * y + c
    assume((slope > 0.05).any())
    depth = np.where(slope > 0.05, distance / np.maximum(slope, 0.05), np.nan).astype(np.float32)
    points = make_points(camera, depth)
    off = a * points['x'] + b * points['y'] + c * points['z'] - distance
    reach = np.abs(points['x']) + np.abs(points['y']) + points['z']
    assert np.nanmax(np.abs(off) / reach) < 1e-6
    np.testing.assert_array_equal(np.isnan(off), np.isnan(depth))


def test_it_is_what_depth_image_proc_makes():
    """Its formula, x = (u - cx) z / fx, in its precision."""
    camera = CAMERAS[0]
    depth = np.random.default_rng(1).uniform(0.5, 80, (HEIGHT, WIDTH)).astype(np.float32)
    points = make_points(camera, depth)
    u, v = np.meshgrid(np.arange(WIDTH, dtype=np.float32), np.arange(HEIGHT, dtype=np.float32))
    np.testing.assert_allclose(
        points['x'], (u - camera.cx) * depth * np.float32(1 / camera.fx), rtol=3e-6)
    np.testing.assert_allclose(
        points['y'], (v - camera.cy) * depth * np.float32(1 / camera.fy), rtol=3e-6)


@pytest.mark.parametrize('step', [1, 2, 3, 100])
def test_colours_labels_and_confidence_are_those_of_the_pixels(step):
    rng = np.random.default_rng(2)
    label, confidence = (rng.integers(0, 256, (HEIGHT, WIDTH), np.uint8) for _ in range(2))
    bgr = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    points = make_points(CAMERAS[0], np.ones((HEIGHT, WIDTH), np.float32), step, bgr=bgr,
                         label=label, confidence=confidence)
    blue, green, red = np.moveaxis(bgr[::step, ::step].astype(np.uint32), -1, 0)
    packed = np.ascontiguousarray(points['rgb']).view(np.uint32)
    np.testing.assert_array_equal(packed, red << 16 | green << 8 | blue)
    np.testing.assert_array_equal(points['label'], label[::step, ::step])
    np.testing.assert_allclose(points['confidence'], confidence[::step, ::step] / 255, rtol=1e-6)


def test_without_classes_points_are_unlabelled():
    points = make_points(CAMERAS[0], np.ones((HEIGHT, WIDTH), np.float32))
    assert (points['label'] == 255).all()
    assert np.isnan(points['confidence']).all()


def test_where_the_lens_shows_nothing_there_is_no_point():
    camera = Camera(20, 20, 26, 18, 'plumb_bob', (-0.3, 0.0, 0.0, 0.0))
    points = make_points(camera, np.full((HEIGHT, WIDTH), 5, np.float32))
    nowhere = np.isnan(points['x'])
    assert nowhere[0, 0]
    assert not nowhere[18, 26]
    for name in 'yz':
        np.testing.assert_array_equal(np.isnan(points[name]), nowhere)


@pytest.mark.parametrize('size', [(450, 200), (3, 50_000)])
@pytest.mark.parametrize('camera', CAMERAS[:2], ids=['pinhole', 'distorted'])
def test_every_strip_of_a_large_picture_is_filled(camera, size):
    if camera.model and size[1] > 1000:
        camera = Camera(40_000, 42, 25_000, 1, camera.model, camera.distortion)
    rng = np.random.default_rng(3)
    depth = rng.uniform(1, 9, size).astype(np.float32)
    depth[rng.random(size) < 0.1] = np.nan
    label, confidence = (rng.integers(0, 256, size, np.uint8) for _ in range(2))
    bgr = rng.integers(0, 256, (*size, 3), np.uint8)
    points = make_points(camera, depth, bgr=bgr, label=label, confidence=confidence)
    x, y = (np.broadcast_to(ray, size) for ray in make_rays(camera, size))
    nowhere = np.isnan(x) | np.isnan(depth)
    assert not nowhere.all()
    for name, wanted in (('x', x * depth), ('y', y * depth), ('z', depth)):
        np.testing.assert_allclose(points[name], np.where(nowhere, np.nan, wanted), rtol=1e-6)
    np.testing.assert_array_equal(points['label'], label)
    np.testing.assert_allclose(points['confidence'], confidence / 255, rtol=1e-6)
    blue, green, red = np.moveaxis(bgr.astype(np.uint32), -1, 0)
    np.testing.assert_array_equal(np.ascontiguousarray(points['rgb']).view(np.uint32),
                                  red << 16 | green << 8 | blue)


@pytest.mark.parametrize('step', [1, 2])
@pytest.mark.parametrize('size', [(2, WIDTH), (HEIGHT, 2)])
def test_also_of_a_single_row_there_is_no_point_where_the_lens_shows_nothing(size, step):
    camera = Camera(5, 5, 1, 1, 'plumb_bob', (-0.3, 0.0, 0.0, 0.0))
    points = make_points(camera, np.full(size, 5, np.float32), step)
    nowhere = np.isnan(points['x'])
    assert nowhere.any() and not nowhere.all()
    for name in 'yz':
        np.testing.assert_array_equal(np.isnan(points[name]), nowhere)


def test_rays_are_single_precision_and_broadcast_where_the_lens_is_straight():
    x, y = make_rays(CAMERAS[0], (HEIGHT, WIDTH), 2)
    assert (x.dtype, y.dtype) == (np.float32, np.float32)
    assert (x.shape, y.shape) == ((1, 27), (19, 1))
    assert (x[0, 1], y[1, 0]) == (np.float32((2 - 25) / 40), np.float32((2 - 17) / 42))
    x, y = make_rays(CAMERAS[1], (HEIGHT, WIDTH), 2)
    assert x.shape == y.shape == (19, 27)
    assert x.dtype == y.dtype == np.float32


def test_decimated_pictures_are_contiguous():
    small = decimate(np.arange(42, dtype=np.uint8).reshape(6, 7), 3)
    np.testing.assert_array_equal(small, [[0, 3, 6], [21, 24, 27]])
    assert small.flags.c_contiguous
