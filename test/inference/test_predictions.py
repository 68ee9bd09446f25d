from dataclasses import replace
import shutil

import cv2
import numpy as np
import pytest

from demt_perception.inference import Predictor
from demt_perception.model_card import load_card, save_card

OUTPUTS = ('semantic', 'confidence', 'semantic_color', 'overlay', 'depth', 'depth_color',
           'normals', 'normals_color', 'boundary')


@pytest.fixture(scope='module')
def predictor(tiny_model):
    return Predictor(tiny_model, threads=1)


@pytest.fixture
def image():
    return cv2.resize(np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8), (320, 200))


def test_only_what_is_asked_for_is_computed(predictor, image):
    predictions = predictor.predict(image)
    assert set(predictions.timings) == {'preprocess', 'engine'}
    boundary = predictions.boundary
    assert predictions.boundary is boundary
    assert set(predictions.timings) == {'preprocess', 'engine', 'boundary'}
    assert predictions.overlay.shape == image.shape
    assert set(predictions.timings) == {
        'preprocess', 'engine', 'boundary', 'semantic', 'semantic_color', 'overlay'}
    assert all(seconds > 0 for seconds in predictions.timings.values())


def test_missing_task_is_a_clear_attribute_error(tiny_model, tmp_path, image):
    folder = shutil.copytree(tiny_model, tmp_path / 'model')
    save_card(replace(load_card(folder), tasks=('depth', 'edge')), folder)
    predictions = Predictor(folder, threads=1).predict(image)
    assert predictions.tasks == ('depth', 'edge')
    for name in OUTPUTS:
        assert hasattr(predictions, name) is (name in ('depth', 'depth_color', 'boundary')), name
    with pytest.raises(AttributeError, match=r"no output 'normals'.*depth, edge"):
        _ = predictions.normals
    sheet = predictions.sheet()
    assert sheet.dtype == np.uint8
    assert sheet.ndim == 3


def test_depth_and_its_colour_agree_on_what_is_invalid(predictor):
    image = np.zeros((64, 64, 3), np.uint8)
    image[:32] = 255
    predictions = predictor.predict(image, (100, 100))
    assert np.isnan(predictions.depth[8, 8])
    assert (predictions.depth_color[8, 8] == 0).all()


@pytest.mark.parametrize('shape', [(720, 1280), (370, 1226), (800, 480), (64, 64), (2, 400)])
def test_sheet_shows_the_camera_and_is_readable_at_any_shape(predictor, shape):
    image = np.full((*shape, 3), (30, 60, 90), np.uint8)
    sheet = predictor.predict(image).sheet()
    assert sheet.dtype == np.uint8
    assert 1900 < sheet.shape[1] < 2000
    panel = max(1, round(640 * shape[0] / shape[1]))
    np.testing.assert_array_equal(sheet[6 + 30 + panel // 2, 320], [30, 60, 90])  # BGR


def test_sheet_does_not_change_the_results(predictor, image):
    predictions, untouched = predictor.predict(image), predictor.predict(image.copy())
    predictions.sheet()
    for name in OUTPUTS:
        # SIMD rounds the last bit by how the memory happens to be aligned.
        np.testing.assert_allclose(
            getattr(predictions, name), getattr(untouched, name), rtol=1e-6)
