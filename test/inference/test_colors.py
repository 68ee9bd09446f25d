"""Colour tables and what they make of maps, against their definitions."""

import cv2
import numpy as np
import pytest

from demt_perception.class_lists import voc_palette
from demt_perception.inference import colors
from demt_perception.model_card import load_card


def test_depth_is_coloured_in_equal_steps_of_ratio():
    """Row 1 is the nearest, 255 the farthest, 128 their geometric mean; NaN is row 0."""
    near, far = 2.0, 50.0
    depth = np.float32([[0.1, near, (near * far) ** 0.5, far, 1e9, np.nan]])
    np.testing.assert_array_equal(
        colors.depth_index(depth, (near, far)), [[1, 1, 128, 255, 255, 0]])
    steps = np.float32([[near * (far / near) ** ((row - 0.5) / 254) for row in range(1, 255)]])
    np.testing.assert_array_equal(colors.depth_index(steps, (near, far)), [range(1, 255)])
    # The first colour goes to a fiftieth of the farthest at least.
    assert colors.color_range((0.5, 100.0)) == (2.0, 100.0)
    assert colors.color_range((3.0, 100.0)) == (3.0, 100.0)
    np.testing.assert_array_equal(
        colors.depth_index(np.float32([[0.5, 2, 100]]), (0.5, 100.0)), [[1, 1, 255]])


def test_the_table_of_depth_is_turbo_backwards():
    table = colors.depth_table()
    ramp = np.arange(256, dtype=np.uint8)[None]
    turbo = cv2.applyColorMap(ramp, cv2.COLORMAP_TURBO)[0, :, ::-1]   # of BGR
    assert table.shape == (1, 256, 3)
    np.testing.assert_array_equal(table[0, 1:], turbo[254::-1])
    np.testing.assert_array_equal(table[0, 0], [0, 0, 0])


def test_parts_have_the_colours_of_voc_and_tables_cannot_be_changed():
    table = colors.parts_table()
    assert (table.shape, table.dtype) == ((1, 256, 3), np.uint8)
    np.testing.assert_array_equal(table[0, :7], voc_palette(7))
    assert (table[0, 7:] == 0).all()
    for shared in (table, colors.depth_table()):
        with pytest.raises(ValueError, match='read-only'):
            shared[0, 1] = 5


def test_every_id_has_the_colour_of_its_row():
    table = np.random.default_rng(0).integers(0, 256, (1, 256, 3), np.uint8)
    ids = np.arange(256, dtype=np.uint8).reshape(8, 32)
    np.testing.assert_array_equal(colors.colorize(ids, table), table[0].reshape(8, 32, 3))


def test_the_table_of_classes_has_a_row_for_every_id(tiny_model):
    table = colors.class_table(load_card(tiny_model))
    assert (table.shape, table.dtype) == ((1, 256, 3), np.uint8)
    assert table[0, :3].tolist() == [[200, 30, 30], [30, 180, 30], [40, 40, 220]]
    assert (table[0, 3:] == 0).all()
