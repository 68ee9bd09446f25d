import warnings

import numpy as np
import pytest

from demt_perception.inference import colors, postprocess
from demt_perception.inference.resize import linear, nearest
from demt_perception.model_card import load_card

SIZE = (90, 160)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_probability_reaches_both_ends():
    values = np.array([[0, 0.5, 1]], np.float32)
    np.testing.assert_array_equal(postprocess.probability(values, (1, 3)), [[0, 128, 255]])


def test_probability_saturates():
    values = np.array([[-1e9, -0.2, -1e-7, 1.0001, 1e9]], np.float32)
    np.testing.assert_array_equal(
        postprocess.probability(values, (1, 5)), [[0, 0, 0, 255, 255]])


def test_depth_is_scaled_then_cut_to_the_range():
    raw = np.array([[0.1, 1, 10, 50, 60, np.inf, -5]], np.float32)
    kept = raw.copy()
    out = postprocess.valid_depth(raw, 2, (1, 100))
    np.testing.assert_array_equal(out, [[np.nan, 2, 20, 100, np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(raw, kept)


def test_absurd_scale_gives_no_depth_and_no_warning():
    assert np.isnan(postprocess.valid_depth(np.ones((2, 2), np.float32), 1e300, (1, 9))).all()


def test_valid_depth_is_plain_interpolation(rng):
    small = rng.uniform(1, 50, (16, 32)).astype(np.float32)
    np.testing.assert_array_equal(postprocess.depth(small, SIZE), linear(small, SIZE))


def test_invalid_depth_does_not_bleed():
    small = np.full((16, 32), 12, np.float32)
    small[:6] = np.nan
    small[10:12, 4:9] = np.nan
    out = postprocess.depth(small, SIZE)
    np.testing.assert_array_equal(np.isnan(out), nearest(np.isnan(small).astype(np.uint8), SIZE))
    np.testing.assert_allclose(out[~np.isnan(out)], 12, rtol=1e-6)


def test_depth_next_to_sky_stays_within_its_neighbours(rng):
    small = rng.uniform(5, 6, (16, 32)).astype(np.float32)
    small[rng.random((16, 32)) < 0.4] = np.nan
    out = postprocess.depth(small, SIZE)
    valid = out[~np.isnan(out)]
    assert valid.min() >= 5 - 1e-4
    assert valid.max() <= 6 + 1e-4


def test_all_depth_invalid():
    assert np.isnan(postprocess.depth(np.full((4, 8), np.nan, np.float32), SIZE)).all()


def test_millimetres():
    metres = np.array([[1.2344, 65.535, 65.6, 100, np.nan, np.inf, -1, 0.0004]], np.float32)
    out = postprocess.millimetres(metres)
    assert out.dtype == np.uint16
    np.testing.assert_array_equal(out, [[1234, 65535, 0, 0, 0, 0, 0, 0]])


@pytest.mark.parametrize('size', [(720, 1280), (37, 53), (2, 2), (5, 100_000 // 5), (16, 32)])
def test_normals_are_unit_and_turn_little(rng, size):
    raw = rng.normal(size=(3, 16, 32)).astype(np.float32)
    raw[2] -= 2
    raw /= np.linalg.norm(raw, axis=0)
    out = postprocess.normals(raw, size)
    assert out.shape == (*size, 3)
    assert out.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(out, axis=2), 1, atol=1e-5)
    plain = linear(np.ascontiguousarray(raw.transpose(1, 2, 0)), size)
    plain /= np.linalg.norm(plain, axis=2, keepdims=True)
    np.testing.assert_allclose(out, plain, atol=1e-4)


def test_opposite_normals_give_no_nan():
    raw = np.zeros((3, 1, 2), np.float32)
    raw[0] = (1, -1)
    assert np.isfinite(postprocess.normals(raw, (3, 9))).all()


def test_normals_color_convention():
    raw = np.array([0, -1, 0], np.float32).reshape(3, 1, 1)  # a floor
    np.testing.assert_array_equal(
        postprocess.normals_color(np.repeat(raw, 2, 2), (1, 2))[0, 0], [128, 0, 128])
    away = np.array([0, 0, 1], np.float32).reshape(3, 1, 1)
    np.testing.assert_array_equal(
        postprocess.normals_color(np.repeat(away, 2, 2), (1, 2))[0, 0], [128, 128, 255])


def test_normals_color_is_linear_in_each_component():
    raw = np.float32([-1, -0.5, 0, 0.25, 0.5, 1]).reshape(1, 1, 6).repeat(3, 0)
    raw[1:] = 0
    seen = postprocess.normals_color(raw, (1, 6))[0]
    np.testing.assert_array_equal(seen[:, 0], [0, 64, 128, 159, 191, 255])
    assert (seen[:, 1:] == 128).all()


def test_overlay_keeps_picture_and_class_and_marks_borders():
    bgr = np.zeros((20, 40, 3), np.uint8)
    bgr[..., 2] = 200  # red
    ids = np.zeros((20, 40), np.uint8)
    ids[:, 20:] = 1
    color = np.zeros((20, 40, 3), np.uint8)
    color[:, 20:, 1] = 100
    out = postprocess.overlay(bgr, color, ids)
    np.testing.assert_array_equal(out[10, 5], [110, 0, 0])
    np.testing.assert_array_equal(out[10, 35], [110, 45, 0])
    assert (out[:, 19:21] == 255).all()
    assert (bgr[..., 2] == 200).all()


def test_class_colors_are_the_cards(tiny_model):
    card = load_card(tiny_model)
    ids = np.array([[0, 1, 2, 3, 255]], np.uint8)
    out = colors.colorize(ids, colors.class_table(card))
    np.testing.assert_array_equal(out[0, :3], card.palette)
    assert (out[0, 3:] == 0).all()


def test_near_is_warm_far_is_cool_and_invalid_black():
    depth = np.array([[2, 5, 20, 100, np.nan]], np.float32)
    index = colors.depth_index(depth, (0.5, 100))
    assert (np.diff(index[0, :4].astype(int)) > 0).all()
    near, _, _, far, invalid = colors.colorize(index, colors.depth_table())[0].astype(int)
    assert near[0] > near[2] + 80
    assert far[2] > far[0]
    assert (invalid == 0).all()
    assert (colors.depth_table()[0, 1:].sum(axis=1) > 60).all(), 'only invalid may look black'


def test_sky_stays_invalid_under_a_wide_camera():
    # Sky comes out at 150 m, beyond 100; half the focal length must not make it 75 m.
    raw = np.array([[150, 90]], np.float32)
    np.testing.assert_array_equal(
        postprocess.valid_depth(raw, 0.5, (0.5, 100.0)), [[np.nan, 45]])


def test_normals_are_the_same_wherever_in_memory_they_lie():
    """cv2.magnitude is not: its last bit follows the alignment."""
    raw = np.random.default_rng(0).normal(size=(3, 24, 40)).astype(np.float32)
    held, seen = [], set()
    for number in range(60):
        held.append(np.empty(37 * number + 1, np.uint8))
        seen.add(postprocess.normals(raw, (36, 48)).tobytes())
    assert len(seen) == 1


def test_depth_belongs_to_the_range_with_both_its_ends():
    raw = np.array([[0.49, 0.5, 100, 100.1]], np.float32)
    np.testing.assert_array_equal(
        postprocess.valid_depth(raw, 1, (0.5, 100)), [[np.nan, 0.5, 100, np.nan]])


def test_missing_depth_takes_the_nearest_of_its_neighbours_before_it_is_cut_out():
    """Beside the valid column 5 is filled in, or the smaller of 5 and 7: no 6 appears there."""
    small = np.array([[5, np.nan, 7, np.nan, np.nan, np.nan, 9]], np.float32)
    out = postprocess.depth(small, (1, 28))[0]
    np.testing.assert_array_equal(np.isnan(out), np.repeat(np.isnan(small[0]), 4))
    # Centres lie at 1.5, 5.5, 9.5 ..: each quarter is interpolated towards its neighbour.
    np.testing.assert_allclose(out[:4], 5)
    np.testing.assert_allclose(out[8:12], [7 - 2 * 3 / 8, 7 - 2 / 8, 7, 7])
    np.testing.assert_allclose(out[24:], 9)
    assert out.dtype == np.float32


def test_shares_are_grey_up_to_a_half_and_blue_where_unknown():
    share = np.array([[0, 0.1, 0.25, 0.5, 0.7, np.inf, np.nan]], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter('error')   # no NaN is made a number
        seen = postprocess.share_color(share, (1, 7))
    np.testing.assert_array_equal(seen[0], [
        [0] * 3, [51] * 3, [127] * 3, [255] * 3, [255] * 3, [255] * 3, [0, 0, 160]])
    wide = postprocess.share_color(share, (2, 14))
    assert wide.shape == (2, 14, 3) and wide.dtype == np.uint8
    np.testing.assert_array_equal(wide[0, 0], [0] * 3)


def test_there_is_no_normal_where_there_is_no_surface(rng):
    raw = rng.normal(size=(3, 4, 6)).astype(np.float32)
    depth = np.ones((4, 6), np.float32)
    depth[:2, :3] = np.nan
    out = postprocess.surface_normals(raw, depth)
    assert (out[:, :2, :3] == 0).all()
    np.testing.assert_array_equal(out[:, 2:], raw[:, 2:])
    np.testing.assert_array_equal(out[:, :2, 3:], raw[:, :2, 3:])
    half = postprocess.surface_normals(raw, depth[::2, ::3])   # depth of another size: 2x2
    np.testing.assert_array_equal(half, out)


@pytest.mark.parametrize('size', [(4, 6), (45, 60), (3, 4), (4000, 30)])
def test_normals_are_zero_where_depth_is_nan_and_only_there(rng, size):
    raw = np.abs(rng.normal(size=(3, 4, 6))).astype(np.float32)   # none cancels out another
    depth = np.where(rng.random((4, 6)) < 0.4, np.nan, 1).astype(np.float32)
    made = postprocess.normals(postprocess.surface_normals(raw, depth), size)
    length = np.linalg.norm(made, axis=2)
    nowhere = np.isnan(postprocess.depth(depth, size))
    assert nowhere.any()
    np.testing.assert_array_equal(length == 0, nowhere)
    np.testing.assert_allclose(length[~nowhere], 1, atol=1e-5)


@pytest.mark.parametrize('size', [(450, 300), (3, 50_000), (134, 299)])
def test_normals_are_those_of_whole_planes_in_every_strip(rng, size):
    raw = rng.normal(size=(3, 7, 9)).astype(np.float32)
    fine = np.stack([linear(channel, size) for channel in raw], -1).astype(float)
    length = np.linalg.norm(fine, axis=2, keepdims=True)
    np.testing.assert_allclose(postprocess.normals(raw, size), fine / length, atol=1e-5)
    assert (length > 1e-3).all()


def test_normals_without_a_direction_are_zero_and_the_shortest_is_made_unit():
    raw = np.zeros((3, 1, 3), np.float32)
    raw[1, 0] = 0, -1e-8, 1e-20
    np.testing.assert_allclose(postprocess.normals(raw, (1, 3))[0], [
        [0, 0, 0], [0, -1, 0], [0, 1e-8, 0]], rtol=1e-4)


def test_the_overlay_is_the_camera_and_45_per_cent_of_the_classes():
    bgr = np.zeros((4, 4, 3), np.uint8)
    bgr[:] = 40, 100, 200
    color = np.full((2, 2, 3), (80, 0, 240), np.uint8)
    out = postprocess.overlay(bgr, color, np.zeros((2, 2), np.uint8))
    np.testing.assert_array_equal(out, np.full((2, 2, 3), (146, 55, 130)))
    ids = np.zeros((1, 7), np.uint8)
    ids[0, 3:] = 255
    bright = postprocess.overlay(np.full((1, 7, 3), 255, np.uint8),
                                 np.zeros((1, 7, 3), np.uint8), ids)
    np.testing.assert_array_equal(bright[0, :, 0], [140, 140, 255, 255, 140, 140, 140])
