"""What a dataset holds, task by task: coverage, known pixels, ranges and class shares."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
import textwrap

import numpy as np

from demt_perception.class_lists import HUMAN_PARTS
from demt_perception.tasks import Task, TASKS
from demt_perception.training.datasets.sample import IGNORE


@dataclass
class Totals:
    """Sums over one task's labels."""

    labels: int = 0
    pixels: int = 0
    known: int = 0
    low: float = float('inf')
    high: float = float('-inf')
    counts: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))


class Summary:
    """Sums over one split, for a table.

    Args:
        classes: names of the semantic classes.
        tasks: names of the tasks that the layout has.
    """

    def __init__(self, classes: tuple[str, ...], tasks: Iterable[str]):
        self.pictures = 0
        self.sizes: Counter[tuple[int, ...]] = Counter()
        self.totals = {name: Totals() for name in TASKS if name in tuple(tasks)}
        self.names = {'semseg': classes, 'human_parts': HUMAN_PARTS}

    def add_picture(self, size: tuple[int, ...] | None) -> None:
        """Count a picture of (height, width); None where it cannot be read."""
        self.pictures += 1
        if size:
            self.sizes[size] += 1

    def add_label(self, task: Task, label: np.ndarray) -> None:
        """Count a label in the convention of ``Sample``."""
        totals = self.totals[task.name]
        totals.labels += 1
        if label.dtype == np.uint8:
            counts = np.bincount(label.ravel(), minlength=256)
            totals.pixels += label.size
            totals.known += int(label.size - counts[IGNORE])
            totals.counts += counts
            values = np.flatnonzero(counts[:IGNORE])
        else:
            # Sky is known, and no number of metres.
            known = (label != 0).any(2) if label.ndim == 3 else ~np.isnan(label)
            totals.pixels += known.size
            totals.known += int(known.sum())
            values = label[known]
            values = values[np.isfinite(values)]
        if values.size:
            totals.low = min(totals.low, float(values.min()))
            totals.high = max(totals.high, float(values.max()))

    def lines(self) -> list[str]:
        """Return the table, and below it the share of every class."""
        sizes = ', '.join(f'{h}x{w} ({n})' for (h, w), n in self.sizes.most_common(3))
        more = f' and {len(self.sizes) - 3} more' if len(self.sizes) > 3 else ''
        out = [f'{self.pictures} pictures: {sizes or "none readable"}{more}',
               f'{"task":12} {"labels":>14} {"known pixels":>13}  values']
        for name, totals in self.totals.items():
            coverage = f'{totals.labels} ({totals.labels / max(self.pictures, 1):.0%})'
            known = f'{totals.known / max(totals.pixels, 1):.1%}'
            values = f'{totals.low:.4g} to {totals.high:.4g}' if totals.low <= totals.high else '-'
            unit = TASKS[name].unit if TASKS[name].kind in ('scalar', 'vector') else ''
            out.append(f'{name:12} {coverage:>14} {known:>13}  {values} {unit}'.rstrip())
        for name, totals in self.totals.items():
            if TASKS[name].kind in ('classes', 'probability') and totals.known:
                out += textwrap.wrap(f'{name}: {self._shares(name, totals)}', 99,
                                     subsequent_indent='  ')
        return out

    def _shares(self, name: str, totals: Totals) -> str:
        names = self.names.get(name, ('no', 'yes'))
        counts = totals.counts[:IGNORE]
        named = {i: names[i] if i < len(names) else f'id {i}'
                 for i in range(max(len(names), int(np.flatnonzero(counts)[-1]) + 1))}
        shown = ', '.join(f'{text} {counts[i] / totals.known:.1%}'
                          for i, text in named.items() if counts[i])
        never = ', '.join(text for i, text in named.items() if not counts[i])
        return f'{shown}; never: {never}' if never else shown
