"""Figures between two engines' outputs."""

import math

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
import numpy as np
import pytest

from demt_perception.inference.parity import Check, compare, FOLDER, shipped_pictures, trouble
from demt_perception.tasks import TASKS


def one(name, wanted, seen, **limits):
    figure, = compare([{name: np.asarray(wanted)}], [{name: np.asarray(seen)}], limits)
    return figure


def test_classes_are_a_share():
    wanted, seen = np.zeros((2, 1, 10, 10), np.uint8)
    seen.flat[:4] = 1
    figure = one('semantic', wanted, seen)
    assert figure.value == pytest.approx(0.96)
    assert figure.good
    assert not one('semantic', wanted, seen, semantic=0.97).good
    assert one('semantic', wanted, seen, semantic=0.97).trouble() == (
        'semantic 96.0% alike, want at least 97.0%')


def test_limits_of_f32_hold_where_they_are_narrower():
    def limit(name, exact, **limits):
        both = [{name: np.ones((1, 2, 2), np.uint8 if name == 'semantic' else np.float32)}]
        figure, = compare(both, both, limits, exact)
        return figure.limit

    assert (limit('depth', False), limit('depth', True)) == (0.05, 1e-3)
    assert (limit('semantic', False), limit('semantic', True)) == (0.95, 0.99)
    assert limit('depth', True, depth=0.5) == limit('depth', True)
    assert (limit('depth', True, depth=1e-5), limit('semantic', True, semantic=1)) == (1e-5, 1)


def test_depth_is_relative():
    wanted = np.array([[[1, 10, 100]]], np.float32)
    assert one('depth', wanted, wanted * 1.02).value == pytest.approx(0.02, rel=1e-3)
    assert math.isfinite(one('depth', wanted * 0, wanted).value)


@given(st.floats(0, math.pi), st.floats(0.1, 9))
def test_normals_are_an_angle(angle, length):
    wanted = np.zeros((1, 3, 2, 2))
    seen = wanted.copy()
    wanted[:, 0] = length
    seen[:, 0], seen[:, 1] = math.cos(angle), math.sin(angle)
    assert one('normals', wanted, seen).value == pytest.approx(math.degrees(angle), abs=1e-5)
    assert one('normals', wanted, np.zeros_like(seen)).value == 90


@given(arrays.arrays(np.float32, (1, 3, 4, 4), elements=st.floats(-5, 5, width=32)))
def test_nothing_is_off_by_itself(values):
    for task in TASKS.values():
        for name in task.kinds:
            kept = (values > 0).astype(np.uint8) if task.kind == 'classes' else values
            figure = one(name, kept, kept)
            assert figure.good
            assert figure.value == (1 if figure.measure.at_least else pytest.approx(0, abs=0.1))


@pytest.mark.parametrize('name', ['depth', 'normals', 'boundary', 'confidence', 'odd'])
@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_what_is_no_number_is_outside(name, bad):
    wanted = np.ones((1, 3, 4, 4), np.float32)
    seen = wanted.copy()
    seen[0, 0, 1, 1] = bad
    assert not one(name, wanted, seen).good
    assert not one(name, wanted, seen[..., :2]).good


def test_the_worst_picture_counts():
    good, bad = ({'boundary': np.full((1, 4, 4), value, np.float32)} for value in (0.5, 0.6))
    figures = compare([good] * 3, [good, bad, good], {})
    assert figures[0].value == pytest.approx(0.1)
    assert 'boundary off by 0.1000, want at most 0.0300' in trouble(figures)
    assert trouble(compare([good], [good], {})) == ''


def test_the_shipped_pictures_fit_any_network():
    pictures = shipped_pictures()
    assert 3 <= len(pictures) <= 4
    assert 'MIT' in (FOLDER / 'SOURCE.txt').read_text()
    assert all(path.stat().st_size < 40_000 for path in FOLDER.glob('*.jpg'))
    for image in Check().inputs((1, 3, 96, 160)):
        assert image.shape == (1, 3, 96, 160)
        assert image.dtype == np.float32
        assert image.flags.c_contiguous
        assert 0.3 < image.std() < 3


def test_pictures_are_fed_as_the_card_says():
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[..., 0] = 200   # blue
    image, = Check((10, 20, 30), (1, 2, 4), pictures=(picture,)).inputs((1, 3, 32, 32))
    assert image[0, :, 3, 3].tolist() == [-10, -10, (200 - 30) / 4]
