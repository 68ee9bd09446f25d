"""From a configuration to batches: which picture comes when, the same for any number of workers.

Item i of a run is always the same augmented picture, whoever loads it. That makes runs exact to
resume, and alike over one process or several.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
import hashlib
import json
import math
from pathlib import Path
import signal
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from demt_perception.networks.task_sets import resolve_tasks
from demt_perception.training.broken_items import collate, Told, whole
from demt_perception.training.class_names import check_classes
from demt_perception.training.config import ConfigError, Source, TrainConfig
from demt_perception.training.datasets import (
    detect_layout,
    LAYOUTS,
    list_split,
    Mixture,
    STRETCHED,
)
from demt_perception.training.datasets.files import FileDataset
from demt_perception.training.transforms import Driving, driving, PROTOCOLS
from demt_perception.training.transforms.photometry import MEAN, STD
from demt_perception.training.transforms.released import Protocol

Colour = tuple[float, float, float]


def open_source(source: Source, config: TrainConfig, tasks: Sequence[str]) -> FileDataset:
    """Return one dataset.

    Raises:
        ConfigError: layout or split do not exist.
        FileNotFoundError: the folder, or a picture that the split names, does not exist.
    """
    root = source.root or config.root
    if not root:
        raise ConfigError('no root: give root=DIR, the folder of the dataset')
    name = source.layout or detect_layout(root)
    if name not in LAYOUTS:
        raise ConfigError(f'layout {name!r} is unknown: want one of {", ".join(LAYOUTS)}')
    dataset = FileDataset(list_split(name, Path(root), source.split), tasks,
                          resize=name in STRETCHED)
    if source.people:
        dataset.keep_people()
    dataset.soft = 'semseg' in config.distill
    if dataset.soft and 'semseg' in source.label_maps and any(e.soft for e in dataset.entries):
        raise ConfigError(f'{root} has soft labels: want no label_maps of semseg for it, or no '
                          'distill.semseg')
    return dataset


def open_sources(sources: Sequence[Source], config: TrainConfig, tasks: Mapping[str, int],
                 names: Sequence[str] = ()) -> list[FileDataset]:
    """Return datasets that between them have a label for every task.

    Args:
        sources: of the configuration.
        config: for ``root``, and for ``classes``, as the user gave them.
        tasks: {task: channels} that need labels.
        names: of the run's classes, where its data have said them already.

    Raises:
        ConfigError: a task has no label anywhere, or classes are others than the network's.
        FileNotFoundError: see ``open_source``.
    """
    # The classes steer the crop of DeMT's protocol, and mark the sky of the driving one.
    wanted = tuple(dict.fromkeys((*tasks, 'semseg')))
    datasets = [open_source(source, config, wanted) for source in sources]
    roots = ', '.join(str(source.root or config.root) for source in sources)
    for task in tasks:
        if task == 'edge' and config.protocol == 'driving':
            continue  # drawn from the classes where there is no label
        if config.teacher and task in config.distill:
            continue  # learned from the teacher
        if not any(task in entry.labels for dataset in datasets for entry in dataset.entries):
            raise ConfigError(f'no picture of {roots} has a label for {task!r}: train without '
                              'this task, or run `demt data check` on the folder')
    taught = config.teacher and 'depth' in config.distill
    if config.protocol == 'driving' and 'depth' in tasks and not taught and not any(
            'depth' in entry.labels and (entry.camera or dataset.focal)
            for dataset in datasets for entry in dataset.entries):
        raise ConfigError(f'no picture of {roots} with depth has a focal length, which protocol '
                          'driving needs: give `focal` in dataset.yaml, or cameras/NAME.yaml')
    if 'semseg' in tasks:
        check_classes(sources, datasets, config, tasks['semseg'], names)
    return datasets


def digest(datasets: Sequence[FileDataset]) -> str:
    """Return the SHA-256 of the pictures' names, on which depends which of them comes when."""
    names = [dataset.names for dataset in datasets]
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()


def protocol_of(config: TrainConfig, weak: bool = True) -> Protocol:
    """Return the transform of a configuration; without its weak labels if they shall not count."""
    if config.protocol == 'driving':
        guessed = (config.sky, config.ground) if weak else ()
        settings = Driving(config.focal, config.far, config.mean, config.std, *guessed)
        if weak:
            classes = resolve_tasks(config.tasks).get('semseg', 0) if (
                'semseg' in config.distill) else 0
            settings = replace(settings, classes=classes, two_views=bool(config.agreement),
                               stretch=config.stretch)
        return partial(driving, settings=settings)
    return PROTOCOLS[config.protocol]


def sizes_of(config: TrainConfig) -> tuple[tuple[int, int], ...]:
    """Return every (height, width) that pictures are brought to."""
    return config.size, *config.more_sizes


class TrainingItems(Dataset):
    """Item i: picture and labels as tensors, drawn and augmented by seed and i alone.

    Raises:
        ConfigError: soft labels are to be learned from, and there are none.
    """

    def __init__(self, datasets: Sequence[FileDataset], config: TrainConfig,
                 tasks: Sequence[str], length: int):
        if 'semseg' in config.distill and not config.teacher and (
                config.protocol != 'driving'
                or not any(entry.soft for dataset in datasets for entry in dataset.entries)):
            raise ConfigError('distill.semseg without teacher: want soft labels, semseg_soft/ of '
                              '`demt label`, and protocol driving, which reads them')
        weights = [source.weight or len(dataset)
                   for source, dataset in zip(config.data, datasets, strict=True)]
        self.mixture = Mixture(datasets, weights, length, config.seed,
                               [source.label_maps for source in config.data])
        self.protocol, self.tasks = protocol_of(config), tuple(tasks)
        self.sizes, self.batch, self.seed = sizes_of(config), config.batch, config.seed

    def __len__(self) -> int:
        return len(self.mixture)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((self.seed, index))
        size = self.sizes[0]
        if len(self.sizes) > 1:  # one for all pictures of a step
            step = np.random.default_rng((self.seed, 1, index // self.batch))
            size = self.sizes[step.integers(len(self.sizes))]
        return self.protocol(self.mixture[index], size, self.tasks, rng)


class ValidationItems(Dataset):
    """Pictures and labels of one dataset in order, whole, at the size of the nearest shape."""

    def __init__(self, dataset: FileDataset, source: Source, config: TrainConfig,
                 tasks: Sequence[str]):
        self.samples = Mixture([dataset], [1.0], len(dataset), 0, [source.label_maps])
        self.samples.indices = np.arange(len(dataset))
        self.protocol = protocol_of(config, weak=False)
        self.sizes, self.tasks = sizes_of(config), tuple(tasks)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        sample = self.samples[index]
        height, width = sample.image.shape[:2]
        size = min(self.sizes, key=lambda size: abs(math.log(size[0] * width / size[1] / height)))
        return self.protocol(sample, size, self.tasks, None)


def training_loader(items: TrainingItems, config: TrainConfig, first: int, last: int, rank: int,
                    world: int) -> Iterator[dict[str, Tensor]]:
    """Return the batches of this process for steps ``first`` to ``last``.

    Every step's ``config.batch`` items are dealt to the processes in equal parts, and each part
    is cut into ``config.accumulate`` pieces, which come as batches of their own.

    Raises:
        ConfigError: the batch cannot be dealt equally.
        DatasetError: when it comes to it, a file is broken or missing.
    """
    parts = world * config.accumulate
    if config.batch % parts:
        raise ConfigError(f'batch {config.batch} cannot be dealt to {world} processes with '
                          f'accumulate {config.accumulate}: want a multiple of {parts}')
    piece = config.batch // parts
    order = [list(range(start, start + piece))
             for step in range(first, last) for start in range(
                 step * config.batch + rank * piece * config.accumulate,
                 step * config.batch + (rank + 1) * piece * config.accumulate, piece)]
    return whole(DataLoader(Told(items), batch_sampler=order, collate_fn=collate,
                            **_workers(config)))


def validation_loader(items: ValidationItems, config: TrainConfig, rank: int,
                      world: int) -> Iterator[dict[str, Tensor]]:
    """Return this process's share of the pictures, one by one: they may differ in size.

    Processes talk within a forward pass, so all get as many pictures: where they do not come out
    even, some get one more at the end, which is not to be counted (see ``share``).

    Raises:
        DatasetError: when it comes to it, a file is broken or missing.
    """
    length = -(-len(items) // world)
    order = [(rank + world * i) % len(items) for i in range(length)]
    return whole(DataLoader(Told(items), batch_size=1, sampler=order, collate_fn=collate,
                            **_workers(config)))


def _workers(config: TrainConfig) -> dict[str, Any]:
    if not config.workers:
        return {}
    # Python 3.14 no longer forks unless told; datasets cannot be pickled.
    # Batches wait in shared memory, of which a container has 64 MB unless told.
    return {'num_workers': config.workers, 'worker_init_fn': one_thread, 'prefetch_factor': 2,
            'multiprocessing_context': 'fork'}


def share(items: ValidationItems, rank: int, world: int) -> int:
    """Return how many pictures of ``validation_loader`` are this process's own."""
    return len(range(rank, len(items), world))


def one_thread(_: int) -> None:
    """Prepare a worker: one thread of OpenCV, not one for every core, and no end by SIGTERM.

    Schedulers send that to the whole group; the run needs its workers until the step is done.
    """
    import cv2
    cv2.setNumThreads(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def steps_of(config: TrainConfig, pictures: int) -> tuple[int, int]:
    """Return the number of steps of a run and of one epoch.

    An epoch drops what does not fill a batch, as the released loaders do.
    """
    epoch = max(1, pictures // config.batch)
    return config.iterations or config.epochs * epoch, epoch


def batches(loader: Iterable[dict[str, Tensor]],
            accumulate: int) -> Iterator[list[dict[str, Tensor]]]:
    """Yield the pieces of one step at a time."""
    pieces: list[dict[str, Tensor]] = []
    for piece in loader:
        pieces.append(piece)
        if len(pieces) == accumulate:
            yield pieces
            pieces = []


def normalisation(config: TrainConfig) -> tuple[Colour, Colour]:
    """Return mean and deviation, RGB of 0..255, that the protocol takes pictures by."""
    if config.protocol == 'driving':
        return config.mean, config.std
    (r, g, b), (dr, dg, db) = MEAN, STD
    return (255 * r, 255 * g, 255 * b), (255 * dr, 255 * dg, 255 * db)
