"""However a set is split over processes, and in any order, the figures are the same to the bit."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from demt_perception.training.metrics import (
    BoundaryScore,
    ConfusionMatrix,
    DepthError,
    ImageMaxF,
    NormalError,
    PooledMaxF,
)
from demt_perception.training.metrics.sums import exact, value_of


def ids(rng, size):
    return rng.integers(0, 4, size), rng.choice(np.array([0, 1, 2, 3, 255], np.uint8), size)


def metres(rng, size):
    label = rng.lognormal(1, 2, size)
    label[rng.random(size) < 0.2] = np.nan
    return label * rng.lognormal(0, 0.5, size), label


def directions(rng, size):
    return rng.normal(size=(*size, 3)), rng.normal(size=(*size, 3)) * (rng.random() < 0.9)


def probabilities(rng, size):
    return rng.random(size), rng.choice(np.array([0, 1, 255], np.uint8), size, p=[.6, .3, .1])


METRICS = {
    'semseg': (lambda: ConfusionMatrix(4), ids),
    'depth': (DepthError, metres),
    'normals': (NormalError, directions),
    'edge': (lambda: BoundaryScore(0.1, 5), probabilities),
    'saliency, pooled': (PooledMaxF, probabilities),
    'saliency, by image': (ImageMaxF, probabilities),
}


@pytest.mark.parametrize('name', METRICS)
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2 ** 32 - 1))
def test_any_split_in_any_order_gives_the_same(name, seed):
    make, draw = METRICS[name]
    rng = np.random.default_rng(seed)
    images = [draw(rng, tuple(rng.integers(3, 12, 2))) for _ in range(int(rng.integers(1, 9)))]
    whole = make()
    for image in images:
        whole.add(*image)
    parts = [make() for _ in range(int(rng.integers(1, 5)))]   # some may see nothing
    for index in rng.permutation(len(images)):
        parts[rng.integers(len(parts))].add(*images[index])
    merged = make()
    for index in rng.permutation(len(parts)):
        merged.merge(parts[index])
    np.testing.assert_equal(merged.summary(), whole.summary())   # NaN equals NaN here
    assert merged.sums.keys() == whole.sums.keys()
    for key, array in whole.sums.items():
        assert array.dtype == np.int64
        assert np.array_equal(merged.sums[key], array)
    # What processes exchange: the arrays alone, added element by element.
    summed = make()
    summed.sums = {key: np.sum([part.sums[key] for part in parts], 0) for key in whole.sums}
    np.testing.assert_equal(summed.summary(), whole.summary())


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8))
def test_sums_are_exact(values):
    total = sum(exact([value]) for value in values)
    try:
        wanted = float(sum(map(Fraction, values)))
    except OverflowError:
        return
    assert value_of(total).tolist() == [wanted]


def test_a_sum_that_floats_lose():
    assert value_of(exact([1e300]) + exact([1.0]) + exact([-1e300])).tolist() == [1.0]


@pytest.mark.parametrize(('one', 'other'), [
    (ConfusionMatrix(3), ConfusionMatrix(4)),
    (DepthError(0, 10), DepthError(0, 20)),
    (BoundaryScore(0.0075), BoundaryScore(0.011)),
    (BoundaryScore(thresholds=[0.1, 0.2]), BoundaryScore(thresholds=[0.1, 0.3])),
    (PooledMaxF(), ImageMaxF()),
])
def test_metrics_of_other_settings_do_not_merge(one, other):
    with pytest.raises(ValueError, match='make both with the same arguments'):
        one.merge(other)
