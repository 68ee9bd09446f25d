"""Task affinity on maps where the right answer is known, and against counting pair by pair."""

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')

from demt_perception.training.affinity import measure_affinity
from demt_perception.training.datasets import Sample

TASKS = ('semseg', 'depth', 'normals')


def picture(height=64, width=64):
    return np.zeros((height, width, 3), np.uint8)


def halves(left, right, dtype, width=64):
    """Return a map with one value left and another right."""
    out = np.empty((64, width, *np.shape(left)), dtype)
    out[:, :width // 2] = left
    out[:, width // 2:] = right
    return out


def test_tasks_that_see_the_same_halves_match_wholly():
    sample = Sample(picture(), halves(0, 1, np.uint8), halves(2, 8, np.float32),
                    halves((0, -1, 0), (0, 0, -1), np.float32))
    found = measure_affinity([sample], TASKS, (1, 2, 8, 32))
    assert (found.matching() == 1).all()
    assert (found.similar_given_similar() == 1).all()


def test_known_shares_of_two_halves_and_one_whole():
    """Depth has one value everywhere: it matches semseg on the pairs that do not cross over."""
    sample = Sample(picture(), halves(0, 1, np.uint8), np.full((64, 64), 3, np.float32))
    found = measure_affinity([sample], ('semseg', 'depth'), (1, 4, 16))
    for d, matching, similar in zip((1, 4, 16), found.matching(), found.similar_given_similar(),
                                    strict=True):
        # Pairs beside each other, below, and on both diagonals; d columns of each cross over.
        pairs = 64 * (64 - d) + (64 - d) * 64 + 2 * (64 - d) ** 2
        crossing = 64 * d + 2 * (64 - d) * d
        assert matching[0, 1] == matching[1, 0] == pytest.approx(1 - crossing / pairs)
        assert similar[0, 1] == 1
        assert similar[1, 0] == pytest.approx(1 - crossing / pairs)


def test_agreement_near_by_is_lost_far_away():
    """Stripes of classes on one wall: pairs leave their stripe as they move apart."""
    semseg = np.broadcast_to((np.arange(64) // 16).astype(np.uint8), (64, 64)).copy()
    sample = Sample(picture(), semseg, np.full((64, 64), 3, np.float32))
    matching = measure_affinity([sample], ('semseg', 'depth'), (1, 2, 4, 8, 16)).matching()
    assert (np.diff(matching[:, 0, 1]) < 0).all()


@pytest.mark.parametrize(('kind', 'a', 'b', 'similar'), [
    ('depth', 10.0, 10.9, True), ('depth', 10.0, 11.1, False), ('depth', np.inf, np.inf, True),
    ('depth', np.inf, 100.0, False), ('depth', 0.0, 0.0, True),
    ('normals', 14.0, 0.0, True), ('normals', 16.0, 0.0, False),
    ('semseg', 3, 3, True), ('semseg', 3, 4, False), ('edge', 1, 1, True), ('edge', 1, 0, False)])
def test_thresholds(kind, a, b, similar):
    if kind == 'normals':
        a, b = ((np.sin(np.radians(x)), 0, -np.cos(np.radians(x))) for x in (a, b))
    label = np.array([[a, b]], np.float32 if kind in ('depth', 'normals') else np.uint8)
    found = measure_affinity([Sample(picture(1, 2), **{kind: label})], (kind,), (1,))
    assert found.counts[0, 0, 0].tolist() == ([[0, 0], [0, 1]] if similar else [[1, 0], [0, 0]])


@st.composite
def scenes(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    h, w = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    normals = rng.choice(np.float32([[0, -1, 0], [0.1, -0.995, 0], [1, 0, 0], [0, 0, 0]]), (h, w))
    return Sample(picture(h, w), rng.choice(np.uint8([0, 1, 255]), (h, w)),
                  rng.choice(np.float32([1, 1.05, 3, np.inf, np.nan]), (h, w)), normals)


def slow_counts(sample, dilation):
    """Pair by pair, over all eight neighbours: every pair twice."""
    counts = np.zeros((3, 3, 2, 2), int)
    h, w = sample.semseg.shape

    def alike(p, q):
        ids = sample.semseg[p], sample.semseg[q]
        z = sorted((float(sample.depth[p]), float(sample.depth[q])))
        n = sample.normals[p], sample.normals[q]
        return (None if 255 in ids else ids[0] == ids[1],
                None if np.isnan(z).any() else z[0] == z[1] or z[1] < 1.1 * z[0],
                None if not n[0].any() or not n[1].any()
                else np.degrees(np.arccos(np.clip(n[0] @ n[1], -1, 1))) < 15)

    for i, j in np.ndindex(h, w):
        for a in (-dilation, 0, dilation):
            for b in (-dilation, 0, dilation):
                if (a or b) and 0 <= i + a < h and 0 <= j + b < w:
                    same = alike((i, j), (i + a, j + b))
                    for s in range(3):
                        for t in range(3):
                            if same[s] is not None and same[t] is not None:
                                counts[s, t, int(same[s]), int(same[t])] += 1
    return counts // 2


@settings(max_examples=30, deadline=None)
@given(st.lists(scenes(), max_size=3), st.integers(1, 4))
def test_agrees_with_counting_pair_by_pair(samples, dilation):
    found = measure_affinity(samples, TASKS, (dilation,))
    wanted = np.zeros((3, 3, 2, 2), int)
    for sample in samples:
        wanted += slow_counts(sample, dilation)
    assert (found.counts[0] == wanted).all()
    matching = found.matching()
    assert np.array_equal(matching, matching.transpose(0, 2, 1), equal_nan=True)


def test_parts_add_up_and_missing_labels_are_left_out():
    whole = Sample(picture(), halves(0, 1, np.uint8), halves(2, 8, np.float32))
    photograph = Sample(picture(), halves(0, 1, np.uint8))
    together = measure_affinity([whole, photograph], TASKS, (1, 2))
    alone = measure_affinity([whole], TASKS, (1, 2))
    parts = alone + measure_affinity([photograph], TASKS, (1, 2))
    assert (together.counts == parts.counts).all()
    assert np.isnan(together.matching()[:, 0, 2]).all()
    assert (together.counts[:, 0, 1] == alone.counts[:, 0, 1]).all()
    assert (together.counts[:, 0, 0] == 2 * alone.counts[:, 0, 0]).all()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match='1 pixel or more'):
        measure_affinity([], TASKS, (0, 1))
    with pytest.raises(ValueError, match='not valid'):
        measure_affinity([], ('colour',))
    with pytest.raises(ValueError, match='do not add up'):
        measure_affinity([], TASKS, (1,)) + measure_affinity([], TASKS, (2,))
