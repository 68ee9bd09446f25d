"""Calibration and sparsification, against the published definitions computed pixel by pixel."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from demt_perception.training.metrics import (
    CalibrationError,
    depth_error,
    rightness,
    SparsificationError,
)


def published_ece(confidence, right, bins=15):
    """Equal bins (a, b], as in the paper's own code."""
    edges, total = np.linspace(0, 1, bins + 1), 0.0
    for low, high in pairwise(edges):
        inside = (confidence > low + 1e-9) & (confidence <= high + 1e-9)
        if low == 0:
            inside |= confidence == 0
        if inside.any():
            total += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return total


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2 ** 32), st.integers(1, 400), st.integers(1, 256))
def test_ece_is_the_published_one(seed, count, levels):
    rng = np.random.default_rng(seed)
    confidence = rng.integers(0, levels, (1, count)).astype(np.uint8)
    label = rng.choice(np.uint8([0, 1, 255]), (1, count), p=(0.3, 0.5, 0.2))
    metric = CalibrationError()
    metric.add(confidence, label)
    known = label[0] != 255
    figures = metric.summary()
    if not known.any():
        assert all(np.isnan(value) for value in figures.values())
        return
    values, right = confidence[0][known] / 255, label[0][known] == 1
    assert figures['ece'] == pytest.approx(published_ece(values, right), abs=1e-12)
    clipped = np.clip(values, 0.5 / 255, 1 - 0.5 / 255)
    wanted = -np.log(np.where(right, clipped, 1 - clipped)).mean()
    assert figures['confidence_nll'] == pytest.approx(wanted)
    assert figures['confidence'] == pytest.approx(values.mean())


def test_a_confidence_that_keeps_its_word_has_no_error():
    rng = np.random.default_rng(0)
    confidence = rng.integers(0, 256, (500, 1000)).astype(np.uint8)
    metric = CalibrationError()
    metric.add(confidence, (rng.random(confidence.shape) < confidence / 255).astype(np.uint8))
    assert metric.main < 0.005
    metric = CalibrationError()
    metric.add(np.full((10, 10), 255, np.uint8), np.eye(10, dtype=np.uint8))
    assert metric.main == pytest.approx(0.9)


def test_rightness_knows_what_is_not_labelled():
    seen = rightness(np.uint8([[1, 1, 0, 2]]), np.uint8([[1, 0, 255, 2]]), 2)
    assert seen.tolist() == [[1, 0, 255, 255]]


def exact_ause(uncertainty, error):
    order = {name: np.sort(error)[::-1] if name == 'oracle' else
             error[np.argsort(-uncertainty, kind='stable')] for name in ('sparse', 'oracle')}
    means = {name: [e[k:].mean() for k in range(len(e))] for name, e in order.items()}
    return np.mean(np.subtract(means['sparse'], means['oracle']))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2 ** 32), st.floats(0, 1))
def test_ause_is_that_of_sorting_pixel_by_pixel(seed, noise):
    rng = np.random.default_rng(seed)
    error = rng.laplace(size=3000) ** 2
    uncertainty = np.exp((1 - noise) * np.log(error + 1e-3) + noise * rng.normal(size=3000))
    metric = SparsificationError()
    metric.add(uncertainty.reshape(50, 60), error.reshape(50, 60))
    wanted = exact_ause(uncertainty, error)
    figures = metric.summary()
    assert figures['ause_m'] == pytest.approx(wanted, rel=0.02, abs=0.01 * error.mean())
    assert figures['error_m'] == pytest.approx(error.mean(), rel=1e-5)
    assert figures['uncertainty_m'] == pytest.approx(uncertainty.mean(), rel=1e-5)
    assert figures['within_1'] == np.mean(error <= uncertainty)
    assert figures['within_3'] == np.mean(error <= 3 * uncertainty)


def test_the_order_of_the_errors_is_perfect_and_a_random_one_useless():
    rng = np.random.default_rng(3)
    error = rng.exponential(size=(200, 200))
    for uncertainty, share in ((error * 7, 0.0), (rng.random(error.shape) + 1, 1.0)):
        metric = SparsificationError()
        metric.add(uncertainty, error)
        assert metric.summary()['ause_share'] == pytest.approx(share, abs=0.03)


def test_a_laplace_distribution_is_within_as_often_as_said():
    rng = np.random.default_rng(4)
    scale = rng.uniform(0.1, 5, (300, 300))
    metric = SparsificationError()
    metric.add(scale, np.abs(rng.laplace(scale=scale)))
    figures = metric.summary()
    assert figures['within_1'] == pytest.approx(0.632, abs=0.01)
    assert figures['within_3'] == pytest.approx(0.950, abs=0.01)
    assert figures['uncertainty_m'] == pytest.approx(figures['error_m'], rel=0.02)


@pytest.mark.parametrize('make', [CalibrationError, SparsificationError])
def test_parts_merge_to_the_last_bit(make):
    rng = np.random.default_rng(5)
    images = [(rng.integers(0, 256, (9, 7)).astype(np.uint8),
               rng.integers(0, 2, (9, 7)).astype(np.uint8)) if make is CalibrationError else
              (rng.random((9, 7)), rng.random((9, 7)) ** 3) for _ in range(5)]
    whole, parts = make(), [make(), make()]
    for index, image in enumerate(images):
        whole.add(*image)
        parts[index % 2].add(*image)
    parts[1].merge(parts[0])
    for name, array in whole.sums.items():
        np.testing.assert_array_equal(parts[1].sums[name], array)
    assert parts[1].summary() == whole.summary()


def test_nothing_known_is_no_figure_and_wrong_input_is_refused():
    metric = SparsificationError()
    metric.add(np.ones((2, 2)), np.full((2, 2), np.nan))
    assert all(np.isnan(value) for value in metric.summary().values())
    error = depth_error(np.float32([[3, 3, np.nan, 3]]), np.float32([[5, 90, 4, np.inf]]), 1, 50)
    np.testing.assert_array_equal(error, [[2, np.nan, np.nan, np.nan]])
    with pytest.raises(ValueError, match='float64: want uint8'):
        CalibrationError().add(np.ones((2, 2)), np.ones((2, 2), np.uint8))
    with pytest.raises(ValueError, match='same size'):
        metric.add(np.ones((2, 2)), np.ones((2, 3)))


def summary(uncertainty, error):
    metric = SparsificationError()
    metric.add(np.array(uncertainty), np.array(error))
    return metric.summary()


def test_bins_of_confidence_by_hand():
    metric = CalibrationError()
    assert (metric.bins()[:, 0] == 0).all() and np.isnan(metric.bins()[:, 1:]).all()
    # 17/255 is the edge of the first of 15 bins and belongs to it; 0 lies there, too.
    metric.add(np.uint8([[0, 17, 18, 255, 255]]), np.uint8([[0, 1, 1, 1, 0]]))
    bins = metric.bins()
    assert bins[0] == pytest.approx([2 / 5, 8.5 / 255, 1 / 2])
    assert bins[1] == pytest.approx([1 / 5, 18 / 255, 1])
    assert bins[14] == pytest.approx([2 / 5, 1, 1 / 2])
    assert (bins[2:14, 0] == 0).all() and np.isnan(bins[2:14, 1:]).all()
    ece = 2 / 5 * (1 / 2 - 8.5 / 255) + 1 / 5 * (1 - 18 / 255) + 2 / 5 * (1 / 2)
    assert metric.summary()['ece'] == pytest.approx(ece)


def test_a_confidence_of_another_type_is_refused_and_labels_know_their_classes():
    with pytest.raises(ValueError, match=r'^confidence of type float32: want uint8, times 255$'):
        CalibrationError().add(np.ones((1, 1), np.float32), np.ones((1, 1), np.uint8))
    seen = rightness(np.array([[0, 0, 1, 1]]), np.array([[0, -1, 2, 1]]), 2)
    assert seen.tolist() == [[1, 255, 255, 1]]
    assert seen.dtype == np.uint8


def test_sparsification_curves_by_hand():
    """Within a pixel's bin the mean error changes as if it were left out little by little."""
    metric = SparsificationError()
    metric.add(np.array([[1.0, 8.0, np.inf, 5.0]]), np.array([[3.0, 1.0, 1.0, np.nan]]))
    shares, sparse, oracle = metric.curves()
    assert shares == pytest.approx(np.arange(1000) / 1000)
    left = 2 * (1 - shares)
    assert sparse == pytest.approx(np.where(left < 1, 3 * left, 3 + (left - 1)) / left)
    assert oracle == pytest.approx(np.where(left < 1, left, 1 + 3 * (left - 1)) / left)
    assert metric.summary() == pytest.approx({
        'ause_m': (sparse - oracle).mean(), 'error_m': 2, 'uncertainty_m': 4.5,
        'ause_share': (sparse - oracle).mean() / (2 - oracle.mean()),
        'within_1': 1 / 2, 'within_3': 2 / 2})


def test_an_error_as_great_as_expected_is_within():
    figures = summary([[2.0, 1.0, 1.0, 1.0]], [[2.0, 1.01, 3.0, 3.01]])
    assert (figures['within_1'], figures['within_3']) == (1 / 4, 3 / 4)


def test_errors_beyond_all_bins_are_counted_in_the_last_ones():
    figures = summary([[0.0, 1e9]], [[0.0, 1e9]])
    assert figures['error_m'] == pytest.approx(5e8)
    assert figures['ause_m'] == 0
    # All alike: there is no order that could be better.
    assert np.isnan(summary([[1.0, 1.0]], [[0.0, 0.0]])['ause_share'])


def test_depth_is_judged_from_near_to_far_both_included():
    error = depth_error(np.array([[2.0, 2.0, 2.0, 2.0]]), np.array([[1.0, 50.0, 0.99, 50.1]]),
                        1.0, 50.0)
    np.testing.assert_array_equal(error, [[1, 48, np.nan, np.nan]])
