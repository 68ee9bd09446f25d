"""Latency against size, or against the number of cameras, as a picture."""

from collections.abc import Sequence
from pathlib import Path

from demt_perception.bench.results import BenchError, Measurement
from demt_perception.bench.table import growths, series
from demt_perception.training.plots.figure import COLORS, figure


def plot(path: str | Path, rows: Sequence[Measurement]) -> None:
    """Write a PNG file.

    Raises:
        BenchError: neither sizes nor numbers of cameras differ.
        ImportError: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    if len({row.combination.size for row in rows}) > 1:
        _against_size(path, rows)
    elif len({row.combination.cameras for row in rows}) > 1:
        _against_cameras(path, rows)
    else:
        raise BenchError('nothing to plot against: give several --size or --cameras')


def _against_size(path: str | Path, rows: Sequence[Measurement]) -> None:
    exponents = growths(rows)
    with figure(path) as axes:
        for color, (label, group) in zip(COLORS * len(rows), series(rows).items(), strict=False):
            group = sorted(group, key=_pixels)
            pixels = [_pixels(row) / 1e6 for row in group]
            note = f', pixels^{exponents[label]:.2f}' if label in exponents else ''
            axes.plot(pixels, [row.engine.median for row in group], 'o-', color=color,
                      label=f'{label}: engine{note}')
            axes.plot(pixels, [row.moment.median for row in group], 'o--', color=color,
                      label=f'{label}: all, to outputs', markerfacecolor='white')
        sizes = sorted({row.combination.size for row in rows}, key=lambda size: size[0] * size[1])
        axes.set_xscale('log')
        axes.set_yscale('log')
        axes.set_xticks([h * w / 1e6 for h, w in sizes], [f'{h}x{w}' for h, w in sizes],
                        rotation=30)
        axes.minorticks_off()
        axes.set_yticks(*_ticks(rows))
        axes.set_xlabel('size of the network input')
        axes.set_ylabel('milliseconds, median')
        axes.legend(frameon=False, fontsize=8)


def _against_cameras(path: str | Path, rows: Sequence[Measurement]) -> None:
    with figure(path) as axes:
        groups: dict[str, list[Measurement]] = {}
        for row in rows:
            way = row.combination
            groups.setdefault(f'{way.model} {way.engine} {way.precision}', []).append(row)
        for color, (label, group) in zip(COLORS * len(rows), groups.items(), strict=False):
            group = sorted(group, key=lambda row: row.combination.cameras)
            counts = [row.combination.cameras for row in group]
            axes.plot(counts, [row.engine.median for row in group], 'o-', color=color,
                      label=f'{label}: engine')
            axes.plot(counts, [row.moment.median for row in group], 'o--', color=color,
                      label=f'{label}: all, to outputs', markerfacecolor='white')
        axes.set_xticks(sorted({row.combination.cameras for row in rows}))
        axes.set_ylim(bottom=0)
        axes.set_xlabel('cameras, one after the other')
        axes.set_ylabel('milliseconds for all of them, median')
        axes.legend(frameon=False, fontsize=8)


def _pixels(row: Measurement) -> int:
    height, width = row.combination.size
    return height * width


def _ticks(rows: Sequence[Measurement]) -> tuple[list[float], list[str]]:
    """Return 1, 2, 5, 10, ... as far as the times go."""
    times = [value for row in rows for value in (row.engine.median, row.moment.median)]
    ticks = [base * 10.0 ** power for power in range(-3, 6) for base in (1, 2, 5)]
    within = [tick for tick in ticks if min(times) / 2 <= tick <= max(times) * 2]
    return within, [f'{tick:g}' for tick in within]
