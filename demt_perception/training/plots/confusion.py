"""Which class is taken for which."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from demt_perception.training.plots.figure import figure

MOST_WITH_NUMBERS = 21   # classes; more squares are too small for text


def plot_confusion(path: str | Path, counts: np.ndarray, names: Sequence[str]) -> None:
    """Draw the confusion matrix, each row as shares of the pixels labelled so.

    Args:
        path: of the PNG file.
        counts: (classes, classes) pixels; rows are labels, columns predictions.
        names: of the classes.
    """
    total = counts.sum(1, keepdims=True)
    shares = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
    side = 2.4 + min(0.42 * len(names), 11)
    with figure(path, side + 0.9, side) as axes:
        picture = axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
        axes.figure.colorbar(picture, ax=axes, shrink=0.8, label='share of the labelled pixels')
        small = 9 if len(names) <= MOST_WITH_NUMBERS else 7
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=small)
        axes.set_yticks(range(len(names)), names, fontsize=small)
        axes.set(xlabel='predicted', ylabel='labelled')
        if len(names) > MOST_WITH_NUMBERS:
            return
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.005:
                axes.text(column, row, f'{share:.2f}'.lstrip('0'), ha='center', va='center',
                          fontsize=7, color='white' if share > 0.5 else '0.2')
