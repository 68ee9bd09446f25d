"""Several datasets as one, drawn by weight, their ids brought to one list of classes."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from demt_perception.tasks import Task
from demt_perception.training.datasets.sample import change_labels, IGNORE, Sample

LabelMaps = Mapping[str, Mapping[int, int]]
"""{task: {id in the dataset: id in the mixture}}; ids that are not listed become ignored."""


class Samples(Protocol):
    """Anything that gives samples by index."""

    def __len__(self) -> int:
        """Return the number of samples."""
        ...

    def __getitem__(self, index: int) -> Sample:
        """Return one sample."""
        ...


class Mixture:
    """A seeded mixture: item i is always the same sample of the same dataset.

    Which dataset an item comes from is drawn by weight. Within a dataset the samples come in a
    random order, all of them once before any comes again.

    Args:
        datasets: to mix.
        weights: of each, positive; need not sum to 1.
        length: number of items.
        seed: of both drawings.
        label_maps: of each dataset, {} where its ids are already those of the mixture.

    Raises:
        ValueError: the lists differ in length, or a weight or an id is impossible.
    """

    def __init__(self, datasets: Sequence[Samples], weights: Sequence[float], length: int,
                 seed: int = 0, label_maps: Sequence[LabelMaps] | None = None):
        maps = [{}] * len(datasets) if label_maps is None else label_maps
        if not len(datasets) == len(weights) == len(maps) or not datasets:
            raise ValueError(f'{len(datasets)} datasets, {len(weights)} weights, {len(maps)} '
                             'label maps: want one of each for every dataset')
        share = np.asarray(weights, np.float64)
        if not ((share > 0) & np.isfinite(share)).all():
            raise ValueError(f'weights {list(weights)}: want positive numbers')
        self.datasets = list(datasets)
        self.tables = [{task: _table(task, ids) for task, ids in m.items()} for m in maps]
        rng = np.random.default_rng(seed)
        self.sources = rng.choice(len(datasets), length, p=share / share.sum())
        self.indices = np.zeros(length, np.int64)
        for number, dataset in enumerate(datasets):
            mine = np.flatnonzero(self.sources == number)
            if not len(dataset):
                raise ValueError(f'dataset {number} of the mixture is empty')
            rounds = -(-len(mine) // len(dataset))
            order = [rng.permutation(len(dataset)) for _ in range(rounds)]
            self.indices[mine] = np.concatenate([np.zeros(0, np.int64), *order])[:len(mine)]

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> Sample:
        source = self.sources[index]
        sample = self.datasets[source][int(self.indices[index])]
        tables = self.tables[source]

        def change(task: Task, label: np.ndarray) -> np.ndarray:
            return tables[task.name][label] if task.name in tables else label

        return change_labels(sample, change)


def _table(task: str, ids: Mapping[int, int]) -> np.ndarray:
    table = np.full(256, IGNORE, np.uint8)
    for old, new in ids.items():
        if not (0 <= old <= 255 and 0 <= new <= 255):
            raise ValueError(f'label map of {task}: {old} to {new}: want ids 0..255')
        table[old] = new
    return table
