"""odsF: one-to-one matching against an exact one, and pictures whose score is known."""

import re

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
import numpy as np
import pytest

from demt_perception.training.metrics import BoundaryScore, HED_THRESHOLDS
from demt_perception.training.metrics.matching import matching_sizes, pixel_pairs
from demt_perception.training.metrics.suppression import suppress
from demt_perception.training.thinning import thin, thin_words

SIZE = (360, 480)   # a diagonal of 600 pixels: 0.0075 of it are 4.5


def exact_sizes(found_maps, truth, distance):
    """Return the maximum matching of each map with the truth, from all distances, by scipy."""
    csgraph = pytest.importorskip('scipy.sparse.csgraph', reason='scipy is the reference')
    sparse = pytest.importorskip('scipy.sparse')
    sizes = []
    for found in found_maps:
        apart = np.linalg.norm(np.argwhere(found)[:, None] - np.argwhere(truth), axis=-1)
        pairs = csgraph.maximum_bipartite_matching(sparse.csr_matrix(apart <= distance))
        sizes.append(int((pairs >= 0).sum()))
    return sizes


@st.composite
def maps(draw):
    """Return bool (K, H, W) of found pixels and (H, W) of true ones."""
    height, width = draw(array_shapes(min_dims=2, max_dims=2, max_side=14))
    share = st.sampled_from([0.1, 0.3, 0.6])
    rng = np.random.default_rng(draw(st.integers(0, 2 ** 32 - 1)))
    found = rng.random((draw(st.integers(1, 6)), height, width)) < draw(share)
    return found, rng.random((height, width)) < draw(share)


@settings(deadline=None, max_examples=200)
@given(maps(), st.sampled_from([0.5, 1, 1.5, 2 ** 0.5, 2.3, 4]))
def test_matching_is_as_large_as_can_be(pair, distance):
    """Sets come in any order and share no more than chance; each is matched exactly."""
    found, truth = pair
    union = found.any(0)
    places = np.argwhere(union)
    pairs = pixel_pairs(places, truth, distance)
    sizes = matching_sizes(pairs, found[:, union], int(truth.sum()))
    assert sizes.tolist() == exact_sizes(found, truth, distance)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2 ** 32 - 1), st.integers(1, 130))
def test_score_counts_what_the_definition_says(seed, thresholds):
    """Every threshold on its own: ridges, cut, thinned, unknown left out, matched exactly."""
    rng = np.random.default_rng(seed)
    size = rng.integers(4, 24, 2)
    prediction = np.clip(cv2.GaussianBlur(rng.random(size), (0, 0), 1.5) * 2 - 0.5, 0, 1)
    label = rng.choice(np.array([0, 1, 255], np.uint8), size, p=[0.7, 0.2, 0.1])
    score = BoundaryScore(0.1, thresholds)
    score.add(prediction, label)
    ridges = suppress(prediction)
    found = [thin(ridges > np.float32(threshold)) & (label != 255)
             for threshold in score.thresholds]
    truth = thin(label == 1)
    matched, present, true = score.sums['counts'].T
    assert present.tolist() == [one.sum() for one in found]
    assert set(true) == {truth.sum()}
    assert matched.tolist() == exact_sizes(found, truth, 0.1 * np.hypot(*size))


@settings(deadline=None)
@given(arrays(np.uint64, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_words_are_thinned_bit_by_bit(words):
    bits = np.arange(64, dtype=np.uint64)
    planes = words[None] >> bits[:, None, None] & np.uint64(1) == 1
    thinned = thin_words(words)[None] >> bits[:, None, None] & np.uint64(1) == 1
    for plane, once in zip(planes, thinned, strict=True):
        assert np.array_equal(thin(plane), once)


def scored(prediction, label, **settings):
    score = BoundaryScore(**settings)
    score.add(prediction.astype(np.float32), label)
    return score.summary()


def shapes(shift=0):
    """Return bool SIZE: outlines of a circle, an ellipse and a wave, moved to the right."""
    image = np.zeros(SIZE, np.uint8)
    cv2.circle(image, (120 + shift, 120), 80, 1)
    cv2.ellipse(image, (330 + shift, 220), (60, 100), 20, 0, 360, 1)
    return thin(image == 1)


def test_the_truth_itself_is_perfect():
    label = shapes().astype(np.uint8)
    figures = scored(0.8 * label, label)
    assert figures['f'] == figures['precision'] == figures['recall'] == 1
    assert figures['threshold'] == 0.01, 'the lowest of those that are as good'


def test_the_blurred_truth_is_almost_perfect():
    """Ridges of a soft map lie where the lines were; ends and crossings may lose a pixel."""
    label = shapes().astype(np.uint8)
    soft = cv2.GaussianBlur(label.astype(np.float32), (0, 0), 2)
    assert scored(soft / soft.max(), label)['f'] > 0.98


@pytest.mark.parametrize(('shift', 'wanted'), [(4, 1.0), (5, 0.0), (20, 0.0)])
def test_boundaries_match_within_the_tolerance_only(shift, wanted):
    label, prediction = np.zeros((2, *SIZE), np.uint8)
    label[20:-20, 200] = 1
    prediction[20:-20, 200 + shift] = 1
    assert scored(0.9 * prediction, label)['f'] == pytest.approx(wanted, abs=0.001)
    wider = scored(0.9 * prediction, label, tolerance=0.011)['f']   # 6.6 pixels
    assert wider == pytest.approx(float(shift <= 6), abs=0.001)


def test_two_found_lines_do_not_share_a_true_one():
    label, prediction = np.zeros((2, *SIZE), np.uint8)
    label[20:-20, 200] = 1
    prediction[20:-20, [197, 203]] = 1
    figures = scored(prediction, label)
    assert figures['recall'] == pytest.approx(1, abs=0.01)
    assert figures['precision'] == pytest.approx(0.5, abs=0.01)


def test_wide_lines_of_the_label_count_once():
    """NYUD's drawn edges are strokes: they are thinned before they are counted."""
    label = cv2.dilate(shapes().astype(np.uint8), np.ones((3, 3), np.uint8))
    assert scored(shapes(), label)['f'] > 0.99


def test_what_is_not_known_does_not_count():
    label = shapes().astype(np.uint8)
    prediction = label.copy()
    label[:, 240:] = 255
    prediction[:, 240:] = shapes(9)[:, 240:]
    prediction[300, 20:200] = 0.5 * np.ones(180)
    assert scored(prediction, label)['f'] == 1
    label[...] = 255
    assert scored(prediction, label)['f'] == 0, 'nothing was measured'


@pytest.mark.parametrize(('found', 'true'), [(False, False), (True, False), (False, True)])
def test_empty_maps_score_zero(found, true):
    assert scored(shapes() * found, (shapes() * true).astype(np.uint8)) == {
        'f': 0, 'threshold': 0.01, 'precision': 0, 'recall': 0}


def test_an_empty_picture_with_findings_lowers_the_precision_of_the_set():
    label = shapes().astype(np.uint8)
    score = BoundaryScore()
    score.add(label.astype(np.float32), label)
    score.add(label.astype(np.float32), np.zeros(SIZE, np.uint8))
    assert score.summary()['precision'] == 0.5
    assert score.summary()['recall'] == 1


def test_the_best_threshold_is_that_of_the_set():
    """A true line at 0.6 beside false ones at 0.3: best between, and all greater counts."""
    label, prediction = np.zeros((2, *SIZE))
    label[20:-20, 100] = 1
    prediction[20:-20, 100] = 0.6
    prediction[20:-20, 200::40] = 0.3
    score = BoundaryScore(thresholds=9)
    score.add(prediction.astype(np.float32), label)
    curve = score.curve()
    assert curve['threshold'] == pytest.approx(np.arange(1, 10) / 10)
    assert curve['recall'] == pytest.approx([1] * 5 + [0] * 4), '0.6 is not greater than 0.6'
    assert curve['precision'] == pytest.approx([1 / 8] * 2 + [1] * 3 + [0] * 4)
    assert score.summary() == {'f': 1, 'threshold': 0.3, 'precision': 1, 'recall': 1}


def test_the_published_list_of_thresholds():
    assert len(HED_THRESHOLDS) == 101
    assert HED_THRESHOLDS[:3] == (0.001, 0.01, 0.02)
    assert HED_THRESHOLDS[-2:] == (0.99, 0.999)
    score = BoundaryScore(0.011, HED_THRESHOLDS)
    score.add(shapes().astype(np.float32), shapes().astype(np.uint8))
    assert score.curve()['recall'].tolist() == [1] * 101


def test_suppression_keeps_the_ridge_only():
    """A blurred vertical line keeps its middle; the map fades over 5 pixels at the border."""
    line = np.zeros((40, 60), np.float32)
    line[:, 30] = 1
    ridges = suppress(cv2.GaussianBlur(line, (0, 0), 2))
    rows, columns = np.nonzero(ridges)
    assert set(columns) == {30}
    assert rows.min() == 1 and rows.max() == 38
    assert ridges[1:6, 30] / ridges[20, 30] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1])


def refused(text):
    """Return what expects exactly this message."""
    return pytest.raises(ValueError, match=f'^{re.escape(text)}$')


def test_settings_of_boundaries_are_refused_in_full():
    for wrong in (0.0, 1.0, -0.1):
        with refused(f'tolerance {wrong}: want a share of the image diagonal, such as 0.0075 or '
                     '0.011'):
            BoundaryScore(wrong)
    for wrong in ((), (0.5, 0.5), (0.5, 0.2)):
        with refused(f'thresholds {wrong}: want one or more that rise'):
            BoundaryScore(thresholds=wrong)
    score = BoundaryScore()
    assert score.tolerance == 0.0075
    assert score.thresholds == pytest.approx([k / 100 for k in range(1, 100)])
    assert BoundaryScore(thresholds=1).thresholds == (0.5,)
    assert BoundaryScore(thresholds=(0.7,)).thresholds == (0.7,)


def test_precision_and_recall_of_one_pixel():
    score = BoundaryScore(thresholds=2)
    score.sums['counts'][:] = [[1, 1, 1], [1, 4, 2]]
    curve = score.curve()
    assert curve['precision'].tolist() == [1, 1 / 4]
    assert curve['recall'].tolist() == [1, 1 / 2]
    assert curve['f'] == pytest.approx([1, 2 * (1 / 8) / (3 / 4)])


def test_pairs_are_all_within_the_distance_nearest_first():
    rng = np.random.default_rng(0)
    truth = rng.random((7, 9)) < 0.3
    found = np.argwhere(rng.random((7, 9)) < 0.3)
    pairs = pixel_pairs(found, truth, 2.3)
    apart = np.linalg.norm(found[:, None] - np.argwhere(truth), axis=-1)
    assert sorted(map(tuple, pairs.tolist())) == sorted(
        map(tuple, np.argwhere(apart <= 2.3).tolist()))
    assert (np.diff(apart[tuple(pairs.T)]) >= 0).all()
