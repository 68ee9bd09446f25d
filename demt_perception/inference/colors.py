"""Colour tables of the pictures for people. All tables are uint8 1x256x3, RGB."""

from functools import cache

import cv2
import numpy as np

from demt_perception.class_lists import HUMAN_PARTS, voc_palette
from demt_perception.model_card import ModelCard

INVALID = 0
"""Index of ``depth_table`` for no valid depth: black."""


def class_table(card: ModelCard) -> np.ndarray:
    """Return the colour of every class id; ids without a class (255 is unlabelled) are black."""
    table = np.zeros((1, 256, 3), np.uint8)
    table[0, :len(card.palette)] = card.palette
    return table


@cache
def parts_table() -> np.ndarray:
    """Return the colour of every human part; the background is black."""
    table = np.zeros((1, 256, 3), np.uint8)
    table[0, :len(HUMAN_PARTS)] = voc_palette(len(HUMAN_PARTS))
    table.flags.writeable = False
    return table


@cache
def depth_table() -> np.ndarray:
    """Return colours for ``depth_index``: 1 (nearest) is warm, 255 (farthest) cool, 0 black."""
    ramp = np.arange(255, -1, -1, dtype=np.uint8)[None]
    table = cv2.cvtColor(cv2.applyColorMap(ramp, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    table[0, INVALID] = 0
    table.flags.writeable = False
    return table


def depth_index(depth: np.ndarray, depth_range: tuple[float, float]) -> np.ndarray:
    """Return the row of ``depth_table`` for metres, on a logarithmic scale; NaN is ``INVALID``.

    Logarithmic, so that equal ratios of distance differ equally in colour.
    """
    near, far = color_range(depth_range)
    position = np.log(depth / np.float32(near)) * np.float32(254 / np.log(far / near)) + 1
    return np.nan_to_num(np.clip(position, 1, 255), nan=INVALID).astype(np.uint8)


def color_range(depth_range: tuple[float, float]) -> tuple[float, float]:
    """Return the metres that have the first and the last colour; nearer ones share the first.

    A fiftieth of the farthest at least: else a street takes a third of the colours only.
    """
    near, far = depth_range
    return max(near, far / 50), far


def colorize(index: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return the HxWx3 colours of an HxW uint8 map."""
    return cv2.applyColorMap(index, table[0].reshape(256, 1, 3))
