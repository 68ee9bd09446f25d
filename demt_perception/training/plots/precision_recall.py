"""Precision against recall over all thresholds, for boundaries and saliency."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from demt_perception.training.metrics import Metric
from demt_perception.training.plots.figure import COLORS, figure


def plot_precision_recall(path: str | Path, metrics: Mapping[str, Metric]) -> None:
    """Draw a curve for each task, with its best threshold marked.

    Args:
        path: of the PNG file.
        metrics: {task: metric of boundaries or of pooled saliency}, whose ``counts`` are hits,
            found and true pixels of each threshold.
    """
    with figure(path, 5.2, 5) as axes:
        levels = np.linspace(0.005, 1, 200)
        recall, precision = np.meshgrid(levels, levels)
        lines = axes.contour(recall, precision, 2 * recall * precision / (recall + precision),
                             np.arange(0.1, 1, 0.1), colors='0.82', linewidths=0.7)
        axes.clabel(lines, fmt='F %.1f', fontsize=7, colors='0.55')
        for color, (task, metric) in zip(COLORS, metrics.items(), strict=False):
            hits, found, true = metric.sums['counts'].T
            shown = found > 0
            curve = hits / np.maximum(true, 1), hits / np.maximum(found, 1)
            best = metric.summary()
            axes.plot(curve[0][shown], curve[1][shown], color=color, linewidth=2,
                      label=f'{task}: {metric.MAIN} {metric.main:.3f} at {best["threshold"]:.2f}')
            axes.plot(best['recall'], best['precision'], 'o', color=color, markersize=7)
        axes.set(xlabel='recall', ylabel='precision', xlim=(0, 1), ylim=(0, 1.005), aspect='equal')
        axes.legend(loc='lower left', framealpha=0.95)
