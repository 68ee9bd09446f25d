"""The size that a network sees pictures at: chosen by their shape, or given."""

from dataclasses import replace
import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from demt_perception.inference import Predictor
from demt_perception.inference.input_size import check_input_size, fit_input_size, InputSizeError
from demt_perception.model_card import load_card

pytest.importorskip('onnxruntime')


@pytest.fixture(scope='module')
def card(tiny_model):
    """A card of 16:9, as the shipped models have."""
    return replace(load_card(tiny_model), input_size=(288, 512), size_multiple=32)


@pytest.mark.parametrize(('image', 'wanted'), [
    ((720, 1280), (288, 512)), ((1080, 1920), (288, 512)), ((1085, 1920), (288, 512)),
    ((480, 640), (320, 416)), ((360, 480), (320, 416)), ((370, 1226), (224, 736)),
    ((1080, 1080), (384, 384)), ((1280, 720), (512, 288)), ((2, 16384), (32, 8192))])
def test_pictures_of_usual_cameras(card, image, wanted):
    assert fit_input_size(card, image) == wanted


@given(height=st.integers(100, 4000), width=st.integers(100, 4000))
def test_stretches_little_and_takes_about_as_long(card, height, width):
    high, wide = fit_input_size(card, (height, width))
    assert high % 32 == wide % 32 == 0
    ratio = high * wide / math.prod(card.input_size)
    assert 0.5 < ratio < 1.6
    stretch = abs(math.log(wide / high / (width / height)))
    assert stretch < 0.2
    # Turning the camera turns the size.
    turned = replace(card, input_size=card.input_size[::-1])
    assert fit_input_size(turned, (width, height)) == (wide, high)
    # No neighbour is better in both.
    for other in ((high + a, wide + b) for a in (-32, 0, 32) for b in (-32, 0, 32)):
        if min(other) > 0 and (high, wide) != card.input_size:
            more = abs(math.log(math.prod(other) / math.prod(card.input_size)))
            assert (abs(math.log(other[1] / other[0] / (width / height))) >= stretch - 1e-9
                    or more >= abs(math.log(ratio)) - 1e-9)


def test_the_predictor_takes_the_shape_of_the_pictures(tiny_model):
    card = load_card(tiny_model)
    picture = np.random.default_rng(0).integers(0, 256, (60, 200, 3), np.uint8)
    predictor = Predictor(tiny_model, 'onnxruntime', 1, image_size=picture.shape[:2])
    assert predictor.input_size == fit_input_size(card, (60, 200)) != card.input_size
    # Pictures of any other shape are taken, too.
    for size in ((60, 200), (100, 100)):
        depth = predictor.predict(np.full((*size, 3), 90, np.uint8)).depth
        assert depth.shape == size
    # What is given wins.
    given_size = Predictor(tiny_model, 'onnxruntime', 1, card.input_size, (60, 200)).input_size
    assert given_size == card.input_size
    np.testing.assert_array_equal(
        predictor.predict(picture).depth,
        Predictor(tiny_model, 'onnxruntime', 1, predictor.input_size).predict(picture).depth)


def test_depth_does_not_depend_on_how_pictures_are_stretched(tiny_model):
    """The focal length is that of the input: a stretch of sqrt(2) must not change a plain one."""
    picture = np.full((60, 200, 3), 90, np.uint8)
    near, far = (Predictor(tiny_model, 'onnxruntime', 1, size).predict(
        picture, (150.0, 150.0)).depth[30, 100] for size in ((64, 192), (64, 96)))
    assert far == pytest.approx(near * math.sqrt(1 / 2), rel=0.02)


def test_an_empty_picture_has_no_shape(card):
    with pytest.raises(InputSizeError, match='0x5'):
        fit_input_size(card, (0, 5))


@pytest.mark.parametrize('size', [(33, 65), (0, 64), (-32, 64), (8224, 32), (64,), (64, 64, 3)])
def test_a_size_that_the_graph_does_not_take_is_refused_with_one_that_it_does(card, size):
    with pytest.raises(InputSizeError, match=r'multiples of 32 up to 8192, e\.g\. \(288, 512\)'):
        check_input_size(card, size)
