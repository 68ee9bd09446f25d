"""Metrics against the official numbers and against cases worked out by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from demt_perception.training.metrics import (
    BoundaryScore,
    ConfusionMatrix,
    DepthError,
    NormalError,
)

GOLDEN = Path(__file__).resolve().parents[3] / 'shared' / 'golden'


@pytest.fixture(scope='module')
def official():
    safetensors = pytest.importorskip('safetensors.numpy')
    path = GOLDEN / 'losses_metrics.safetensors'
    if not path.exists():
        pytest.skip(f'{path} is not at hand')
    return (safetensors.load_file(path),
            json.loads((GOLDEN / 'losses_metrics.json').read_text()))


def test_miou_and_normals_equal_the_official_meters(official):
    arrays, values = official
    confusion, angle = ConfusionMatrix(40), NormalError()
    for prediction, label, n, m in zip(
            arrays['pred.semseg'], arrays['target.semseg'], arrays['pred.normals'],
            arrays['target.normals'], strict=True):
        confusion.add(prediction.argmax(0), label[0].astype(np.uint8))
        n = n / np.linalg.norm(n, axis=0)
        m = np.where((m == 255).any(0), 0, m)
        angle.add(n.transpose(1, 2, 0), m.transpose(1, 2, 0))
    # The official mean counts a class that never occurs as zero.
    assert np.nan_to_num(confusion.iou()).mean() == pytest.approx(
        values['demt.metric.semseg_mIoU'], abs=1e-6)
    assert angle.summary()['mean_deg'] == pytest.approx(
        values['demt.metric.normals_mErr'], abs=1e-3)


def test_depth_rmse_equals_the_official_meter(official):
    arrays, values = official
    target = arrays['target.depth'].copy()
    target[target == 255] = np.nan
    error = DepthError(1e-9, 1e9)
    error.add(np.maximum(arrays['pred.depth'], 0), target)
    assert error.summary()['rmse_m'] == pytest.approx(
        values['demt.metric.depth_RMSE(ignore_index=255)'], abs=1e-5)


def test_iou_ignores_void_and_absent_classes():
    confusion = ConfusionMatrix(3)
    confusion.add(np.array([[0, 0, 1, 1]]), np.array([[0, 1, 1, 255]], np.uint8))
    assert confusion.iou()[:2] == pytest.approx([0.5, 0.5])
    assert np.isnan(confusion.iou()[2])
    assert confusion.miou() == pytest.approx(0.5)


def test_missing_depth_counts_against_delta_but_not_against_the_error():
    error = DepthError(1, 50)
    error.add(np.array([[2.0, np.nan, 5.0]]), np.array([[2.0, 4.0, 80.0]]))
    assert error.summary() == {'abs_rel': 0, 'rmse_m': 0, 'delta1': 0.5, 'coverage': 0.5}


@pytest.mark.parametrize(('shift', 'wanted'), [(0, 1.0), (3, 1.0), (20, 0.0)])
def test_boundaries_match_within_the_tolerance_only(shift, wanted):
    label = np.zeros((360, 480), np.uint8)
    label[:, 200] = 1
    prediction = np.zeros((360, 480), np.float32)
    prediction[:, 200 + shift] = 0.9
    score = BoundaryScore()  # 0.0075 of 600 pixels: 4.5 pixels
    score.add(prediction, label)
    assert score.summary()['f'] == pytest.approx(wanted, abs=0.02)
