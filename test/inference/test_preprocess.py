import math

import cv2
import numpy as np
import pytest

from demt_perception.inference.preprocess import check_image, focal_at_input, Preprocessor
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
