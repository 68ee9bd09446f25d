"""Depth of the ground of photographs that have classes and no depth: a plane, by a model.

A network that learned depth from renders knows the road of a photograph well. Made a plane and
kept, that is the anchor for what stands on it (``losses.standing``), whose learning would else
carry the road along.
"""

from dataclasses import replace
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from demt_perception.training.checked import ConfigError
from demt_perception.training.datasets import detect_layout, FileDataset, list_split, STRETCHED
from demt_perception.training.datasets.output import refuse_overwriting, same_source
from demt_perception.training.datasets.writing import is_written, write_description, write_sample

FARTHEST = 60.0
"""Metres; beyond, a pixel of pitch is a third of the depth."""
AGREEMENT = 0.25
"""Of the logarithm: how far the model's depth may be off the plane where that is kept."""
ROUNDS, FLOOR = 10, 0.05
QUALITY = 95


def label_ground(root: str | Path, out: str | Path, predictor: Any, layout: str = '',
                 split: str = '', hfov: float = 60.0,
                 ground: tuple[str, ...] = ('road', 'pavement'), sky: str = 'sky') -> int:
    """Write a dataset anew in the plain folder layout, with depth on the ground and in the sky.

    Everything else has no depth. Again: continues.

    Args:
        root: of a dataset with classes.
        out: folder to write.
        predictor: ``inference.Predictor`` of the model whose depth is believed; each picture is
            also seen in the mirror.
        layout: of ``root``; '' finds it.
        split: to take; '' for all.
        hfov: horizontal field of view, in degrees, of pictures whose focal length is not known.
        ground: names of the classes that lie on the plane.
        sky: name of the class without end; '' for none.

    Returns:
        the number of pictures.

    Raises:
        FileNotFoundError: the dataset is missing or empty.
        ConfigError: the model has no depth, there is no such split or class, or ``out`` holds what
            must not be written over: the dataset, another's, or labels made otherwise.
        ValueError: a file is broken.
        OSError: one cannot be read or written.
    """
    from tqdm import tqdm

    if 'depth' not in predictor.card.tasks:
        raise ConfigError(f'model {predictor.card.name} predicts no depth, only '
                          f'{", ".join(predictor.card.tasks)}')
    root, out = Path(root), Path(out)
    name = layout or detect_layout(root)
    dataset = FileDataset(list_split(name, root, split), resize=name in STRETCHED)
    if not len(dataset):
        raise FileNotFoundError(f'no picture in {root} ({name}{", " + split if split else ""})')
    if lacking := {*ground, *([sky] if sky else [])} - set(dataset.classes):
        raise ConfigError(f'{root} has no class {", ".join(sorted(lacking))}: its classes are '
                          f'{", ".join(dataset.classes)}')
    ids = [dataset.classes.index(each) for each in ground]
    refuse_overwriting(out, dataset.entries)
    card = predictor.card
    source = (f'{name} {split}'.strip() + f', ground by {card.name} {card.onnx_sha256[:12]}, '
              f'hfov {hfov:g}, classes {", ".join(ground)}, sky {sky or "none"}')
    same_source(out, source)
    write_description(out, dataset.classes, dataset.palette, source=source)
    for index, entry in enumerate(tqdm(dataset.entries, 'ground', ncols=80, unit='picture')):
        if is_written(out, entry.name):
            continue
        sample = dataset[index]
        if sample.semseg is None:
            raise ConfigError(f'{entry.image} has no classes: what of it is ground?')
        width = sample.image.shape[1]
        fx = width / 2 / math.tan(math.radians(hfov) / 2)
        focal = sample.focal or (fx, fx)
        depth = plane_depth(_seen(predictor, sample.image, focal), np.isin(sample.semseg, ids))
        if sky:
            depth[sample.semseg == dataset.classes.index(sky)] = np.inf
        write_sample(out, replace(sample, depth=depth, focal=focal, name=entry.name), QUALITY)
    return len(dataset)


def plane_depth(depth: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Return the depth of the plane that the ground lies in, float32 (H, W), NaN elsewhere.

    On a plane the inverse of depth is linear in the pixels. Its three numbers come from least
    absolute deviations (iteratively reweighted), so that a kerb or a wrong patch does not tilt it.

    Args:
        depth: (H, W) metres; NaN where it is not known.
        ground: bool (H, W).
    """
    height, width = depth.shape
    rows, columns = np.mgrid[0:height, 0:width]
    across, down = (columns - width / 2) / width, (rows - height / 2) / width
    plane = np.full(depth.shape, np.nan, np.float32)
    with np.errstate(invalid='ignore'):
        use = ground & (depth > 0) & (depth < FARTHEST)
    if use.sum() < 3:
        return plane
    terms = np.stack([across[use], down[use], np.ones(use.sum())], 1)
    inverse = 1 / depth[use].astype(np.float64)
    # By their relative error, and rather by area than by the many pixels of the near rows.
    weights = 1 / np.sqrt(inverse)
    for _ in range(ROUNDS):
        numbers = np.linalg.lstsq(terms * weights[:, None], inverse * weights, rcond=None)[0]
        off = np.abs(terms @ numbers - inverse) / inverse
        weights = 1 / np.maximum(off, FLOOR) / np.sqrt(inverse)
    there = across * numbers[0] + down * numbers[1] + numbers[2]
    with np.errstate(invalid='ignore', divide='ignore'):
        near = np.abs(np.log(there * depth)) < AGREEMENT
    kept = ground & (there > 1 / FARTHEST) & near
    plane[kept] = 1 / there[kept]
    return plane


def _seen(predictor: Any, rgb: np.ndarray, focal: tuple[float, float]) -> np.ndarray:
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    inverse = [1 / predictor.predict(picture, focal).depth[:, ::step]
               for picture, step in ((bgr, 1), (np.ascontiguousarray(bgr[:, ::-1]), -1))]
    mean: np.ndarray = 2 / (inverse[0] + inverse[1])
    return mean
