"""Metrics against the official numbers and against cases worked out by hand.

test/data/golden/metrics.npz: predictions, labels and what the released code of DeMT
(``demt.metric.*``) and of Multi-Task-Learning-PyTorch (``mtl.meter.*``) make of them.
"""

from pathlib import Path

import numpy as np
import pytest

from demt_perception.tasks import TASKS
from demt_perception.training.metrics import (
    angles,
    BoundaryScore,
    ConfusionMatrix,
    create_metric,
    delta_m,
    DepthError,
    ImageMaxF,
    NormalError,
    PooledMaxF,
)

GOLDEN = Path(__file__).parents[1] / 'data' / 'golden' / 'metrics.npz'


@pytest.fixture(scope='module')
def official():
    with np.load(GOLDEN) as golden:
        return dict(golden)


def of(metric, predictions, labels):
    for prediction, label in zip(predictions, labels, strict=True):
        metric.add(prediction, label)
    return metric.summary()


@pytest.mark.parametrize(('task', 'classes'), [('semseg', 40), ('human_parts', 7)])
def test_miou_is_the_official_one(official, task, classes):
    figures = of(ConfusionMatrix(classes), official[f'{task}.prediction'],
                 official[f'{task}.label'])
    for name in (f'demt.metric.{task}_mIoU', f'mtl.meter.{task}.mIoU'):
        assert figures['published_miou'] == pytest.approx(official[name], abs=1e-6)


def test_normals_are_the_official_ones(official):
    figures = of(NormalError(), official['normals.prediction'], official['normals.label'])
    assert figures['mean_deg'] == pytest.approx(official['demt.metric.normals_mErr'], abs=1e-4)
    assert figures['mean_deg'] == pytest.approx(official['mtl.meter.normals.mean'], abs=1e-4)
    for ours, theirs in (('below_11_25', '11.25'), ('below_22_5', '22.5'), ('below_30', '30')):
        assert 100 * figures[ours] == pytest.approx(official[f'mtl.meter.normals.{theirs}'])


def test_depth_is_the_official_one(official):
    figures = of(DepthError(), official['depth.prediction'], official['depth.label'])
    assert figures['rmse_m'] == pytest.approx(official['demt.metric.depth_RMSE'], abs=1e-6)
    assert figures['rmse_m'] == pytest.approx(official['mtl.meter.depth.rmse'], abs=1e-6)
    assert figures['log_rmse'] == pytest.approx(official['mtl.meter.depth.log_rmse'], abs=1e-5)


def test_saliency_is_the_official_one_in_both_definitions(official):
    scores, label = official['sal.scores'], official['sal.label']
    probability = 1 / (1 + np.exp(scores[:, 0] - scores[:, 1]))
    assert of(PooledMaxF(), probability, label)['max_f'] == pytest.approx(
        official['demt.metric.sal_maxF'], abs=1e-6)
    figures = of(ImageMaxF(), 1 / (1 + np.exp(-official['sal.score'])),
                 np.where(label == 255, 0, label))
    assert figures['max_f'] == pytest.approx(official['mtl.meter.sal.maxF'], abs=1e-6)
    assert figures['miou'] == pytest.approx(official['mtl.meter.sal.mIoU'], abs=1e-6)


def test_delta_m_is_the_official_one():
    single = {'semseg': 0.33, 'depth': 0.67, 'normals': 22.0, 'edge': 0.75}
    multi = {'semseg': 0.36, 'depth': 0.64, 'normals': 22.5, 'edge': 0.76}
    assert delta_m(multi, single) == pytest.approx(0.03157281772953413, abs=1e-12)
    with pytest.raises(ValueError, match='same tasks'):
        delta_m(multi, {'semseg': 0.33})
    with pytest.raises(ValueError, match=r"figures of \['depth'\] are 0"):
        delta_m(multi, {**single, 'depth': 0})


def test_iou_ignores_void_and_absent_classes():
    confusion = ConfusionMatrix(3)
    confusion.add(np.array([[0, 0, 1, 1]]), np.array([[0, 1, 1, 255]], np.uint8))
    assert confusion.iou()[:2] == pytest.approx([0.5, 0.5])
    assert np.isnan(confusion.iou()[2])
    assert confusion.miou() == pytest.approx(0.5)
    assert confusion.published_miou() == pytest.approx(1 / 3)
    assert confusion.pixel_accuracy() == pytest.approx(2 / 3)
    assert confusion.counts.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]


def test_missing_depth_counts_against_delta_but_not_against_the_error():
    error = DepthError(1, 50)
    error.add(np.array([[2.0, np.nan, 5.0]]), np.array([[2.0, 4.0, 80.0]]))
    figures = error.summary()
    assert (figures['abs_rel'], figures['rmse_m'], figures['delta1']) == (0, 0, 0.5)
    assert figures['coverage'] == 0.5


def test_depth_by_hand():
    error = DepthError()
    error.add(np.array([[2.0, -3.0, 9.0, 9.0]]), np.array([[1.0, 4.0, np.inf, 0.0]]))
    error.add(np.array([[2.0]]), np.array([[2.2]]))
    error.add(np.array([[2.0]]), np.array([[np.nan]]))
    figures = error.summary()
    assert figures['abs_rel'] == pytest.approx((1 + 1 + 0.2 / 2.2) / 3)
    assert figures['sq_rel'] == pytest.approx((1 + 4 + 0.04 / 2.2) / 3)
    assert figures['rmse_m'] == pytest.approx(((1 + 16 + 0.04) / 3) ** 0.5)
    assert figures['image_rmse_m'] == pytest.approx((8.5 ** 0.5 + 0.2) / 2)
    assert figures['image_abs_rel'] == pytest.approx((1 + 0.2 / 2.2) / 2)
    assert figures['delta1'] == figures['delta3'] == pytest.approx(1 / 3)


def test_normals_by_hand():
    def at(degrees):
        radians = np.radians(degrees)
        return [np.sin(radians), 0, -np.cos(radians)]

    error = NormalError()
    tilted = np.array([[at(0), at(10), at(20), at(40), at(5), [0, 0, 0], at(179)]])
    label = np.array([[at(0), at(0), at(0), at(0), [0, 0, 0], at(0), at(0)]])
    error.add(3 * tilted, label)
    figures = error.summary()
    assert figures['mean_deg'] == pytest.approx((0 + 10 + 20 + 40 + 90 + 179) / 6)
    assert 20 <= figures['median_deg'] <= 40
    shares = [figures[f'below_{limit}'] for limit in ('11_25', '22_5', '30')]
    assert shares == pytest.approx([2 / 6, 3 / 6, 3 / 6])
    assert figures['rms_deg'] == pytest.approx(
        ((100 + 400 + 1600 + 8100 + 179 ** 2) / 6) ** 0.5)


def test_small_angles_keep_their_digits():
    tilt = np.radians(1e-6)
    assert angles(np.array([0, np.sin(tilt), np.cos(tilt)]), np.array([0, 0, 1])) == (
        pytest.approx(1e-6, rel=1e-6))


def test_saliency_by_hand():
    """Pixels pooled, threshold reached: found at 0.5. 8-bit probabilities reach theirs."""
    metric = PooledMaxF()
    metric.add(np.float32([[0.5, 0.5, 0.2, 0.9]]), np.array([[1, 0, 1, 255]], np.uint8))
    # Down to 0.2 all three are found: P 2/3, R 1; down to 0.5: P 1/2, R 1/2.
    assert metric.summary() == pytest.approx({
        'max_f': 1.3 * (2 / 3) / (0.3 * 2 / 3 + 1), 'threshold': 0.05,
        'precision': 2 / 3, 'recall': 1})
    metric = PooledMaxF()
    metric.add(np.array([[51]], np.uint8).astype(np.float32) / 255, np.array([[1]], np.uint8))
    assert metric.sums['counts'][:, 0].tolist() == [1] * 4 + [0] * 15


@pytest.mark.parametrize(('metric', 'prediction', 'label', 'match'), [
    (ConfusionMatrix(3), np.full((2, 2), 3), np.zeros((2, 2), np.uint8), r'3\.\.3: want 0\.\.2'),
    (ConfusionMatrix(3), np.zeros((2, 2), int), np.zeros((2, 3), np.uint8), 'resize'),
    (DepthError(), np.ones((2, 2)), np.ones((1, 2)), 'resize'),
    (DepthError(), np.full((2, 2), 1e200), np.ones((2, 2)), 'finite'),
    (NormalError(), np.ones((3, 2, 2)), np.ones((3, 2, 2)), 'channels to the end'),
    (BoundaryScore(), np.full((9, 9), 255), np.zeros((9, 9), np.uint8), 'divide 8-bit'),
    (BoundaryScore(), np.full((9, 9), np.nan), np.zeros((9, 9), np.uint8), 'nan'),
    (BoundaryScore(), np.zeros((2, 9, 9)), np.zeros((2, 9, 9), np.uint8), r'\(H, W\)'),
    (PooledMaxF(), np.full((9, 9), -0.1), np.zeros((9, 9), np.uint8), '-0.1'),
    (ImageMaxF(), np.zeros((9, 9)), np.zeros((9, 8), np.uint8), 'resize'),
])
def test_wrong_maps_are_refused_and_leave_no_trace(metric, prediction, label, match):
    before = {name: array.copy() for name, array in metric.sums.items()}
    with pytest.raises(ValueError, match=match):
        metric.add(prediction, label)
    assert all(np.array_equal(before[name], array) for name, array in metric.sums.items())


@pytest.mark.parametrize(('make', 'match'), [
    (lambda: create_metric('semseg'), '0 classes'),
    (lambda: create_metric('sleep'), 'sleep'),
    (lambda: create_metric('depth', near=5, far=1), 'nearer first'),
    (lambda: create_metric('edge', thresholds=[0.5, 0.2]), 'rise'),
    (lambda: create_metric('edge', thresholds=0), 'one or more'),
    (lambda: create_metric('edge', tolerance=4), 'share of the image diagonal'),
])
def test_settings_without_sense_are_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize('task', TASKS)
def test_every_task_has_a_metric_with_its_main_figure(task):
    metric = create_metric(task, classes=9)
    assert metric.MAIN in metric.summary()
    label = np.ones((20, 30, 3) if task == 'normals' else (20, 30), np.uint8)
    metric.add(label, label)
    assert metric.main == metric.summary()[metric.MAIN]
    if task != 'edge':   # a map that is boundary all over has no ridge
        assert metric.main == pytest.approx(1 if TASKS[task].higher_is_better else 0)


def test_human_parts_know_their_classes():
    assert create_metric('human_parts').counts.shape == (7, 7)
