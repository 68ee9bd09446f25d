"""Depth for the photographs of drives, which have classes and no depth: by how the camera went."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
import math
from pathlib import Path

import cv2
import numpy as np

from demt_perception.training.checked import ConfigError
from demt_perception.training.datasets import detect_layout, FileDataset, list_split, STRETCHED
from demt_perception.training.datasets.output import (
    refuse_overwriting,
    same_classes,
    same_source,
)
from demt_perception.training.datasets.sample import IGNORE, Sample
from demt_perception.training.datasets.writing import is_written, write_description, write_sample
from demt_perception.training.labelling.motion.drives import (
    Drive,
    FEWEST_THINGS,
    HIGHEST,
    LOWEST,
    split_drives,
)
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

OFFSETS = (1, 2, 3, 5, 8, 13, 20)
"""Which of the pictures after one are tried, until the camera has gone far enough."""
MOST_STEPS = 2
"""To pictures before one, and after it, that are used."""
OFF = 0.03
"""Of the picture's height, that a horizon may be off the drive's usual one: else it is wrong."""
MOST_WIDTH = 640
"""Pixels: what is wider is looked at smaller, and gets labels of that size."""
CACHED = 24
"""Pictures."""
BORDER = 5
"""Pixels: a class is told apart from others by whole windows of this side."""
QUALITY = 95
MOVING = ('car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle', 'rider', 'bicyclist', 'person',
          'pedestrian', 'van', 'tram', 'vehicle', 'people', 'caravan', 'trailer', 'animal')
"""Classes that may move, of CamVid, Cityscapes and others."""


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
                              f'classes are {", ".join(dataset.classes)}; name those of the '
                              'ground, the sky and what may move (--classes, --sky, --moving)')
        self.dataset, self.hfov = dataset, hfov
        self.ground = tuple(dataset.classes.index(each) for each in ground)
        self.sky = dataset.classes.index(sky) if sky else IGNORE
        self.moving = tuple(dataset.classes.index(each) for each in moving)
        self.things = {index: name for index, name in enumerate(dataset.classes) if name in SIZES}
        self.sample = lru_cache(CACHED)(self._sample)
        self.points = lru_cache(4 * CACHED)(self._points)

    def _sample(self, index: int) -> Sample:
        sample = self.dataset[index]
        if sample.semseg is None:
            raise ConfigError(f'{self.dataset.entries[index].image} has no classes: what of it is '
                              'ground?')
        height, width = sample.image.shape[:2]
        fx, fy = focal_of(sample, self.hfov)
        share = min(1, MOST_WIDTH / width)
        size = round(width * share), round(height * share)
        return Sample(cv2.resize(sample.image, size, interpolation=cv2.INTER_AREA),
                      cv2.resize(sample.semseg, size, interpolation=cv2.INTER_NEAREST_EXACT),
                      focal=(fx * size[0] / width, fy * size[1] / height))

    def _points(self, index: int) -> Points:
        sample = self.sample(index)
        still = ~np.isin(self.ids(index), (*self.moving, self.sky, IGNORE))
        return find_points(cv2.cvtColor(sample.image, cv2.COLOR_RGB2GRAY), still)

    def cameras(self, drive: Drive) -> list[Drive]:
        """Return a drive as one for each camera that its pictures are from."""
        parts: dict[tuple[object, ...], Drive] = {}
        for index in drive.indices:
            parts.setdefault(self.camera(index), Drive([])).indices.append(index)
        return list(parts.values())

    def camera(self, index: int) -> tuple[object, ...]:
        """Return what tells cameras apart: size and focal length of the pictures."""
        sample = self.sample(index)
        return *sample.image.shape, *np.round(sample.focal or (), 2)

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
        width = self.sample(here).image.shape[1]
        return step_to(self.points(here), self.points(there), self.matrix(here), width)

    def horizon(self, drive: Drive, index: int) -> float | None:
        """Return the row of a picture's own horizon; None where the camera stood still."""
        rows = [horizon_row(step, self.matrix(index)) for _, step in drive.steps.get(index, [])]
        return float(np.mean(rows)) if rows else None

    def survey(self, drive: Drive, camera_height: float) -> None:
        """Find the steps of a drive, its usual horizon and the height of its camera."""
        order = drive.indices
        steps: dict[int, list[tuple[int, Step]]] = {index: [] for index in order}
        for place, index in enumerate(order):
            for other in (order[place + offset] for offset in OFFSETS
                          if place + offset < len(order)):
                if step := self.step(other, index):
                    steps[other].append((index, step))
                    if back := self.step(index, other):
                        steps[index].append((other, back))
                    break
        usual = [horizon_row(step, self.matrix(index))
                 for index, each in steps.items() for _, step in each]
        drive.steps = steps
        if not usual:
            return
        row = float(np.median(usual))
        for index in order:
            drive.steps[index] = self._trusted(index, steps[index], row)
        for index in order:
            own = self.horizon(drive, index)
            if own is not None:
                drive.seen += camera_heights(self.ids(index), own, self.things, self.ground)
        drive.given = bool(camera_height)
        height = camera_height or (
            float(np.median(drive.seen)) if len(drive.seen) >= FEWEST_THINGS else math.nan)
        if camera_height or LOWEST <= height <= HIGHEST:
            drive.ground = Ground(row, height)

    def _trusted(self, index: int, steps: Sequence[tuple[int, Step]], usual: float,
                 ) -> list[tuple[int, Step]]:
        """Return the steps to the nearest pictures on either side whose horizon can be."""
        most = OFF * self.sample(index).image.shape[0]
        good = sorted((abs(other - index), other, step) for other, step in steps
                      if abs(horizon_row(step, self.matrix(index)) - usual) <= most)
        sides = ([(other, step) for _, other, step in good if (other < index) == before]
                 for before in (True, False))
        return [each for side in sides for each in side[:MOST_STEPS]]

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
        if self.sky != IGNORE:
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

    Pictures of one drive are of one size and focal length, and have names that are the same up to
    the last underscore and then a number, in order. The ground is taken for level across. Depth
    that the dataset has is not kept. Again: continues; a drive that has got more pictures since is
    measured anew for those alone.

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
        ConfigError: there is no such split or class, none that may move, or ``out`` holds what
            must not be written over: the dataset, another's, or labels made otherwise.
        ValueError: a file is broken.
        OSError: one cannot be read or written.
    """
    from tqdm import tqdm

    root, out = Path(root), Path(out)
    name = layout or detect_layout(root)
    dataset = FileDataset(list_split(name, root, split), resize=name in STRETCHED)
    if moving is None:
        moving = tuple(each for each in dataset.classes if each.lower() in MOVING)
        if not moving:
            raise ConfigError(f'none of the classes {", ".join(dataset.classes)} is known to '
                              'move: name those that may (--moving)')
    dataset.soft = any(entry.soft for entry in dataset.entries)
    job = Job(dataset, hfov, ground, sky, moving)
    refuse_overwriting(out, dataset.entries)
    height = f'{camera_height:g} m' if camera_height else 'measured'
    source = (f'{name} {split}'.strip() + f', depth by motion, hfov {hfov:g}, height {height}, '
              f'classes {", ".join(ground)}, sky {sky or "none"}, moving {", ".join(moving)}')
    same_source(out, source)
    same_classes(out, dataset.classes)
    write_description(out, dataset.classes, dataset.palette, source=source)
    drives: dict[str, Drive] = {}
    with tqdm(total=len(dataset), desc='motion', ncols=80, unit='picture') as bar:
        for name, whole in split_drives(dataset.names).items():
            bar.set_postfix_str(name)
            for drive in job.cameras(whole):
                drives[f'{name} {len(drives)}' if name in drives else name] = drive
                todo = [index for index in drive.indices
                        if not is_written(out, dataset.names[index])]
                if todo:
                    job.survey(drive, camera_height)
                bar.update(len(drive.indices) - len(todo))
                for index in todo:
                    depth, sample = job.depth(drive, index), dataset[index]
                    known = depth if not np.isnan(depth).all() else None
                    write_sample(out, replace(sample, depth=known, focal=focal_of(sample, hfov),
                                              name=dataset.names[index]), QUALITY)
                    bar.update()
    return drives


def focal_of(sample: Sample, hfov: float) -> tuple[float, float]:
    """Return the focal length of a picture, (fx, fy); by a field of view where it has none."""
    fx = sample.image.shape[1] / 2 / math.tan(math.radians(hfov) / 2)
    return sample.focal or (fx, fx)


def _inside(ids: np.ndarray) -> np.ndarray:
    """Tell where all pixels around have the same class."""
    window = np.ones((BORDER, BORDER), np.uint8)
    return np.asarray(cv2.erode(ids, window) == cv2.dilate(ids, window))
