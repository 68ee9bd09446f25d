"""How far a model's own opinion of its predictions is right."""

from pathlib import Path

import numpy as np

from demt_perception.training.metrics import CalibrationError, SparsificationError
from demt_perception.training.plots.figure import COLORS, figure


def plot_reliability(path: str | Path, metric: CalibrationError) -> None:
    """Draw the share of right pixels by confidence, and below how many pixels there are."""
    with figure(path, 5.2, 5) as axes:
        share, confidence, right = metric.bins().T
        shown = share > 0
        axes.plot([0, 1], [0, 1], color='0.6', linewidth=1, label='as sure as right')
        axes.bar((np.arange(len(share)) + 0.5) / len(share), share, 1 / len(share), color='0.85',
                 label='share of the pixels')
        axes.plot(confidence[shown], right[shown], 'o-', color=COLORS[0], linewidth=2,
                  label=f'share that is right, ECE {metric.main:.3f}')
        axes.set(xlabel='confidence', ylabel='share', xlim=(0, 1), ylim=(0, 1.005),
                 aspect='equal')
        axes.legend(loc='upper left', framealpha=0.95)


def plot_sparsification(path: str | Path, metric: SparsificationError) -> None:
    """Draw the mean error of what is left when the least sure pixels are left out."""
    with figure(path) as axes:
        left_out, sparse, oracle = metric.curves()
        figures = metric.summary()
        axes.plot(left_out, sparse, color=COLORS[0], linewidth=2,
                  label='the least sure first, as the model says')
        axes.plot(left_out, oracle, color=COLORS[1], linewidth=2, label='the worst first')
        axes.axhline(figures['error_m'], color='0.6', linewidth=1, label='any first')
        axes.fill_between(left_out, oracle, sparse, color=COLORS[0], alpha=0.12,
                          label=f'AUSE {figures["ause_m"]:.2f} m')
        axes.set(xlabel='share of the pixels left out', ylabel='mean depth error of the rest, m',
                 xlim=(0, 1), ylim=(0, None))
        axes.legend()
