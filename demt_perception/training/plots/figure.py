"""The one place that imports matplotlib: a figure that ends as a file."""

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
from typing import Any

COLORS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000')
"""Okabe and Ito's, which the colour-blind can tell apart."""


@contextmanager
def figure(path: str | Path, width: float = 6.4, height: float = 4.4) -> Iterator[Any]:
    """Give matplotlib axes to draw on, then write them to a PNG file, whole or not at all.

    Args:
        path: of the file; its folder is made.
        width: inches, at 130 dots each.
        height: the same.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    try:
        # Not pyplot: it would look for a screen, and keep every figure.
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('plots need matplotlib: pip install matplotlib') from error
    canvas = Figure(figsize=(width, height), dpi=130, layout='constrained')
    axes = canvas.add_subplot()
    axes.spines[['top', 'right']].set_visible(False)
    yield axes
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + '.part')
    canvas.savefig(part, format='png')
    os.replace(part, path)
