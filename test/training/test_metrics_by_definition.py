"""Metrics at the edges of their definitions: inclusive or not, nothing at all, one pixel only."""

import re
import warnings

import numpy as np
import pytest

from demt_perception.training.metrics import (
    ConfusionMatrix,
    create_metric,
    delta_m,
    DepthError,
    ImageMaxF,
    NormalError,
    PooledMaxF,
)
from demt_perception.training.metrics.sums import check_probability, check_size, exact, value_of


def of(metric, *pairs):
    for prediction, label in pairs:
        metric.add(np.array(prediction), np.array(label))
    return metric.summary()


def refused(text):
    """Return what expects exactly this message."""
    return pytest.raises(ValueError, match=f'^{re.escape(text)}$')


# What all share.

def test_probabilities_may_be_all_0_and_all_1_and_none_but_nothing_beyond():
    for fine in (np.zeros((2, 2)), np.ones((2, 2)), np.full((2, 2), 0.5), np.zeros((0, 3))):
        check_probability(fine)
    for wrong, seen in (([[0.5, 2.0]], '0.0..2.0'), ([[-1.0, 0.5]], '-1.0..0.5'),
                        ([[1.5, 2.0]], '0.0..2.0'), ([[-2.0, -1.0]], '-2.0..0.0')):
        with refused(f'predicted probabilities {seen}: want 0..1; apply the sigmoid or softmax to '
                     'scores, divide 8-bit maps by 255'):
            check_probability(np.array(wrong))


def test_what_is_wrong_is_said_in_full():
    check_size(np.zeros((2, 3)), np.zeros((2, 3)))
    with refused('prediction (2, 3) against label (3, 2): want the same size; resize the '
                 'prediction to the label'):
        check_size(np.zeros((2, 3)), np.zeros((3, 2)))
    with refused('a metric cannot add nan: want finite numbers; look for NaN or inf among the '
                 'predictions'):
        exact([1.0, np.nan])
    one, other = ConfusionMatrix(3), ConfusionMatrix(4)
    with refused("ConfusionMatrix{'shapes': {'counts': (3, 3)}} cannot merge ConfusionMatrix"
                 "{'shapes': {'counts': (4, 4)}}: make both with the same arguments"):
        one.merge(other)


def test_no_number_is_an_empty_sum():
    assert exact([]).shape == (0, 66) and exact([]).dtype == np.int64
    assert value_of(exact([])).shape == (0,)
    assert value_of(exact([5e-324, -1.5, 1.7976931348623157e308])).tolist() == [
        5e-324, -1.5, 1.7976931348623157e308]


def test_a_metric_is_made_for_the_classes_there_are():
    assert create_metric('semseg', classes=5).counts.shape == (5, 5)
    assert create_metric('human_parts', classes=3).counts.shape == (3, 3)
    assert create_metric('human_parts').counts.shape == (7, 7)
    assert create_metric('depth', near=1.0, far=9.0).far == 9.0
    with refused('0 classes: want how many the labels have, at least 1'):
        create_metric('semseg')


# Classes.

def test_labels_that_are_no_class_are_left_out_on_both_sides():
    confusion = ConfusionMatrix(2)
    confusion.add(np.array([[0, 1, 0, 1]]), np.array([[-1, 2, 0, 1]]))
    assert confusion.counts.tolist() == [[1, 0], [0, 1]]
    confusion.add(np.array([[7, 1]]), np.array([[255, 0]]))   # what stands there does not matter
    assert confusion.counts.tolist() == [[1, 1], [0, 1]]
    for wrong in (-1, 2):
        with refused(f'predicted ids {min(wrong, 0)}..{max(wrong, 0)}: want 0..1; is the model '
                     'made for other classes?'):
            confusion.add(np.array([[0, wrong]]), np.array([[0, 0]]))


def test_iou_of_nothing_and_of_one_pixel():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        figures = ConfusionMatrix(1).summary()
    assert np.isnan(figures['miou'])
    assert (figures['published_miou'], figures['pixel_accuracy']) == (0, 0)
    assert of(ConfusionMatrix(1), ([[0]], [[0]])) == {
        'miou': 1, 'published_miou': 1, 'pixel_accuracy': 1}


def test_iou_by_hand():
    confusion = ConfusionMatrix(4)
    confusion.add(np.array([[0, 0, 0, 1, 1, 2]]), np.array([[0, 0, 1, 1, 0, 1]]))
    # Class 2 is predicted and never there: IoU 0. Class 3 is neither: no IoU.
    assert confusion.iou()[:3].tolist() == [2 / 4, 1 / 4, 0]
    assert np.isnan(confusion.iou()[3])
    assert confusion.summary() == pytest.approx({
        'miou': (2 / 4 + 1 / 4) / 3, 'published_miou': (2 / 4 + 1 / 4) / 4,
        'pixel_accuracy': 3 / 6})


# Depth.

def test_depth_counts_from_near_to_far_both_included():
    prediction = [[1.0, 1.0, 50.0, 50.0, 2.0, 2.0]]
    label = [[1.0, 0.99, 50.0, 50.01, np.nan, 3.0]]
    error = DepthError(1.0, 50.0)
    figures = of(error, (prediction, label))
    assert error.sums['counts'].tolist() == [3, 3, 2, 3, 3, 1]
    assert figures['abs_rel'] == pytest.approx((1 / 3) / 3)


def test_without_limits_all_depths_count_that_are_depths():
    figures = of(DepthError(), ([[0.5, 1e6, 1.0, 1.0, 0.1]], [[0.5, 1e6, 0.0, -1.0, 0.1]]))
    assert (figures['abs_rel'], figures['delta1'], figures['coverage']) == (0, 1, 1)
    for near, far in ((5.0, 5.0), (6.0, 5.0)):
        with refused(f'depths from {near} to {far} metres: want the nearer first'):
            DepthError(near, far)


@pytest.mark.parametrize(('far', 'near', 'within'), [
    (5, 4, [0, 1, 1]), (4.99, 4, [1, 1, 1]), (25, 16, [0, 0, 1]), (24.9, 16, [0, 1, 1]),
    (125, 64, [0, 0, 0]), (124.9, 64, [0, 0, 1])])
def test_a_factor_of_exactly_the_limit_is_not_within(far, near, within):
    for prediction, label in ((far, near), (near, far)):
        figures = of(DepthError(), ([[float(prediction)]], [[float(label)]]))
        assert [figures[f'delta{power}'] for power in (1, 2, 3)] == within


def test_all_figures_of_depth_by_hand():
    images = ([[2.0, 3.0]], [[1.0, 6.0]]), ([[5.0, np.nan]], [[4.0, 4.0]]), ([[1.0]], [[np.nan]])
    figures = of(DepthError(), *images)
    logs = np.log([2, 0.5, 1.25])
    assert figures == pytest.approx({
        'abs_rel': (1 + 0.5 + 0.25) / 3, 'sq_rel': (1 + 9 / 6 + 1 / 4) / 3,
        'rmse_m': ((1 + 9 + 1) / 3) ** 0.5, 'log_rmse': ((logs ** 2).sum() / 3) ** 0.5,
        'delta1': 0, 'delta2': 1 / 4, 'delta3': 1 / 4, 'coverage': 3 / 4,
        'image_abs_rel': (1.5 / 2 + 0.25) / 2, 'image_sq_rel': (2.5 / 2 + 0.25) / 2,
        'image_rmse_m': (5 ** 0.5 + 1) / 2, 'rmse_all_m': ((1 + 9 + 1) / 3) ** 0.5,
        'image_log_rmse': (((logs[:2] ** 2).sum() / 2) ** 0.5 + logs[2]) / 2})


def test_what_is_called_sky_counts_as_far_in_the_figure_of_delta_m():
    pair = [[2.0, np.nan, np.nan]], [[1.0, 6.0, np.nan]]
    error = DepthError(missing=10.0)
    figures = of(error, pair)
    assert figures['rmse_m'] == 1 and figures['coverage'] == 0.5
    assert figures['rmse_all_m'] == error.main == ((1 + 16) / 2) ** 0.5
    assert of(DepthError(missing=10.0), ([[np.nan]], [[4.0]]))['rmse_all_m'] == 6
    assert np.isnan(of(DepthError(), ([[np.nan]], [[4.0]]))['rmse_all_m'])


def test_small_predictions_are_raised_to_the_floor():
    figures = of(DepthError(floor=2.0), ([[-7.0, 1.0, 3.0]], [[2.0, 2.0, 3.0]]))
    assert (figures['abs_rel'], figures['log_rmse']) == (0, 0)
    # The papers raise to 0, whose logarithm is that of a nanometre.
    figures = of(DepthError(), ([[-7.0]], [[1.0]]))
    assert figures['abs_rel'] == 1
    assert figures['log_rmse'] == pytest.approx(np.log(1e9))


def test_depth_of_nothing_is_no_figure_and_of_infinity_an_error_without_a_warning():
    assert all(np.isnan(value) for value in DepthError().summary().values())
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        with pytest.raises(ValueError, match='cannot add inf'):
            DepthError().add(np.array([[1e200]]), np.array([[1.0]]))


# Normals.

def at(degrees):
    radians = np.radians(degrees)
    return [np.sin(radians), 0.0, -np.cos(radians)]


def test_the_median_angle_is_known_to_a_hundredth():
    def median(*degrees):
        return of(NormalError(), ([[at(d) for d in degrees]], [[at(0)] * len(degrees)]))[
            'median_deg']

    assert median(30.505) == 30.50
    assert median(10.005, 20.005, 40.005) == 20.00
    assert median(10.005, 20.005) == 10.00   # the lower of the two in the middle
    assert median(40.005, 20.005, 10.005, 179.005) == 20.00
    assert median(180) == 180
    assert all(np.isnan(value) for value in NormalError().summary().values())


def test_no_direction_is_a_right_angle_off():
    for nothing in ([0.0, 0.0, 0.0], [np.nan] * 3):
        figures = of(NormalError(), ([[nothing]], [[at(0)]]))
        assert (figures['mean_deg'], figures['rms_deg']) == pytest.approx((90, 90))
    figures = of(NormalError(), ([[at(180), [0.0, 0.0, -9.0]]], [[at(0), [0.0, 0.0, -0.1]]]))
    assert (figures['mean_deg'], figures['below_11_25']) == (90, 0.5)


def test_shares_of_normals_are_below_three_limits():
    degrees = [11.2, 11.3, 22.4, 22.6, 29.9, 30.1]
    figures = of(NormalError(), ([[at(d) for d in degrees]], [[at(0)] * 6]))
    assert [figures[f'below_{limit}'] for limit in ('11_25', '22_5', '30')] == pytest.approx(
        [1 / 6, 3 / 6, 5 / 6])


@pytest.mark.parametrize(('prediction', 'label'), [
    ((3, 3), (3, 3)), ((2, 4, 2), (2, 4, 2)), ((2, 4, 3), (4, 2, 3)), ((1, 2, 4, 3),) * 2])
def test_maps_that_are_no_normals_are_refused(prediction, label):
    with refused(f'prediction {prediction} against label {label}: want both (H, W, 3) of the same '
                 'size; move the channels to the end, resize the prediction to the label'):
        NormalError().add(np.ones(prediction), np.ones(label))


# Saliency, threshold by threshold.

def saliency(seed, count=3):
    """Return images whose probabilities often lie on a threshold."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        steps = rng.integers(0, 21, (5, 6)) * 0.05
        yield (np.where(rng.random((5, 6)) < 0.5, steps, rng.random((5, 6))).clip(0, 1),
               rng.choice(np.uint8([0, 1, 255]), (5, 6), p=(0.5, 0.4, 0.1)))


def best(precision, recall, beta_squared):
    f = [(1 + beta_squared) * p * r / (beta_squared * p + r) if p + r > 0 else 0.0
         for p, r in zip(precision, recall, strict=True)]
    return {'max_f': max(f), 'precision': precision[f.index(max(f))],
            'recall': recall[f.index(max(f))]}


@pytest.mark.parametrize('seed', range(4))
def test_pooled_saliency_is_what_its_definition_says(seed):
    images = list(saliency(seed))
    thresholds = np.float32([k * 0.05 for k in range(1, 20)])
    counts = np.zeros((19, 3))
    for probability, label in images:
        for k, threshold in enumerate(thresholds):
            found = (np.float32(probability) >= threshold) & (label != 255)
            counts[k] += (found & (label == 1)).sum(), found.sum(), (label == 1).sum()
    wanted = best(list(counts[:, 0] / np.maximum(counts[:, 1], 1)),
                  list(counts[:, 0] / counts[:, 2]), 0.3)
    figures = of(PooledMaxF(), *images)
    assert figures['threshold'] in thresholds
    assert {name: figures[name] for name in wanted} == pytest.approx(wanted)


@pytest.mark.parametrize('seed', range(4))
def test_saliency_by_image_is_what_its_definition_says(seed):
    images = list(saliency(seed))
    images[1] = images[1][0] * 0.5, images[1][1]
    images[2] = images[2][0], np.where(images[2][1] == 1, np.uint8(0), images[2][1])
    thresholds = np.float32([0.2 + k * 0.05 for k in range(15)])
    shares = np.zeros((15, 3))
    for probability, label in images:
        for k, threshold in enumerate(thresholds):
            found, there = (np.float32(probability) > threshold) & (label != 255), label == 1
            hit, union = (found & there).sum(), (found | there).sum()
            shares[k] += (hit / max(found.sum(), 1), hit / max(there.sum(), 1),
                          hit / union if union else 1)
    shares /= 3
    wanted = {**best(list(shares[:, 0]), list(shares[:, 1]), 1.0), 'miou': shares[:, 2].max()}
    figures = of(ImageMaxF(), *images)
    assert {name: figures[name] for name in wanted} == pytest.approx(wanted)


def test_saliency_of_nothing():
    assert PooledMaxF().summary() == pytest.approx(
        {'max_f': 0, 'threshold': 0.05, 'precision': 0, 'recall': 0})
    assert ImageMaxF().summary() == pytest.approx(
        {'max_f': 0, 'threshold': 0.2, 'precision': 0, 'recall': 0, 'miou': 0})
    # Nothing wanted and nothing found is right; one pixel wanted and found, too.
    assert of(ImageMaxF(), ([[0.1]], [[0]]))['miou'] == 1
    assert of(ImageMaxF(), ([[0.95]], [[1]])) == pytest.approx(
        {'max_f': 1, 'threshold': 0.2, 'precision': 1, 'recall': 1, 'miou': 1})
    assert of(PooledMaxF(), ([[0.95]], [[1]])) == pytest.approx(
        {'max_f': 1, 'threshold': 0.05, 'precision': 1, 'recall': 1})


# Delta_m.

def test_delta_m_by_hand():
    multi = {'semseg': 0.6, 'depth': 3.0, 'edge': 0.9}
    single = {'semseg': 0.5, 'depth': 2.0, 'edge': 1.0}
    assert delta_m(multi, single) == pytest.approx((0.2 - 0.5 - 0.1) / 3)
    with refused("Delta_m of ['depth', 'edge', 'semseg'] against ['semseg']: want the same tasks "
                 'on both sides'):
        delta_m(multi, {'semseg': 0.5})
    with refused("the single-task figures of ['depth', 'edge'] are 0: want others, for gains are "
                 'relative to them'):
        delta_m(multi, {'semseg': 0.5, 'depth': 0, 'edge': 0.0})
