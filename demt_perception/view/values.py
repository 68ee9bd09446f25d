"""What one pixel says, as text for people."""

from collections.abc import Callable, Sequence
import math
from typing import Any

import numpy as np

from demt_perception.view.topics import COLORED_VECTOR, Topic

UNLABELLED = 255


def pixel_text(topic: Topic, pixels: np.ndarray, u: float, v: float,
               names: Sequence[str]) -> dict[str, Any]:
    """Return name, text and, of a class, id at a place of a picture.

    Args:
        topic: says what the values mean.
        pixels: HxW values, or HxWx3 RGB.
        u: place as a share of the width, from the left, 0 to 1.
        v: place as a share of the height, from the top, 0 to 1.
        names: of the classes by id.
    """
    height, width = pixels.shape[:2]
    value = pixels[min(int(v * height), height - 1), min(int(u * width), width - 1)]
    return {'title': topic.title, **_KINDS[topic.kind](value, names)}


def _class(value: Any, names: Sequence[str]) -> dict[str, Any]:
    index = int(value)
    if index == UNLABELLED:
        return {'text': 'unlabelled', 'id': index}
    name = names[index] if index < len(names) else f'class {index}'
    return {'text': name, 'id': index}


def _metres(value: Any, names: Sequence[str]) -> dict[str, Any]:
    metres = float(value)
    return {'text': f'{metres:.2f} m' if math.isfinite(metres) else 'none'}


def _vector(value: Any, names: Sequence[str]) -> dict[str, Any]:
    x, y, z = (float(part) / 127.5 - 1 for part in value)
    length = math.sqrt(x * x + y * y + z * z)
    if length < 0.5:   # grey: no surface
        return {'text': 'none'}
    # Where two surfaces meet, colours are mixed, and the vector is short.
    x, y, z = x / length, y / length, z / length
    up = math.degrees(math.acos(max(-1.0, min(1.0, -y))))
    text = ' '.join(f'{round(part, 2) + 0.0:+.2f}' for part in (x, y, z))   # no -0.00
    return {'text': text, 'more': f'{up:.0f}° from straight up'}


def _share(value: Any, names: Sequence[str]) -> dict[str, Any]:
    return {'text': f'{int(value) / 255:.0%}'}


_KINDS: dict[str, Callable[[Any, Sequence[str]], dict[str, Any]]] = {
    'classes': _class, 'scalar': _metres, COLORED_VECTOR: _vector, 'probability': _share}
