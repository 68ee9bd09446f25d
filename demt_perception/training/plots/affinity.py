"""How far pairs of tasks agree as pixels move apart, in the manner of MTI-Net's figure."""

from itertools import combinations
from pathlib import Path

import numpy as np

from demt_perception.training.affinity import Affinity
from demt_perception.training.plots.figure import COLORS, figure

STYLES = ('-', '--', ':')


def plot_affinity(path: str | Path, affinity: Affinity) -> None:
    """Draw a line for each pair of tasks: the share of matching pairs of pixels by dilation.

    Args:
        path: of the PNG file.
        affinity: of two tasks or more.
    """
    matching = affinity.matching()
    with figure(path, 7.6, 4.6) as axes:
        for number, (a, b) in enumerate(combinations(range(len(affinity.tasks)), 2)):
            shares = matching[:, a, b]
            if np.isnan(shares).all():
                continue
            axes.plot(affinity.dilations, 100 * shares, marker='o', markersize=4, linewidth=1.8,
                      color=COLORS[number % len(COLORS)],
                      linestyle=STYLES[number // len(COLORS) % len(STYLES)],
                      label=f'{affinity.tasks[a]}, {affinity.tasks[b]}')
        axes.set_xscale('log', base=2)
        axes.set_xticks(affinity.dilations, [str(d) for d in affinity.dilations])
        axes.minorticks_off()
        axes.set(xlabel='dilation, pixels', ylabel='% of the pairs alike in both tasks, '
                 'or in neither')
        axes.grid(color='0.9')
        axes.legend(loc='center left', bbox_to_anchor=(1.01, 0.5), frameon=False)
