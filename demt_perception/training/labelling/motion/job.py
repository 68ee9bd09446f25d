"""Depth for the photographs of drives, which have classes and no depth: by how the camera went."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
import math
from pathlib import Path

import cv2
import numpy as np

from demt_perception.training.checked import ConfigError
from demt_perception.training.datasets import detect_layout, FileDataset, list_split, STRETCHED
from demt_perception.training.datasets.output import refuse_overwriting, same_source
from demt_perception.training.datasets.sample import IGNORE, Sample
from demt_perception.training.datasets.writing import is_written, write_description, write_sample
from demt_perception.training.labelling.motion.ground import (
    camera_heights,
    Ground,
    metres_gone,
    SIZES,
)
from demt_perception.training.labelling.motion.pose import (
    find_points,
    horizon_row,
    Points,
    Step,
    step_to,
)
from demt_perception.training.labelling.motion.sweep import Other, sweep

REACH = 20
"""Pictures that are tried, before and after one, until the camera has gone far enough."""
FEWEST_THINGS = 10
BORDER = 5
"""Pixels: a class is told apart from others by whole windows of this side."""
QUALITY = 95
MOVING = ('car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle', 'rider', 'bicyclist', 'person',
          'pedestrian')
"""Classes of CamVid and Cityscapes that may move."""


@dataclass
class Drive:
    """Pictures of one camera in a row, and what all of them together tell of it.

    Attributes:
        indices: of the pictures in the dataset, in order.
        steps: {index: (index, step) to the pictures before and after}.
        ground: None where too little moved, or nothing of known size was seen.
        measured: how many people and cars the height is from; 0 where it was given.
    """

    indices: list[int]
    steps: dict[int, list[tuple[int, Step]]] = field(default_factory=dict)
    ground: Ground | None = None
    measured: int = 0


class Job:
    """What is known of a dataset's classes, and its pictures as they are needed.

    Args:
        dataset: with classes.
        hfov: degrees, of pictures without a focal length.
        ground: names of the classes that lie on the plane.
        sky: of the class without end; '' for none.
        moving: of the classes that may move.
    """

    def __init__(self, dataset: FileDataset, hfov: float, ground: Sequence[str], sky: str,
                 moving: Sequence[str]):
        if lacking := {*ground, *moving, *([sky] if sky else [])} - set(dataset.classes):
            raise ConfigError(f'the data have no class {", ".join(sorted(lacking))}: their '
                              f'classes are {", ".join(dataset.classes)}')
        self.dataset, self.hfov = dataset, hfov
        self.ground = tuple(dataset.classes.index(each) for each in ground)
        self.sky = dataset.classes.index(sky) if sky else IGNORE
        self.moving = tuple(dataset.classes.index(each) for each in moving)
        self.things = {index: name for index, name in enumerate(dataset.classes) if name in SIZES}
        self.sample = lru_cache(2 * REACH)(self._sample)
        self.points = lru_cache(2 * REACH)(self._points)

    def _sample(self, index: int) -> Sample:
        sample = self.dataset[index]
        if sample.semseg is None:
            raise ConfigError(f'{self.dataset.entries[index].image} has no classes: what of it is '
                              'ground?')
        fx = sample.image.shape[1] / 2 / math.tan(math.radians(self.hfov) / 2)
        return replace(sample, focal=sample.focal or (fx, fx))

    def _points(self, index: int) -> Points:
        sample = self.sample(index)
        still = ~np.isin(self.ids(index), (*self.moving, self.sky, IGNORE))
        return find_points(cv2.cvtColor(sample.image, cv2.COLOR_RGB2GRAY), still)

    def ids(self, index: int) -> np.ndarray:
        """Return the classes of a picture, uint8 (H, W)."""
        ids = self.sample(index).semseg
        assert ids is not None
        return ids

    def matrix(self, index: int) -> np.ndarray:
        """Return the camera's matrix (3, 3); its axis is the picture's centre."""
        sample = self.sample(index)
        height, width = sample.image.shape[:2]
        fx, fy = sample.focal or (math.nan, math.nan)
        return np.array([[fx, 0, (width - 1) / 2], [0, fy, (height - 1) / 2], [0, 0, 1.0]])

    def grey(self, index: int) -> np.ndarray:
        """Return a picture, float32 (H, W)."""
        grey = cv2.cvtColor(self.sample(index).image, cv2.COLOR_RGB2GRAY)
        return grey.astype(np.float32)

    def step(self, here: int, there: int) -> Step | None:
        """Return how to get from one picture's camera to another's."""
        if self.sample(here).image.shape != self.sample(there).image.shape:
            return None
        width = self.sample(here).image.shape[1]
        return step_to(self.points(here), self.points(there), self.matrix(here), width)

    def horizon(self, drive: Drive, index: int) -> float | None:
        """Return the row of a picture's own horizon; None where the camera stood still."""
        rows = [horizon_row(step, self.matrix(index)) for _, step in drive.steps.get(index, [])]
        return float(np.mean(rows)) if rows else None

    def survey(self, drive: Drive, camera_height: float) -> None:
        """Find the steps of a drive, its usual horizon and the height of its camera."""
        order = drive.indices
        for place, index in enumerate(order):
            drive.steps.setdefault(index, [])
            for other in order[place + 1:place + 1 + REACH]:
                if step := self.step(other, index):
                    drive.steps.setdefault(other, []).append((index, step))
                    if back := self.step(index, other):
                        drive.steps[index].append((other, back))
                    break
        horizons = {index: row for index in order
                    if (row := self.horizon(drive, index)) is not None}
        if not horizons:
            return
        heights = [each for index, row in horizons.items()
                   for each in camera_heights(self.ids(index), row, self.things, self.ground)]
        drive.measured = 0 if camera_height else len(heights)
        if camera_height or len(heights) >= FEWEST_THINGS:
            drive.ground = Ground(float(np.median([*horizons.values()])),
                                  camera_height or float(np.median(heights)))

    def depth(self, drive: Drive, index: int) -> np.ndarray:
        """Return the depth of a picture, float32 (H, W) metres, +inf sky, NaN unknown."""
        ids = self.ids(index)
        depth = np.full(ids.shape, np.nan, np.float32)
        if drive.ground:
            row = self.horizon(drive, index)
            ground = drive.ground if row is None else drive.ground._replace(horizon=row)
            matrix, is_ground = self.matrix(index), np.isin(ids, self.ground)
            others = []
            for other, step in drive.steps.get(index, []):
                way = metres_gone(self.grey(index), self.grey(other), step, ground, matrix,
                                  is_ground)
                if way is not None:
                    others.append(Other(self.grey(other), step.rotation, step.direction * way))
            if others:
                still = ~np.isin(ids, (*self.moving, *self.ground, self.sky, IGNORE))
                depth = np.where(still & _inside(ids), sweep(self.grey(index), others, matrix),
                                 np.float32(np.nan))
            plane = ground.depth(matrix, ids.shape)
            depth = np.where(is_ground, plane, depth)
        depth[ids == self.sky] = np.inf
        return depth


def label_motion(root: str | Path, out: str | Path, layout: str = '', split: str = '',
                 hfov: float = 60.0, camera_height: float = 0.0,
                 ground: tuple[str, ...] = ('road', 'pavement'), sky: str = 'sky',
                 moving: tuple[str, ...] | None = None,
                 ) -> dict[str, Drive]:
    """Write a dataset anew in the plain folder layout, with depth where the drive tells it.

    Which points two pictures share tells how the camera turned and where it drove to; that is the
    horizon of the ground. How high the camera is tells the size of people and cars. With both the
    ground is known in metres, and by its texture the way between two pictures; with that all else
    that stands still (``sweep``). No network has a part in it.

    Pictures of one drive have names that are the same up to the last underscore, and are in order.
    The ground is taken for level across. Again: continues.

    Args:
        root: of a dataset with classes.
        out: folder to write.
        layout: of ``root``; '' finds it.
        split: to take; '' for all.
        hfov: horizontal field of view, in degrees, of pictures whose focal length is not known.
        camera_height: metres above the ground; 0: by people and cars of the drive.
        ground: names of the classes that lie on the plane.
        sky: name of the class without end; '' for none.
        moving: names of the classes that may move; None: those of ``MOVING`` that there are.

    Returns:
        {name: drive}.

    Raises:
        FileNotFoundError: the dataset is missing or empty.
        ConfigError: there is no such split or class, or ``out`` holds what must not be written
            over: the dataset, another's, or labels made otherwise.
        ValueError: a file is broken.
        OSError: one cannot be read or written.
    """
    from tqdm import tqdm

    root, out = Path(root), Path(out)
    name = layout or detect_layout(root)
    dataset = FileDataset(list_split(name, root, split), resize=name in STRETCHED)
    if moving is None:
        moving = tuple(each for each in MOVING if each in dataset.classes)
    dataset.soft = any(entry.soft for entry in dataset.entries)
    job = Job(dataset, hfov, ground, sky, moving)
    refuse_overwriting(out, dataset.entries)
    height = f'{camera_height:g} m' if camera_height else 'measured'
    source = (f'{name} {split}'.strip() + f', depth by motion, hfov {hfov:g}, height {height}, '
              f'classes {", ".join(ground)}, sky {sky or "none"}, moving {", ".join(moving)}')
    same_source(out, source)
    write_description(out, dataset.classes, dataset.palette, source=source)
    drives = split_drives(dataset.names)
    for drive in tqdm(drives.values(), 'drives', ncols=80, unit='drive'):
        if not all(is_written(out, dataset.names[index]) for index in drive.indices):
            job.survey(drive, camera_height)
    todo = [(drive, index) for drive in drives.values() for index in drive.indices
            if not is_written(out, dataset.names[index])]
    for drive, index in tqdm(todo, 'motion', ncols=80, unit='picture'):
        sample = replace(job.sample(index), depth=job.depth(drive, index),
                         name=dataset.names[index])
        write_sample(out, sample, QUALITY)
    return drives


def split_drives(names: Sequence[str]) -> dict[str, Drive]:
    """Return the drives that pictures belong to by their names, in order of their names."""
    drives: dict[str, Drive] = {}
    for index in sorted(range(len(names)), key=names.__getitem__):
        drives.setdefault(names[index].rpartition('_')[0], Drive([])).indices.append(index)
    return drives


def describe(drives: Mapping[str, Drive]) -> list[str]:
    """Return a line a drive, of those that were surveyed."""
    lines = []
    for name, drive in drives.items():
        told = Counter(bool(steps) for steps in drive.steps.values())
        if not drive.steps:
            lines.append(f'{name or "pictures"}: all written before')
        elif drive.ground is None:
            lines.append(f'{name or "pictures"}: depth in the sky only: {told[True]} of '
                         f'{len(drive.indices)} pictures show how the camera moved, '
                         f'{drive.measured} people and cars how high it is (want '
                         f'{FEWEST_THINGS}, or --camera-height)')
        else:
            by = f'by {drive.measured} people and cars' if drive.measured else 'as given'
            lines.append(f'{name or "pictures"}: {told[True]} of {len(drive.indices)} pictures '
                         f'show how the camera moved; {drive.ground.height:.2f} m high ({by}), '
                         f'horizon at row {drive.ground.horizon:.0f}')
    return lines


def _inside(ids: np.ndarray) -> np.ndarray:
    """Tell where all pixels around have the same class."""
    window = np.ones((BORDER, BORDER), np.uint8)
    return np.asarray(cv2.erode(ids, window) == cv2.dilate(ids, window))
