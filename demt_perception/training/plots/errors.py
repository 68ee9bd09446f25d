"""How errors are distributed: of depth, and of normals."""

from pathlib import Path

import numpy as np

from demt_perception.training.plots.figure import COLORS, figure


def plot_depth_errors(path: str | Path, counts: np.ndarray, width: float) -> None:
    """Draw the distribution of relative depth errors.

    Args:
        path: of the PNG file.
        counts: pixels by relative error; the last takes everything beyond.
        width: of a bin.
    """
    _plot(path, counts, width, 'absolute depth error / true depth; last bar: all beyond',
          (0.05, 0.1, 0.25), '{:g}')


def plot_normal_errors(path: str | Path, counts: np.ndarray, width: float) -> None:
    """Draw the distribution of angles between normals.

    Args:
        path: of the PNG file.
        counts: pixels by angle.
        width: of a bin, degrees.
    """
    # As fine as counted, the curve would be noise.
    step = max(1, round(1 / width))
    padded = np.append(counts, np.zeros(-len(counts) % step, counts.dtype))
    _plot(path, padded.reshape(-1, step).sum(1), width * step, 'angle to the true normal, degrees',
          (11.25, 22.5, 30), '{:g}°')


def _plot(path: str | Path, counts: np.ndarray, width: float, label: str,
          marks: tuple[float, ...], text: str) -> None:
    """Draw a histogram, its running sum, and the share below each mark."""
    shares = counts / max(counts.sum(), 1)
    edges = width * np.arange(len(counts) + 1)
    running = np.append(0, np.cumsum(shares))
    with figure(path) as axes:
        axes.stairs(100 * shares, edges, fill=True, color=COLORS[5])
        axes.set(xlabel=label, ylabel=f'% of the pixels in each {width:g}', xlim=(0, edges[-1]))
        right = axes.twinx()
        right.plot(edges, 100 * running, color=COLORS[0], linewidth=1.8)
        right.set(ylabel='% of the pixels below', ylim=(0, 101))
        right.spines['top'].set_visible(False)
        right.yaxis.label.set_color(COLORS[0])
        for mark in marks:
            share = 100 * float(np.interp(mark, edges, running))
            right.plot([mark, mark], [0, share], color=COLORS[1], linewidth=1, linestyle=':')
            right.plot(mark, share, 'o', color=COLORS[1], markersize=4)
            # A line of text beside the marker would cross the curve.
            right.plot([], [], ' ', label=f'{share:.1f} % below {text.format(mark)}')
        right.legend(loc='center right', handlelength=0, handletextpad=0, framealpha=0.95)
