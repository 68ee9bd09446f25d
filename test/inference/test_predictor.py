"""What a predictor returns for a picture: shapes, values and units, by every engine."""

import math
import threading

import numpy as np
import pytest

from demt_perception.inference import EngineError, Predictor

ENGINES = ('openvino', 'onnxruntime')


@pytest.fixture(scope='module', params=ENGINES)
def predictor(request, tiny_model):
    pytest.importorskip(request.param)
    predictor = Predictor(tiny_model, request.param, threads=1)
    yield predictor
    predictor.close()


CENTRES = ((48, 80), (48, 240), (144, 80), (144, 240))


def test_all_outputs_have_the_contracts_shapes_and_types(predictor, quarters):
    predictions = predictor.predict(quarters)
    for name, shape, dtype in (
            ('semantic', (192, 320), np.uint8), ('confidence', (192, 320), np.uint8),
            ('semantic_color', (192, 320, 3), np.uint8), ('overlay', (192, 320, 3), np.uint8),
            ('depth', (192, 320), np.float32), ('depth_uncertainty', (192, 320), np.float32),
            ('depth_uncertainty_color', (192, 320, 3), np.uint8),
            ('depth_color', (192, 320, 3), np.uint8),
            ('normals', (192, 320, 3), np.float32), ('normals_color', (192, 320, 3), np.uint8),
            ('boundary', (192, 320), np.uint8)):
        value = getattr(predictions, name)
        assert (value.shape, value.dtype) == (shape, dtype), name
        assert value.flags.c_contiguous, name


def test_classes_and_colours(predictor, quarters):
    predictions = predictor.predict(quarters)
    assert [predictions.semantic[at] for at in CENTRES[:3]] == [0, 1, 2]
    for at, color in zip(CENTRES, predictor.card.palette, strict=False):
        assert tuple(predictions.semantic_color[at]) == color
    # softmax of 4 * (0.57, -1, -1), and of three equal values
    assert predictions.confidence[CENTRES[0]] == pytest.approx(
        255 / (1 + 2 * math.exp(-4 * 200 / 127.5)), abs=1)
    assert predictions.confidence[CENTRES[3]] == pytest.approx(85, abs=1)


def test_only_some_classes(predictor, quarters):
    whole, some = predictor.predict(quarters), predictor.predict(quarters)
    some.show_only([1, 2])
    gone = whole.semantic == 0
    assert gone.any()
    assert not gone.all()
    np.testing.assert_array_equal(some.semantic, np.where(gone, 255, whole.semantic))
    np.testing.assert_array_equal(some.confidence, np.where(gone, 0, whole.confidence))
    np.testing.assert_array_equal(
        some.semantic_color, np.where(gone[..., None], 0, whole.semantic_color))
    np.testing.assert_array_equal(some.depth, whole.depth)


def test_depth_in_metres_by_focal_length(predictor, quarters):
    at, sky = CENTRES[0], CENTRES[3]
    brightness = (200 / 127.5 - 1 - 1 - 1) / 3
    # Input is half the image: focal 200 px there is the card's 100 at the network.
    same = predictor.predict(quarters, (200, 200))
    assert same.depth[at] == pytest.approx(40 * (1 + brightness), rel=1e-4)
    assert np.isnan(same.depth[sky])
    assert not same.focal_assumed
    half = predictor.predict(quarters, (100, 100))
    assert half.depth[at] == pytest.approx(same.depth[at] / 2, rel=1e-4)
    assert np.isnan(half.depth[sky])  # beyond range at the card's focal length: 40 m is no sky


def test_depth_uncertainty_is_a_share_of_depth_for_any_camera(predictor, quarters):
    for focal in ((200, 200), (100, 100), (None)):
        predictions = predictor.predict(quarters, focal)
        unsure, depth = predictions.depth_uncertainty, predictions.depth
        np.testing.assert_array_equal(np.isnan(unsure), np.isnan(depth))
        assert np.isnan(unsure[CENTRES[3]])
        for at, red in zip(CENTRES[:3], (200 / 127.5 - 1, -1, -1), strict=True):
            assert unsure[at] / depth[at] == pytest.approx(0.1 * math.exp(red), rel=1e-3)
            grey = predictions.depth_uncertainty_color[at]
            assert grey == pytest.approx(min(255, 51 * math.exp(red)), abs=1)
        assert tuple(predictions.depth_uncertainty_color[CENTRES[3]]) == (0, 0, 160)


def test_assumed_focal_length_is_said(predictor, quarters):
    predictions = predictor.predict(quarters)
    assert predictions.focal_assumed
    focal = 160 / math.tan(math.radians(30))
    explicit = predictor.predict(quarters, (focal, focal))
    np.testing.assert_allclose(predictions.depth, explicit.depth, rtol=1e-5)


def test_normals_and_boundaries(predictor, quarters):
    predictions = predictor.predict(quarters)
    red = np.array([200 / 127.5 - 1, -1, -1])
    np.testing.assert_allclose(
        predictions.normals[CENTRES[0]], red / np.linalg.norm(red), atol=1e-4)
    length = np.linalg.norm(predictions.normals, axis=2)
    assert np.all((abs(length - 1) < 1e-3) | (length == 0))
    # The white quarter is beyond the range of depth: no surface, no normal.
    assert np.isnan(predictions.depth[CENTRES[3]])
    assert length[CENTRES[3]] == 0
    np.testing.assert_allclose(length[np.isfinite(predictions.depth)], 1, atol=1e-3)
    assert predictions.boundary[CENTRES[0]] == 0
    assert predictions.boundary[144, 160] > 40  # from blue to white


@pytest.mark.parametrize('shape', [(2, 2), (2, 700), (37, 53), (96, 160), (1080, 1920)])
@pytest.mark.parametrize('scale', [1.0, 0.51, 1.7])
def test_any_size_and_scale(predictor, shape, scale):
    size = tuple(round(side * scale) for side in shape)
    image = np.full((*shape, 3), 90, np.uint8)
    if min(size) < 2:
        with pytest.raises(ValueError, match='output at scale'):
            predictor.predict(image, (80, 90), scale)
        return
    predictions = predictor.predict(image, (80, 90), scale)
    assert predictions.size == size
    for name in ('semantic', 'confidence', 'semantic_color', 'overlay', 'depth', 'depth_color',
                 'normals', 'normals_color', 'boundary'):
        assert getattr(predictions, name).shape[:2] == size, name


@pytest.mark.parametrize('scale', [0, -1, math.nan, math.inf, 1e6, 0.003])
def test_wrong_scale_is_refused(predictor, quarters, scale):
    with pytest.raises(ValueError, match='scale'):
        predictor.predict(quarters, output_scale=scale)


def test_wrong_image_and_focal_are_refused(predictor, quarters):
    with pytest.raises(ValueError, match='uint8'):
        predictor.predict(quarters.astype(np.float32))
    with pytest.raises(ValueError, match='focal'):
        predictor.predict(quarters, (math.nan, 1))


def test_results_survive_later_frames(predictor, quarters):
    first = predictor.predict(quarters)
    early = predictor.predict(quarters).semantic
    for value in (0, 255, 7):
        predictor.predict(np.full((192, 320, 3), value, np.uint8)).sheet()
    np.testing.assert_array_equal(first.semantic, early)
    assert first.depth[CENTRES[0]] == pytest.approx(
        predictor.predict(quarters).depth[CENTRES[0]])


def test_threads_do_not_mix_frames(predictor):
    images = [np.full((64, 64, 3), value, np.uint8) for value in (20, 90, 160)]
    wanted = [predictor.predict(image, (50, 50)).depth[0, 0] for image in images]
    seen = [[] for _ in images]

    def work(index):
        for _ in range(30):
            seen[index].append(predictor.predict(images[index], (50, 50)).depth[0, 0])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index in range(3):
        assert len(seen[index]) == 30
        np.testing.assert_allclose(seen[index], wanted[index], rtol=1e-6)


def test_engines_agree(tiny_model, quarters):
    for name in ENGINES:
        pytest.importorskip(name)
    a, b = (Predictor(tiny_model, name).predict(quarters) for name in ENGINES)
    np.testing.assert_array_equal(a.semantic, b.semantic)
    np.testing.assert_allclose(a.depth, b.depth, rtol=2e-2)
    np.testing.assert_allclose(a.normals, b.normals, atol=2e-2)


def test_input_size(tiny_model, quarters):
    predictor = Predictor(tiny_model, input_size=(64, 128))
    assert predictor.input_size == (64, 128)
    assert predictor.predict(quarters).semantic.shape == (192, 320)
    for wrong in ((65, 128), (0, 32), (32, -32), (32, 100_000), (32,), (32, 32, 32), []):
        with pytest.raises(ValueError, match='multiples of 32'):
            Predictor(tiny_model, input_size=wrong)


def test_engine_says_what_and_why(tiny_model):
    pytest.importorskip('openvino')
    engine = Predictor(tiny_model, threads=1).engine
    assert engine.name == 'openvino'
    assert engine.precision in ('f32', 'bf16')
    assert engine.device
    assert 'fastest that works' in engine.reason
    assert '1 threads' in engine.reason


def test_closed_engine_says_so(tiny_model, quarters):
    for name in ENGINES:
        pytest.importorskip(name)
        predictor = Predictor(tiny_model, name)
        predictor.close()
        with pytest.raises(EngineError, match='closed'):
            predictor.predict(quarters)


def test_image_may_be_read_only(predictor, quarters):
    quarters.flags.writeable = False
    for scale in (1.0, 0.5):
        predictions = predictor.predict(quarters, output_scale=scale)
        assert predictions.overlay.flags.writeable
        assert predictions.sheet().size
