"""Fitting temperature and factor: known truths come out, and nothing else of a model changes."""

import json
import shutil

from archives import write_folder
import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

onnx = pytest.importorskip('onnx', reason='calibration needs onnx')
pytest.importorskip('onnxruntime')

from dataclasses import replace

from demt_perception.cli.main import main
from demt_perception.inference import Predictor
from demt_perception.model_card import file_sha256, load_card, save_card
from demt_perception.training.calibrated_graph import GraphError, set_factor, set_temperature
from demt_perception.training.calibration import calibrate, fit_temperature, sureness_of
from demt_perception.training.datasets import FileDataset, LAYOUTS
from demt_perception.training.evaluation.errors import EvaluationError


def sampled(seed, temperature, count=40_000):
    """Return scores whose softmax at a temperature is the truth, and labels drawn from it."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 3, (count, 5)).astype(np.float32)
    p = np.exp(scores / temperature)
    labels = (rng.random((count, 1)) > np.cumsum(p / p.sum(1, keepdims=True), 1)).sum(1)
    return scores, np.minimum(labels, 4)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2 ** 32), st.floats(0.3, 6))
def test_the_true_temperature_is_found(seed, temperature):
    scores, labels = sampled(seed, temperature)
    assert fit_temperature(scores, labels) == pytest.approx(temperature, rel=0.05)


def test_no_other_temperature_is_likelier_and_the_calibrated_keeps_its_word():
    scores, labels = sampled(7, 2.5)
    best = fit_temperature(scores, labels)
    least = sureness_of(scores, labels, best)
    for factor in (0.5, 0.9, 1.1, 2.0):
        assert sureness_of(scores, labels, best * factor)['nll'] > least['nll']
    assert least['ece'] < 0.01 < sureness_of(scores, labels, 1.0)['ece']


@pytest.mark.parametrize('right', [True, False])
def test_labels_that_fit_no_temperature_are_refused(right):
    scores = np.random.default_rng(0).normal(size=(50, 3))
    with pytest.raises(EvaluationError, match='fit no temperature'):
        fit_temperature(scores, scores.argmax(1) if right else scores.argmin(1))
    with pytest.raises(EvaluationError, match='no labelled pixel'):
        fit_temperature(scores[:0], np.zeros(0, int))


@pytest.fixture
def model(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / 'model')


@pytest.fixture
def image():
    return np.random.default_rng(3).integers(0, 256, (96, 160, 3)).astype(np.uint8)


def outputs(folder, image):
    predictor = Predictor(folder, 'onnxruntime', 1)
    return predictor._run(predictor._preprocess(image))[0]


def without_constants(folder):
    """Let the graph be one that was never calibrated, as an exporter writes it."""
    model = onnx.load(folder / 'model.onnx')
    for node in list(model.graph.node):
        if 'inverse_temperature' in node.input:
            model.graph.node.remove(node)
            next(n for n in model.graph.node if 'scores' in n.input).input[0] = 'logits'
        if 'uncertainty_factor' in node.input:
            node.input[1] = 'tenth'
    constants = model.graph.initializer
    constants.append(onnx.numpy_helper.from_array(np.float32(0.1), 'tenth'))
    for constant in [c for c in constants if c.name in (
            'inverse_temperature', 'uncertainty_factor')]:
        constants.remove(constant)
    onnx.save(model, folder / 'model.onnx')
    save_card(replace(load_card(folder), onnx_sha256=file_sha256(folder / 'model.onnx'),
                      uncertainty_factor=1.0), folder)


@pytest.mark.parametrize('plain', [False, True])
def test_only_confidence_and_uncertainty_change(model, image, plain):
    if plain:
        without_constants(model)
    before = outputs(model, image)
    factor = 1.0 if plain else 0.1
    for temperature, times in ((2.0, 3.0), (0.5, 1.0), (1.0, 1.0)):   # again and again: absolute
        card = calibrate(model, temperature, factor * times, {'of': 'a test'})
        assert (card.temperature, card.uncertainty_factor) == (temperature, factor * times)
        after = outputs(model, image)
        for name in ('semantic', 'depth', 'normals', 'boundary'):
            np.testing.assert_array_equal(after[name], before[name])
        np.testing.assert_allclose(
            after['depth_uncertainty'], times * before['depth_uncertainty'], rtol=1e-5)
        change = after['confidence'] - before['confidence']
        assert (change <= 1e-6).all() if temperature > 1 else (change >= -1e-6).all()
        assert np.abs(change).max() > 0.1 or temperature == 1
    np.testing.assert_array_equal(after['confidence'], before['confidence'])
    assert load_card(model).metrics['calibration'] == {'of': 'a test'}


def test_the_verb_fits_both_and_eval_tells(model, tmp_path, capsys):
    root = write_folder(tmp_path / 'data')
    classes = LAYOUTS['folder'].scan(root, 'val').classes
    save_card(replace(load_card(model), classes=tuple(classes),
                      palette=((1, 2, 3),) * len(classes)), model)
    predictor, rng = Predictor(model, 'onnxruntime', 1), np.random.default_rng(0)
    for sample in FileDataset(LAYOUTS['folder'].scan(root, 'val')):
        ids = predictor.predict(np.ascontiguousarray(sample.image[..., ::-1])).semantic
        wrong = rng.random(ids.shape) < 0.2
        cv2.imwrite(str(root / 'semseg' / f'{sample.name}.png'), np.where(wrong, 2 - ids, ids))
    assert main(['calibrate', str(model), '--data', str(root), '--layout', 'folder']) == 0
    said = capsys.readouterr().out
    assert 'temperature 1 -> ' in said and 'factor 0.1 -> ' in said
    card = load_card(model)
    assert card.temperature != 1 and card.uncertainty_factor not in (0, 0.1)
    noted = card.metrics['calibration']
    assert noted['confidence']['nll'] < noted['confidence']['nll_before']
    # Again: both stay what they are.
    assert main(['calibrate', str(model), '--data', str(root), '--layout', 'folder']) == 0
    again = load_card(model)
    assert again.temperature == card.temperature
    assert again.uncertainty_factor == pytest.approx(card.uncertainty_factor, rel=2e-3)
    figures = tmp_path / 'figures.json'
    assert main(['eval', str(model), '--data', str(root), '--split', 'val', '--engine',
                 'onnxruntime', '--json', str(figures)]) == 0
    measured = json.loads(figures.read_text())['figures']
    assert 0 <= measured['semseg']['ece'] <= 1 and measured['semseg']['confidence_nll'] > 0
    assert measured['depth']['ause_m'] >= 0 and 0 <= measured['depth']['within_1'] <= 1


def test_what_cannot_be_calibrated_is_said(model, tmp_path, capsys):
    save_card(replace(load_card(model), uncertainty_factor=0.0), model)
    root = write_folder(tmp_path / 'data')
    assert main(['calibrate', str(model), '--data', str(root), '--tasks', 'depth']) == 1
    assert 'model_options.uncertainty=true' in capsys.readouterr().err
    assert main(['calibrate', str(model), '--data', str(root), '--split', 'none']) == 1
    assert "no split 'none'" in capsys.readouterr().err
    graph = onnx.helper.make_graph([], 'empty', [], [])
    with pytest.raises(GraphError, match='greatest value of a softmax'):
        set_temperature(graph, 2.0)
    with pytest.raises(GraphError, match='no output depth_uncertainty'):
        set_factor(graph, 2.0)
