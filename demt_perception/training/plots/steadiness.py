"""Steadiness on a video: figures over time, and the frames that change most."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill

import cv2
import numpy as np

from demt_perception.inference import Predictions
from demt_perception.inference.resize import shrink
from demt_perception.inference.sheet import arrange
from demt_perception.training.evaluation.flicker import changed_classes, FIGURES
from demt_perception.training.evaluation.steadiness import Pair, Steadiness
from demt_perception.training.plots.figure import COLORS, figure

SHOWN = ('class_changes', 'depth_scaled', 'normals_deg', 'boundary')
CHANGED = (60, 60, 255)   # BGR
VIEWS = {'overlay': 'classes', 'depth_color': 'depth', 'normals_color': 'normals'}


def plot_steadiness(folder: Path, found: Mapping[str, Steadiness]) -> list[Path]:
    """Write each main figure over the frames, a line a model, dotted for noise alone.

    Raises:
        ImportError: matplotlib is not installed.
    """
    written = []
    for name in SHOWN:
        lines = {model: steadiness for model, steadiness in found.items()
                 if name in steadiness.frames}
        if not lines:
            continue
        path = folder / f'steadiness_{name}.png'
        with figure(path, width=8) as axes:
            for color, (model, steadiness) in zip(COLORS * len(lines), lines.items(),
                                                  strict=False):
                values = steadiness.frames[name]
                axes.plot(range(1, len(values) + 1), values, color=color, linewidth=1.4,
                          label=f'{model}: mean {steadiness.figures()["video"][name]:.3g}')
                axes.plot(steadiness.noise[name], color=color, linewidth=1, linestyle=':',
                          label=f'{model}, noise: '
                          f'{steadiness.figures()["noise"][name]:.3g}')
            axes.set(xlabel='frame', ylabel=fill(FIGURES[name], 36))
            axes.set_ylim(bottom=0)
            axes.legend(framealpha=0.9)
        written.append(path)
    return written


def worst_frames(steadiness: Steadiness) -> np.ndarray:
    """Return a sheet, uint8 HxWx3 BGR: a row of picture, before and now for each worst pair."""
    views: dict[str, np.ndarray] = {}
    captions: dict[str, str] = {}
    for pair in steadiness.worst:
        for number, (caption, view) in enumerate(_panels(pair)):
            name = f'{pair.place} {number}'
            views[name], captions[name] = view, caption
    card = steadiness.worst[0].now.card
    return arrange(views, card, captions, columns=len(views) // len(steadiness.worst))


def _panels(pair: Pair) -> list[tuple[str, np.ndarray]]:
    now = pair.now
    camera = shrink(now.image, now.size)
    if hasattr(now, 'semantic'):
        camera = camera.copy()
        camera[changed_classes(pair.before.semantic, now.semantic, pair.motion)] = CHANGED
    panels = [(f'frame {pair.place}: {100 * pair.change:.1f} %, red', camera)]
    # Of what there is, the first two: more would be too wide to look at.
    for name in [name for name in VIEWS if hasattr(now, name)][:2]:
        panels += [(f'{VIEWS[name]} {when}', _bgr(predictions, name))
                   for when, predictions in (('before', pair.before), ('now', now))]
    return panels


def _bgr(predictions: Predictions, name: str) -> np.ndarray:
    return cv2.cvtColor(getattr(predictions, name), cv2.COLOR_RGB2BGR)
