import math

from hypothesis import given, settings, strategies
import numpy as np
import pytest

from demt_perception.view.topics import COLORED_VECTOR, Topic
from demt_perception.view.values import pixel_text

NAMES = ('road', 'car')


def text(kind, value, dtype):
    pixels = np.asarray(value, dtype).reshape(1, 1, *np.shape(value))
    return pixel_text(Topic('/t', 'T', kind=kind), pixels, 0.5, 0.5, NAMES)


@pytest.mark.parametrize(('kind', 'dtype', 'value', 'wanted'), [
    ('classes', np.uint8, 1, 'car'), ('classes', np.uint8, 7, 'class 7'),
    ('classes', np.uint8, 255, 'unlabelled'),
    ('scalar', np.float32, 3.14159, '3.14 m'), ('scalar', np.float32, np.nan, 'none'),
    ('scalar', np.float32, np.inf, 'none'),
    ('probability', np.uint8, 255, '100%'), ('probability', np.uint8, 0, '0%'),
    (COLORED_VECTOR, np.uint8, (128, 0, 127), '+0.00 -1.00 +0.00'),
    (COLORED_VECTOR, np.uint8, (127, 127, 127), 'none')])
def test_a_value_is_said_in_words(kind, dtype, value, wanted):
    assert text(kind, value, dtype)['text'] == wanted


@settings(deadline=None)
@given(strategies.tuples(*[strategies.floats(-1, 1)] * 3).filter(
    lambda vector: math.hypot(*vector) > 0.1))
def test_a_normal_is_read_back_from_its_colour(vector):
    length = math.hypot(*vector)
    unit = [part / length for part in vector]
    color = [round((part + 1) * 127.5) for part in unit]
    said = text(COLORED_VECTOR, color, np.uint8)
    assert [float(part) for part in said['text'].split()] == pytest.approx(unit, abs=0.013)
    up = math.degrees(math.acos(max(-1, min(1, -unit[1]))))
    # Near straight up and down an angle moves much while its cosine hardly does.
    assert float(said['more'].split('°')[0]) == pytest.approx(up, abs=8)


@settings(deadline=None)
@given(strategies.integers(1, 40), strategies.integers(1, 40), strategies.floats(0, 1),
       strategies.floats(0, 1))
def test_every_place_is_a_pixel_of_the_picture(height, width, u, v):
    rows, columns = np.mgrid[:height, :width]
    said = pixel_text(Topic('/t', 'T', kind='scalar'), (rows * 100 + columns).astype(np.float32),
                      u, v, ())
    row, column = divmod(round(float(said['text'].split()[0])), 100)
    assert abs((row + 0.5) / height - v) <= 0.5 / height + 1e-9
    assert abs((column + 0.5) / width - u) <= 0.5 / width + 1e-9
