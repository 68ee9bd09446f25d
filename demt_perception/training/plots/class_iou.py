"""How well each class is found."""

from collections.abc import Mapping
import math
from pathlib import Path

from demt_perception.training.plots.figure import COLORS, figure


def plot_class_iou(path: str | Path, ious: Mapping[str, float], mean: float) -> None:
    """Draw a bar for each class, best first, and the mean.

    Args:
        path: of the PNG file.
        ious: {class: IoU}, NaN for one that never occurs.
        mean: their mean.
    """
    order = sorted(ious, key=lambda name: -1 if math.isnan(ious[name]) else ious[name])
    values = [0 if math.isnan(ious[name]) else ious[name] for name in order]
    texts = ['never occurs' if math.isnan(ious[name]) else f'{ious[name]:.3f}' for name in order]
    with figure(path, 6.4, 1.3 + 0.27 * len(order)) as axes:
        bars = axes.barh(order, values, color=COLORS[5], height=0.75)
        axes.bar_label(bars, texts, padding=3, fontsize=8)
        axes.axvline(mean, color=COLORS[1], linewidth=1.5, label=f'mean {mean:.3f}')
        axes.set(xlabel='intersection over union', xlim=(0, 1.08))
        axes.set_ylim(-0.6, len(order) - 0.4)
        axes.legend(loc='lower right')
