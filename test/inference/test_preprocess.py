from dataclasses import replace
import math
import re

import cv2
import numpy as np
import pytest

from demt_perception.inference.preprocess import (
    check_image,
    check_size,
    focal_at_input,
    Preprocessor,
)
from demt_perception.inference.resize import linear, nearest, shrink
from demt_perception.model_card import load_card


def test_tensor_is_normalised_rgb(tiny_model):
    card = load_card(tiny_model)
    bgr = np.empty((96, 160, 3), np.uint8)
    bgr[:] = (10, 128, 255)
    tensor = Preprocessor(card, (96, 160))(bgr)
    assert tensor.shape == (1, 3, 96, 160)
    assert tensor.dtype == np.float32
    for plane, value, mean, std in zip(tensor[0], (255, 128, 10), card.mean, card.std,
                                       strict=True):
        np.testing.assert_allclose(plane, (value - mean) / std, atol=1e-6)


def test_tensor_equals_the_plain_formula_on_noise(tiny_model):
    card = load_card(tiny_model)
    bgr = np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8)
    wanted = (bgr[..., ::-1].astype(np.float64) - card.mean) / card.std
    np.testing.assert_allclose(
        Preprocessor(card, (96, 160))(bgr)[0], wanted.transpose(2, 0, 1), atol=1e-5)


def test_buffer_is_reused_and_fully_overwritten(tiny_model):
    preprocess = Preprocessor(load_card(tiny_model), (96, 160))
    first = preprocess(np.full((50, 70, 3), 255, np.uint8))
    assert first.min() == pytest.approx(1)
    second = preprocess(np.zeros((2000, 3000, 3), np.uint8))
    assert second is first
    assert second.max() == pytest.approx(-1)


def test_shrinking_does_not_alias():
    stripes = np.zeros((720, 1280, 3), np.uint8)
    stripes[:, ::2] = 255
    small = shrink(stripes, (256, 512))
    reference = cv2.resize(stripes, (512, 256), interpolation=cv2.INTER_AREA)
    sampled = cv2.resize(stripes, (512, 256), interpolation=cv2.INTER_LINEAR)
    assert small.std() < 2
    assert abs(small.mean() - reference.mean()) < 1
    assert sampled.std() > 30, 'the pattern no longer provokes aliasing'


@pytest.mark.parametrize('size', [(2, 2), (1, 500), (3, 2), (701, 1241), (256, 512), (2160, 3840)])
def test_resizing_gives_the_size_asked_for(size):
    image = np.full((*size, 3), 7, np.uint8)
    for function in (linear, nearest, shrink):
        out = function(image, (256, 512))
        assert out.shape == (256, 512, 3)
        assert (out == 7).all()


def test_nearest_is_centred_and_makes_no_new_ids():
    ids = np.array([[0, 10], [20, 255]], np.uint8)
    np.testing.assert_array_equal(nearest(ids, (4, 4)), np.kron(ids, np.ones((2, 2), np.uint8)))
    ramp = nearest(np.arange(10, dtype=np.uint8)[None], (1, 36))[0]
    np.testing.assert_array_equal(ramp, 9 - ramp[::-1])


@pytest.mark.parametrize(('image', 'said'), [
    (None, 'NoneType'), ([[1]], 'list'), (np.zeros((4, 4, 3), np.float32), 'float32'),
    (np.zeros((4, 4, 3), np.int8), 'int8'), (np.zeros((4, 4), np.uint8), r'\(4, 4\)'),
    (np.zeros((4, 4, 4), np.uint8), r'\(4, 4, 4\)'), (np.zeros((0, 4, 3), np.uint8), '0x4'),
    (np.zeros((4, 0, 3), np.uint8), '4x0'), (np.zeros((1, 1, 3), np.uint8), '1x1'),
    (np.zeros((4, 8, 3), np.uint8)[:, ::2], 'contiguous'),
    (np.zeros((4, 8, 3), np.uint8)[..., ::-1], 'contiguous'),
    (np.broadcast_to(np.uint8(0), (20000, 4, 3)), '20000x4'),
    (np.broadcast_to(np.uint8(0), (10000, 10000, 3)), '10000x10000'),
    (np.zeros((), np.uint8), r'\(\)'),
])
def test_unusable_images_are_refused_with_what_was_seen(image, said):
    with pytest.raises(ValueError, match=said):
        check_image(image)


def test_focal_follows_the_resize():
    assert focal_at_input((500, 500), (480, 640), (480, 640), 60) == pytest.approx(500)
    assert focal_at_input((500, 500), (480, 640), (240, 320), 60) == pytest.approx(250)
    # Stretched: the geometric mean of both directions.
    assert focal_at_input((500, 600), (480, 640), (240, 640), 60) == pytest.approx(
        math.sqrt(500 * 300))


def test_assumed_field_of_view():
    assert focal_at_input(None, (300, 1000), (300, 1000), 90) == pytest.approx(500)


@pytest.mark.parametrize('focal', [
    (0, 1), (1, -1), (math.nan, 1), (1, math.inf), (1,), (1, 2, 3), 5, ('a', 'b'), (None, None)])
def test_wrong_focal_lengths_are_refused(focal):
    with pytest.raises(ValueError, match='focal is'):
        focal_at_input(focal, (10, 10), (10, 10), 60)


def refused(text):
    """Return what expects exactly this message."""
    return pytest.raises(ValueError, match=f'^{re.escape(text)}$')


def test_sizes_end_where_it_is_said():
    for height, width in ((2, 2), (2, 16384), (16384, 2), (8192, 8192), (4096, 16384)):
        check_size(height, width, 'image')
    for height, width in ((1, 2), (2, 1), (2, 16385), (16385, 2), (8192, 8193), (0, 0)):
        with refused(f'frame is {height}x{width}, want sides of 2 to 16384 and up to 67108864 '
                     'pixels in all: check the source and the scale'):
            check_size(height, width, 'frame')


def test_every_refusal_says_what_was_seen_what_is_wanted_and_what_to_do():
    for image, seen in ((None, 'NoneType'), (np.zeros((4, 4, 3), np.float32), 'float32')):
        with refused(f'image is {seen}, want a uint8 array: convert it to 8 bits first'):
            check_image(image)
    for shape in ((4, 4), (4, 4, 1), (4, 4, 4), (1, 4, 4, 3)):
        with refused(f'image has shape {shape}, want HxWx3: convert it to BGR first'):
            check_image(np.zeros(shape, np.uint8))
    with refused('image is 1x4, want sides of 2 to 16384 and up to 67108864 pixels in all: check '
                 'the source and the scale'):
        check_image(np.zeros((1, 4, 3), np.uint8))
    with refused('image has strides (24, 6, 1), want C-contiguous rows: pass '
                 'np.ascontiguousarray(image)'):
        check_image(np.zeros((4, 8, 3), np.uint8)[:, ::2])
    check_image(np.zeros((2, 5, 3), np.uint8))


@pytest.mark.parametrize('focal', [
    (0, 1), (1, 0), (-1, 1), (math.nan, 1), (1, math.nan), (math.inf, 1), (1, math.inf), 7,
    'ab'])
def test_a_wrong_focal_length_is_refused_in_full(focal):
    with refused(f'focal is {focal!r}, want (fx, fy), positive finite pixels: check camera_info, '
                 'or pass None to assume a field of view'):
        focal_at_input(focal, (10, 10), (10, 10), 60)


def test_focal_lengths_under_a_pixel_and_of_either_direction_count():
    assert focal_at_input((0.5, 0.5), (10, 10), (10, 10), 60) == pytest.approx(0.5)
    # Twice as wide and three times as high at the input: sqrt(2 * 3) times as long.
    assert focal_at_input((100, 100), (10, 20), (30, 40), 60) == pytest.approx(100 * 6 ** 0.5)
    assert focal_at_input(None, (10, 20), (30, 40), 60) == pytest.approx(
        10 / math.tan(math.pi / 6) * 6 ** 0.5)


def test_resizing_interpolates_between_the_centres_of_pixels():
    ramp = np.float32([[0, 4, 8, -4]])
    np.testing.assert_allclose(linear(ramp, (1, 8)), [[0, 1, 3, 5, 7, 5, -1, -4]])
    np.testing.assert_allclose(linear(ramp.T, (8, 1)), np.float32([[0, 1, 3, 5, 7, 5, -1, -4]]).T)
    for function in (linear, nearest):
        same = function(ramp, (1, 4))
        assert same is not ramp and not np.shares_memory(same, ramp)
        np.testing.assert_array_equal(same, ramp)


def test_shrinking_averages_blocks_as_long_as_they_fit():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (24, 32, 3), np.uint8)
    blocks = image.reshape(12, 2, 16, 2, 3).mean((1, 3))
    assert np.abs(shrink(image, (12, 16)) - blocks).max() <= 0.5
    again = shrink(image, (6, 8))
    assert np.abs(again - image.reshape(6, 4, 8, 4, 3).mean((1, 3))).max() <= 1
    # Too large for a half in one direction: only interpolated.
    np.testing.assert_array_equal(shrink(image, (13, 16)), linear(image, (13, 16)))
    np.testing.assert_array_equal(shrink(image, (12, 17)), linear(image, (12, 17)))
    np.testing.assert_array_equal(shrink(image, (48, 40)), linear(image, (48, 40)))
    odd = shrink(rng.integers(0, 256, (25, 33, 3), np.uint8), (12, 16))
    assert odd.shape == (12, 16, 3)
    assert shrink(image, (24, 32)) is image


def test_an_input_of_another_shape_than_the_picture_is_stretched(tiny_model):
    card = load_card(tiny_model)
    bgr = np.zeros((10, 10, 3), np.uint8)
    bgr[:, 5:] = 255
    tensor = Preprocessor(card, (32, 64))(bgr)
    assert tensor.shape == (1, 3, 32, 64)
    np.testing.assert_allclose(tensor[..., :28], -1, atol=1e-6)
    np.testing.assert_allclose(tensor[..., 36:], 1, atol=1e-6)


def test_each_channel_has_its_own_mean_and_deviation(tiny_model):
    card = replace(load_card(tiny_model), mean=(10.0, 20.0, 30.0), std=(2.0, 4.0, 5.0))
    bgr = np.full((32, 32, 3), (80, 60, 50), np.uint8)   # blue, green, red
    tensor = Preprocessor(card, (32, 32))(bgr)
    for plane, wanted in zip(tensor[0], (40 / 2, 40 / 4, 50 / 5), strict=True):
        np.testing.assert_allclose(plane, wanted, rtol=1e-6)
    with pytest.raises(ValueError, match='zip'):   # a fourth channel is not dropped in silence
        Preprocessor(card, (32, 32))(np.zeros((32, 32, 4), np.uint8))
