from dataclasses import replace
import re
import shutil
import time

import cv2
import numpy as np
import pytest

from demt_perception.inference import colors, postprocess, Predictor
from demt_perception.inference.resize import linear, nearest
from demt_perception.model_card import load_card, save_card

OUTPUTS = ('semantic', 'confidence', 'semantic_color', 'overlay', 'depth', 'depth_color',
           'depth_uncertainty', 'depth_uncertainty_color', 'normals', 'normals_color', 'boundary')


@pytest.fixture(scope='module')
def predictor(tiny_model):
    return Predictor(tiny_model, threads=1)


@pytest.fixture
def image():
    return cv2.resize(np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8), (320, 200))


def test_only_what_is_asked_for_is_computed(predictor, image):
    predictions = predictor.predict(image)
    assert set(predictions.timings) == {'preprocess', 'engine'}
    before = time.perf_counter()
    boundary = predictions.boundary
    assert predictions.timings['boundary'] <= time.perf_counter() - before
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
        assert hasattr(predictions, name) is (
            name.startswith('depth') or name == 'boundary'), name
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


def test_depth_and_how_sure_it_is_are_corrected_together(predictor, image):
    plain, corrected = predictor.predict(image, (150, 150)), predictor.predict(image, (150, 150))
    corrected.correct_depth(0.5)
    assert (plain.depth_scale, plain.focal_assumed) == (pytest.approx(
        150 * (96 * 160 / (200 * 320)) ** 0.5 / 100), False)
    known = np.isfinite(plain.depth) & np.isfinite(corrected.depth)
    assert known.mean() > 0.5
    for name in ('depth', 'depth_uncertainty'):
        made = getattr(corrected, name)
        np.testing.assert_allclose(made[known], 0.5 * getattr(plain, name)[known], rtol=1e-5)
        np.testing.assert_array_equal(np.isnan(made), np.isnan(corrected.depth))
    assert predictor.predict(image).focal_assumed


def test_only_the_classes_asked_for_are_shown(predictor, image):
    plain, some = predictor.predict(image), predictor.predict(image)
    some.show_only(iter([0, 2]))
    there = np.isin(plain.semantic, [0, 2])
    assert 0.2 < there.mean() < 0.9
    np.testing.assert_array_equal(some.semantic, np.where(there, plain.semantic, 255))
    np.testing.assert_array_equal(some.confidence, np.where(there, plain.confidence, 0))
    np.testing.assert_array_equal(
        some.semantic_color, np.where(there[..., None], plain.semantic_color, 0))


def test_what_is_not_kept_is_not_predicted(predictor, image):
    predictions = predictor.predict(image)
    card = predictions.card.only(['depth'])
    predictions.keep(card)
    assert (predictions.card, predictions.tasks) == (card, ('depth',))
    assert predictions.depth.shape == image.shape[:2]
    with pytest.raises(AttributeError, match=re.escape(
            "model tiny_model has no output 'boundary' here: its tasks are depth; ask for it, or "
            'use a model that was trained for it') + '$'):
        _ = predictions.boundary


def test_pictures_for_people_are_made_of_the_maps(predictor, image):
    """Of the network's small maps: the same as of maps at their own size."""
    predictions = predictor.predict(image)
    maps, card = predictions.maps, predictions.card
    size = predictions.size
    assert size == (200, 320) and predictions.input_size == (96, 160)
    assert predictions.image is image
    np.testing.assert_array_equal(predictions.semantic, nearest(maps['semantic'], size))
    np.testing.assert_array_equal(predictions.semantic_color, nearest(
        colors.colorize(maps['semantic'], colors.class_table(card)), size))
    small = maps['depth'] * np.float32(predictions.depth_scale)
    small = np.where((small >= 0.5) & (small <= 70) & (maps['depth'] <= 70), small, np.nan)
    np.testing.assert_array_equal(predictions.depth_color, linear(colors.colorize(
        colors.depth_index(small, (0.5, 70.0)), colors.depth_table()), size))
    nowhere = np.isnan(small)
    assert 0 < nowhere.mean() < 0.5
    np.testing.assert_allclose(predictions.normals, postprocess.normals(
        np.where(nowhere, np.float32(0), maps['normals']), size), atol=1e-6)
    share = np.where(nowhere, np.nan, maps['depth_uncertainty'] / maps['depth'])
    np.testing.assert_allclose(
        predictions.depth_uncertainty_color.astype(int),
        postprocess.share_color(share.astype(np.float32), size), atol=1)
