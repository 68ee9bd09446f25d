"""Any dataset as a small one in the plain folder layout: at training size, compressed."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from demt_perception.inference.preprocess import check_size
from demt_perception.tasks import Task
from demt_perception.training.checked import ConfigError
from demt_perception.training.datasets import (
    detect_layout,
    FileDataset,
    LAYOUTS,
    list_split,
    read_rgb,
    STRETCHED,
)
from demt_perception.training.datasets.output import refuse_overwriting, same_classes
from demt_perception.training.datasets.sample import change_labels, Sample
from demt_perception.training.datasets.writing import is_written, write_description, write_sample

SPARSE = ('scalar', 'vector')
"""Kinds that change slowly over a surface, and take the most room: kept at half the size."""


def pack(root: str | Path, out: str | Path, size: tuple[int, int], layout: str = '',
         split: str = '', every: int = 1, quality: int = 90) -> int:
    """Write a dataset anew, smaller; return the number of pictures. Again: continues.

    Pictures and ids come at ``size``, depth and normals at half of it; see ``writing`` for how
    they are stored. Splits keep their names.

    Args:
        root: of the dataset, in any layout.
        out: folder to write.
        size: (height, width).
        layout: of ``root``; '' finds it.
        split: to take; '' for all.
        every: take every n-th picture.
        quality: of the JPEGs.

    Raises:
        FileNotFoundError: the dataset is missing or empty.
        ConfigError: there is no such split, the size cannot be, or ``out`` holds what must not be
            written over: the dataset, another's, pictures of another size or other classes.
        ValueError: a file of it is broken.
        OSError: likewise, or one cannot be written.
    """
    from tqdm import tqdm

    root, out = Path(root), Path(out)
    name = layout or detect_layout(root)
    check_picture_size(size)
    written = 0
    for part in [split] if split else LAYOUTS[name].splits(root):
        listing = list_split(name, root, part)
        if not (listing.entries or split):
            continue  # of several splits one may well be empty
        dataset = FileDataset(listing, resize=name in STRETCHED)
        refuse_overwriting(out, dataset.entries)
        same_classes(out, dataset.classes)
        dataset.entries, dataset.soft = dataset.entries[::every], True
        before = next((each for each in dataset.names if is_written(out, each)), None)
        if before:  # the first will do: what was written before was written at one size
            _same_size(out / 'images' / f'{before}.jpg', size)
        write_description(out, dataset.classes, dataset.palette, source=f'{name} {part}'.strip())
        for index, entry in enumerate(tqdm(dataset.entries, f'packing {part}'.strip(), ncols=80,
                                           unit='picture')):
            if not is_written(out, entry.name):
                write_sample(out, shrunk(dataset[index], size), quality)
        if part:
            path = out / 'splits' / f'{part}.txt'
            path.parent.mkdir(exist_ok=True)
            path.write_text(''.join(f'{n}\n' for n in dataset.names), encoding='utf-8')
        written += len(dataset)
    if not written:
        raise FileNotFoundError(f'no picture in {root} ({name})')
    return written


def check_picture_size(size: tuple[int, int]) -> None:
    """Refuse a size that no picture can have, or that takes all memory.

    Raises:
        ConfigError: it is one.
    """
    try:
        check_size(*size, 'size')
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _same_size(path: Path, size: tuple[int, int]) -> None:
    height, width = read_rgb(path).shape[:2]
    if (height, width) != size:
        raise ConfigError(f'{path} is {height}x{width}, now {size[0]}x{size[1]} is wanted: give '
                          'another --out')


def shrunk(sample: Sample, size: tuple[int, int]) -> Sample:
    """Return the sample with its picture at a size, and its labels and focal length with it."""
    height, width = sample.image.shape[:2]
    shrinks = size[0] * size[1] < height * width
    image = cv2.resize(sample.image, size[::-1],
                       interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    focal = None if sample.focal is None else (
        sample.focal[0] * size[1] / width, sample.focal[1] * size[0] / height)

    def smaller(task: Task, label: np.ndarray) -> np.ndarray:
        if task.name == 'edge':  # one pixel wide: what lies between two picked ones counts
            thick = -(-height // size[0]), -(-width // size[1])
            label = cv2.dilate(label, np.ones(thick, np.uint8))
        parts = 2 if task.kind in SPARSE else 1
        return _picked(label, (size[0] // parts, size[1] // parts))

    return change_labels(replace(sample, image=image, focal=focal), smaller)


def _picked(label: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the label's pixels under the centres of a smaller map; nothing is mixed."""
    rows, columns = (((np.arange(n) + 0.5) * have / n).astype(np.int64)
                     for n, have in zip(size, label.shape, strict=False))
    picked: np.ndarray = label[rows][:, columns]
    return picked
