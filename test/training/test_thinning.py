"""Thinned masks are those of scikit-image, and keep what is connected."""

from pathlib import Path

import cv2
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
import numpy as np

from demt_perception.training.thinning import thin

GOLDEN = Path(__file__).parents[1] / 'data' / 'golden' / 'thinning.npz'


def test_as_scikit_image():
    """The file was made by skimage.morphology.thin of scikit-image 0.26.0; width 50."""
    with np.load(GOLDEN) as golden:
        masks, thinned = (np.unpackbits(golden[key], axis=2)[..., :50].astype(bool)
                          for key in ('mask', 'thinned'))
    assert len(masks) == 8
    for mask, expected in zip(masks, thinned, strict=True):
        assert np.array_equal(thin(mask), expected)


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.booleans()))
def test_pieces_stay_connected_and_are_thin_for_good(mask):
    once = thin(mask)
    assert not once[~mask].any()
    assert np.array_equal(thin(once), once)
    count, pieces = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    assert cv2.connectedComponents(once.astype(np.uint8), connectivity=8)[0] == count
    assert set(np.unique(pieces[once])) == set(range(1, count)), 'no piece vanishes or splits'


def test_a_bar_becomes_a_line():
    mask = np.zeros((9, 20), bool)
    mask[3:6, 2:18] = True
    out = thin(mask)
    assert out.sum(0).max() == 1 and out[4].sum() >= 12
