"""A dataset as a list of files: which picture has which label files, and reading them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
import os
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from demt_perception.tasks import get_tasks, TASKS
from demt_perception.training.datasets import soft
from demt_perception.training.datasets.formats import Format
from demt_perception.training.datasets.reading import DatasetError, read_rgb, read_yaml, SUFFIXES
from demt_perception.training.datasets.sample import IGNORE, Sample

Places = dict[str, tuple[tuple[str, ...], ...]]
"""{task: alternatives}; one is the patterns of all files that it needs, ``{}`` is the name."""


class Problem(NamedTuple):
    """Something wrong with a file of a dataset."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Entry:
    """One picture: its name, its file, {task: its label files}, its camera and soft labels."""

    name: str
    image: Path
    labels: dict[str, tuple[Path, ...]]
    camera: Path | None = None
    soft: Path | None = None


@dataclass
class Listing:
    """What a folder holds according to its layout, found without opening a picture.

    Attributes:
        root: the dataset's folder.
        entries: the pictures that exist.
        formats: {task: how its labels are stored}.
        classes: names of the semantic classes.
        absent: pictures that a split names and that do not exist.
        problems: everything else wrong: missing labels, stems used twice, empty splits.
        faults: of the description, without which labels could be taken for others.
        palette: colours of the classes, empty where the dataset does not say.
        focal: of every picture without a camera file, in pixels.
        stretched: labels may be smaller than their pictures.
        read: of an entry's ``image``, the picture, (H, W, 3) uint8 RGB.
    """

    root: Path
    entries: list[Entry]
    formats: dict[str, Format]
    classes: tuple[str, ...]
    absent: list[Problem] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    faults: list[Problem] = field(default_factory=list)
    palette: tuple[tuple[int, int, int], ...] = ()
    focal: tuple[float, float] | None = None
    stretched: bool = False
    read: Callable[[Path], np.ndarray] = read_rgb


class FileDataset:
    """Samples read from the files of a listing.

    Args:
        listing: of one of the layouts.
        tasks: names of the labels to read; None: all.
        resize: bring labels of another size to the picture's (the public archives have some);
            otherwise they are an error.

    Attributes:
        soft: read soft labels, too, where there are any; False at first.

    Raises:
        DatasetError: the description is wrong, so that labels could be taken for others.
        FileNotFoundError: there is no picture, or one that a split names is missing.
    """

    def __init__(self, listing: Listing, tasks: Iterable[str] | None = None, resize: bool = False):
        if listing.faults:
            path, reason = listing.faults[0]
            raise DatasetError(f'{reason if str(path) in reason else f"{path}: {reason}"}; run '
                               '`demt data check` on the folder')
        if listing.absent:
            path, reason = listing.absent[0]
            raise FileNotFoundError(f'{path}: {reason} ({len(listing.absent)} such pictures); '
                                    'run `demt data check` on the folder')
        if not listing.entries:
            reasons = '; '.join(f'{p}: {r}' for p, r in listing.problems[:1])
            raise FileNotFoundError(f'no pictures in {listing.root} {reasons}'.rstrip())
        self.entries, self.formats = listing.entries, listing.formats
        self.classes, self.palette = listing.classes, listing.palette
        self.focal = listing.focal
        self.tasks = tuple(TASKS if tasks is None else (t.name for t in get_tasks(tasks)))
        self.resize = resize or listing.stretched
        self.interpolation = cv2.INTER_NEAREST if listing.stretched else cv2.INTER_CUBIC
        self.read, self.soft = listing.read, False

    @property
    def names(self) -> list[str]:
        """Names of the pictures, in order."""
        return [entry.name for entry in self.entries]

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Sample:
        entry = self.entries[index]
        image = self.read(entry.image)
        labels = {task: self._read(task, entry.labels[task], image.shape[:2])
                  for task in self.tasks if task in entry.labels}
        focal = self.focal if entry.camera is None else read_focal(entry.camera)
        likely = soft.read(entry.soft, len(self.classes)) if self.soft and entry.soft else None
        return Sample(image, **labels, focal=focal, name=entry.name, soft=likely)

    def keep_people(self) -> None:
        """Keep only pictures with human parts, as the released code when it trains these alone.

        Reads every label of them once.

        Raises:
            FileNotFoundError: there are none.
        """
        self.entries = [entry for entry in self.entries if 'human_parts' in entry.labels
                        and self._has_parts(entry.labels['human_parts'])]
        if not self.entries:
            raise FileNotFoundError('no picture has human parts: leave out `people`')

    def _has_parts(self, paths: tuple[Path, ...]) -> bool:
        form = self.formats['human_parts']
        parts = form.decode(form.load(*paths))
        return bool(((parts != 0) & (parts != IGNORE)).any())

    def _read(self, task: str, paths: tuple[Path, ...], size: tuple[int, ...]) -> np.ndarray:
        form = self.formats[task]
        raw = form.load(*paths)
        try:
            label = form.decode(raw)
        except ValueError as error:
            raise DatasetError(f'{paths[0]}: {error}') from error
        if label.shape[:2] == size:
            return label
        if not self.resize:
            raise DatasetError(f'{paths[0]} is {_size(label.shape)}: want the '
                             f'{_size(size)} of its picture')
        # As MTL-PyTorch: the few archive labels of another size are stretched.
        vector = TASKS[task].kind == 'vector'
        return cv2.resize(label, (size[1], size[0]),
                          interpolation=self.interpolation if vector else cv2.INTER_NEAREST)


def iterate(dataset: FileDataset) -> Iterator[Sample]:
    """Yield every sample once, in order."""
    for index in range(len(dataset)):
        yield dataset[index]


def list_entries(listing: Listing, names: list[str] | None, images: str, places: Places,
                 partial: Iterable[str] = (), cameras: str = '') -> Listing:
    """Fill a listing with the files of each name.

    Args:
        listing: with everything but entries, absent and problems.
        names: of the split; None: every picture there is.
        images: folder of the pictures, below the root.
        places: where label files lie, below the root.
        partial: tasks whose labels may be missing without being reported.
        cameras: folder of camera files, '' for none.
    """
    root, folder = listing.root, listing.root / images
    found = pictures(folder)
    for name, paths in found.items():
        if len(paths) > 1:
            listing.problems.append(Problem(
                paths[1], f'the stem {name!r} is used twice: {paths[0].name} is taken'))
    if names is None:
        names = sorted(found)
    for name, count in Counter(names).items():
        if count > 1:
            listing.problems.append(Problem(folder / name, f'listed {count} times in the split'))
    for name in names:
        if name not in found:
            listing.absent.append(Problem(folder / name, 'the split names it, and there is no '
                                          'such picture'))
            continue
        labels: dict[str, tuple[Path, ...]] = {}
        for task, alternatives in places.items():
            for patterns in alternatives:
                files = tuple(root / pattern.format(name) for pattern in patterns)
                if all(os.path.isfile(path) for path in files):
                    labels[task] = files
                    break
            else:
                if task not in partial:
                    wanted = root / alternatives[0][0].format(name)
                    listing.problems.append(Problem(wanted, f'missing {task} label'))
        camera = root / cameras / f'{name}.yaml'
        listing.entries.append(Entry(name, found[name][0], labels,
                                     camera if cameras and os.path.isfile(camera) else None))
    return listing


def pictures(folder: Path) -> dict[str, list[Path]]:
    """Return {stem: files} of the pictures in a folder; {} where it does not exist."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix.lower() in SUFFIXES:
            found.setdefault(path.stem, []).append(path)
    return found


def read_names(path: Path, listing: Listing) -> list[str]:
    """Return the names in a split file, one a line; an empty one is noted as a problem.

    Raises:
        FileNotFoundError: there is no such split; the message names those that there are.
    """
    if not os.path.isfile(path):
        there = sorted(p.stem for p in path.parent.glob('*.txt'))
        raise FileNotFoundError(f'{path}: no such split; there are {there}')
    # Bytes that are no text become odd names, reported as pictures that do not exist.
    lines = path.read_bytes().decode('utf-8', 'replace').splitlines()
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        listing.problems.append(Problem(path, 'empty split: it names no picture'))
    return names


def read_focal(path: Path) -> tuple[float, float]:
    """Return (fx, fy) of a camera file.

    Raises:
        OSError: it cannot be read.
        DatasetError: it has no positive fx and fy.
    """
    content = read_yaml(path)
    try:
        focal = float(content['fx']), float(content['fy'])
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f'{path} has no numbers fx and fy: {error}') from error
    if not (0 < focal[0] < float('inf') and 0 < focal[1] < float('inf')):
        raise DatasetError(f'{path} has fx, fy = {focal}: want positive numbers of pixels')
    return focal


def _size(shape: tuple[int, ...]) -> str:
    return f'{shape[0]}x{shape[1]}'
