"""How fast one core loads training pictures, and what takes the time."""

from collections.abc import Sequence
import time

import cv2
import numpy as np
from torch.utils.data import default_collate

from demt_perception.training.config import Source, TrainConfig
from demt_perception.training.loading import open_source, protocol_of
from demt_perception.training.packing import check_picture_size

BATCH = 4


def time_loading(source: Source, tasks: Sequence[str], protocol: str, size: tuple[int, int],
                 count: int = 100) -> dict[str, float]:
    """Return the processor seconds that each stage takes for one picture.

    Args:
        source: dataset; its files are read once before, so that the disk does not count.
        tasks: labels to load; those that the dataset lacks come as unknown.
        protocol: of the augmentation, see ``TrainConfig``.
        size: (height, width) that the network gets.
        count: pictures to load, over and over where there are fewer.

    Returns:
        reading: files to arrays; augmenting: to the tensors of one picture; batching.

    Raises:
        ConfigError: layout or split do not exist, or the size cannot be.
        TaskError: a task is unknown.
        FileNotFoundError: there is no such folder, or no picture in it.
    """
    check_picture_size(size)
    config = TrainConfig(model='multi_task', tasks=dict.fromkeys(tasks, 1), data=[source],
                         out='', iterations=1, protocol=protocol, size=size)
    dataset = open_source(source, config, tasks)
    change, rng = protocol_of(config), np.random.default_rng(0)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)
    try:
        for index in range(min(count, len(dataset))):
            change(dataset[index], size, tasks, rng)
        seconds = dict.fromkeys(('reading', 'augmenting', 'batching'), 0.0)
        for first in range(0, count, BATCH):
            items = []
            for index in range(first, min(first + BATCH, count)):
                start = time.process_time()
                sample = dataset[index % len(dataset)]
                middle = time.process_time()
                items.append(change(sample, size, tasks, rng))
                seconds['reading'] += middle - start
                seconds['augmenting'] += time.process_time() - middle
            start = time.process_time()
            default_collate(items)
            seconds['batching'] += time.process_time() - start
    finally:
        cv2.setNumThreads(threads)
    return {stage: value / count for stage, value in seconds.items()}
