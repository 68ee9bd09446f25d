"""How far tasks agree on which pixels belong together, as the pixels move apart.

Tasks that agree near by need not agree far away: a reason to let them exchange what they know at
every scale anew, as MTI-Net does. Two pixels are similar in a task if its labels
say so (``SIMILAR``); two tasks match on a pair that is similar in both, or in neither.
After the finding of MTI-Net's abstract, that tasks with a high affinity at one scale need not keep
it at others (Vandenhende et al., ECCV 2020), and the matching pairs, similar in both or in
neither, of Zhang et al., Pattern-Affinitive Propagation, CVPR 2019, figure 1. Thresholds,
dilations and neighbourhoods are our choice: neither text was at hand in full, so figures here
need not equal theirs.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from demt_perception.tasks import get_tasks, Task
from demt_perception.training.datasets.sample import IGNORE, labels_of, Sample

DEPTH_RATIO = 1.1  # depths that differ by less than a tenth of the nearer are similar
ANGLE = 15.0       # degrees; normals that differ by less are similar
DILATIONS = (1, 2, 4, 8, 16, 32, 64)

# Half of the eight neighbours: the other half would count every pair twice.
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))


def _equal(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return where ids are the same."""
    return a == b


def _near(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return where depths are similar; sky (infinite) is similar to sky only."""
    return np.asarray((a == b) | (np.maximum(a, b) < DEPTH_RATIO * np.minimum(a, b)))


def _parallel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return where unit normals are similar."""
    return np.asarray((a * b).sum(-1) > np.cos(np.radians(ANGLE)))


def _is_id(a: np.ndarray) -> np.ndarray:
    return a != IGNORE


def _is_depth(a: np.ndarray) -> np.ndarray:
    return np.asarray(~np.isnan(a))


def _is_normal(a: np.ndarray) -> np.ndarray:
    return np.asarray(a.any(-1))


Compare = Callable[[np.ndarray, np.ndarray], np.ndarray]
# By the kind of a task: which pixels have a label, and when two of them are similar.
KNOWN: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    'classes': _is_id, 'probability': _is_id, 'scalar': _is_depth, 'vector': _is_normal}
SIMILAR: dict[str, Compare] = {
    'classes': _equal, 'probability': _equal, 'scalar': _near, 'vector': _parallel}


@dataclass
class Affinity:
    """Counts of pairs of pixels; those of several machines or data sets add up.

    Attributes:
        tasks: names.
        dilations: distances in pixels, along rows and columns.
        counts: (dilations, tasks, tasks, 2, 2) int64: at [d, a, b, i, j] the pairs that are
            similar (i = 1) or not (i = 0) in task a, and j likewise in task b, among those
            labelled for both.
    """

    tasks: tuple[str, ...]
    dilations: tuple[int, ...]
    counts: np.ndarray

    def matching(self) -> np.ndarray:
        """Return (dilations, tasks, tasks): share of pairs alike in both; NaN without pairs."""
        return _share(self.counts[..., 0, 0] + self.counts[..., 1, 1], self.counts.sum((-1, -2)))

    def similar_given_similar(self) -> np.ndarray:
        """Return (dilations, tasks, tasks): of the pairs similar in a, those similar in b too."""
        return _share(self.counts[..., 1, 1], self.counts[..., 1, :].sum(-1))

    def __add__(self, other: 'Affinity') -> 'Affinity':
        """Return the counts of both.

        Raises:
            ValueError: tasks or dilations differ.
        """
        if (self.tasks, self.dilations) != (other.tasks, other.dilations):
            raise ValueError(f'counts of {self.tasks} at {self.dilations} and of {other.tasks} at '
                             f'{other.dilations} do not add up: want the same of both')
        return Affinity(self.tasks, self.dilations, self.counts + other.counts)


def measure_affinity(samples: Iterable[Sample], tasks: Sequence[str],
                     dilations: Sequence[int] = DILATIONS) -> Affinity:
    """Count over all samples how tasks agree on pairs of pixels.

    Every pixel is paired with its eight neighbours at each distance, each pair counted once. Two
    tasks are compared where both have labels at both pixels; a sample without one of them counts
    for the others. Labels are compared at the sample's own size.

    Args:
        samples: any dataset, or a part of it.
        tasks: names.
        dilations: distances in pixels, positive.

    Raises:
        ValueError: a task is unknown or a distance not positive.
    """
    names = tuple(task.name for task in get_tasks(tasks))
    if not dilations or min(dilations) < 1:
        raise ValueError(f'dilations {list(dilations)}: want at least one, all of 1 pixel or more')
    total = Affinity(names, tuple(dilations),
                     np.zeros((len(dilations), len(names), len(names), 2, 2), np.int64))
    for sample in samples:
        labels = [(names.index(task.name), task, label)
                  for task, label in labels_of(sample) if task.name in names]
        for counts, dilation in zip(total.counts, dilations, strict=True):
            for rows, columns in NEIGHBOURS:
                _count(counts, labels, rows * dilation, columns * dilation)
    return total


def _count(counts: np.ndarray, labels: list[tuple[int, Task, np.ndarray]], down: int,
           right: int) -> None:
    """Add to (tasks, tasks, 2, 2) the pairs of one sample at one offset."""
    maps = []
    for index, task, label in labels:
        a, b = _pairs(label, down, right)
        known = KNOWN[task.kind](a) & KNOWN[task.kind](b)
        maps.append((index, known, SIMILAR[task.kind](a, b)))
    for index, known, similar in maps:
        for other, other_known, other_similar in maps:
            use = known & other_known
            mine, both = use & similar, use & similar & other_similar
            n, n_a, n_b, n_ab = (int(np.count_nonzero(pairs)) for pairs in (
                use, mine, use & other_similar, both))
            counts[index, other] += np.array([[n - n_a - n_b + n_ab, n_b - n_ab],
                                              [n_a - n_ab, n_ab]])


def _pairs(label: np.ndarray, down: int, right: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels that have a partner at the offset, and their partners; down >= 0."""
    height, width = label.shape[:2]
    h, w = max(height - down, 0), max(width - abs(right), 0)
    left, partner = max(-right, 0), max(right, 0)
    return label[:h, left:left + w], label[down:down + h, partner:partner + w]


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole, NaN where whole is zero."""
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
