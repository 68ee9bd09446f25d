"""Training samples for the network: random crop and flip of picture and labels, photometry.

Depth stays metric: it is expressed for the canonical focal length, so that one network serves
every camera (depth scales with the focal length in network-input pixels).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
import math

import cv2
import numpy as np
import torch
from torch import Tensor

from demt_perception.training.datasets import class_edges, IGNORE, Sample, soft
from demt_perception.training.datasets.sample import labels_of
from demt_perception.training.losses.log_depth import NEAREST
from demt_perception.training.transforms.strong import harder

STRETCH = 0.15
"""Of a crop, as ``inference.input_size`` chooses sizes that hardly distort."""


@dataclass(frozen=True)
class Driving:
    """What the protocol of the driving model needs to know.

    Attributes:
        focal: canonical focal length in network-input pixels.
        far: depth given to sky, in canonical metres; anything farther is cut to it, as what is
            nearer than a network can say (``log_depth.NEAREST``) is to that.
        mean: of the pictures, RGB of 0..255.
        std: likewise.
        sky: id of the class that is beyond range in pictures without depth; -1: none.
        classes: how many have distributions of a teacher, which then come as ``soft``; 0: none.
        two_views: unlabelled pictures are made harder, and what they were comes as ``weak``.
        ground: ids of the classes that point up in pictures without normals: a weak label, and
            enough to carry the geometry learned on renders over to photographs of level towns.
        stretch: see ``random_view``.
    """

    focal: float
    far: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sky: int = -1
    ground: tuple[int, ...] = ()
    classes: int = 0
    two_views: bool = False
    stretch: float = STRETCH


@dataclass(frozen=True)
class View:
    """The part of a picture that is shown to the network, in pixels, and whether mirrored."""

    left: int
    top: int
    width: int
    height: int
    mirrored: bool = False


def random_view(picture: tuple[int, int], size: tuple[int, int],
                rng: np.random.Generator, stretch: float = STRETCH) -> View:
    """Choose a crop of a picture: often the greatest that fits, else down to 45 % of its sides.

    Args:
        picture: its (height, width).
        size: (height, width) of the network input, whose shape the crop has, give or take.
        rng: draws it.
        stretch: greatest logarithm of how much wider or narrower the crop is. More than a sixth
            is for networks that see pictures of other shapes stretched to one size.
    """
    height, width = picture
    scale = 1.0 if rng.random() < 0.3 else rng.uniform(0.45, 1.0)
    ratio = size[1] / size[0] * math.exp(rng.uniform(-stretch, stretch))
    fit = min(width, height * ratio) * scale
    w, h = (max(32, min(most, round(side)))
            for most, side in ((width, fit), (height, fit / ratio)))
    return View(int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1)), w, h,
                bool(rng.random() < 0.5))


def driving(sample: Sample, size: tuple[int, int], tasks: Iterable[str],
            rng: np.random.Generator | None, *, settings: Driving) -> dict[str, Tensor]:
    """Apply the protocol of the driving model: photometry, crop, mirror; for street scenes.

    Args:
        sample: picture and the labels that it has; depth counts only with a focal length.
        size: (height, width) of the network input; labels come out at half of it.
        tasks: labels to return.
        rng: of the augmentation; None: the whole picture as it is.
        settings: see ``Driving``.

    Returns:
        image (3,H,W) float32; ids (h,w) int64, 255 ignored; depth (h,w) canonical metres, NaN
        ignored; normals (3,h,w), zero ignored; edge and sal (h,w) float32, 255 ignored; camera
        (4,), fx, fy, cx, cy in label pixels, NaN where unknown. As ``settings`` ask for it, soft
        (K,H/4,W/4) float32 distributions over the classes, all 0 where unknown; weak (3,H,W), the
        same view of the picture as it was.
    """
    height, width = sample.image.shape[:2]
    before = sample
    view = View(0, 0, width, height)
    if rng is not None:
        sample = replace(sample, image=photometric(sample.image, rng))
        view = random_view((height, width), size, rng, settings.stretch)
        if settings.two_views and not any(labels_of(sample)):
            sample = replace(sample, image=harder(sample.image, rng))
    tensors = to_tensors(sample, view, size, tasks, settings)
    if settings.two_views:
        tensors['weak'] = to_tensors(before, view, size, (), settings)['image']
    return tensors


def to_tensors(sample: Sample, view: View, size: tuple[int, int], tasks: Iterable[str],
               settings: Driving) -> dict[str, Tensor]:
    """Cut a view out of a sample and bring it to the network's size; see ``driving``."""
    height, width = size
    rows = _indices(view.top, view.height, height // 2)
    columns = _indices(view.left, view.width, width // 2)
    if view.mirrored:
        columns = columns[::-1]
    crop = sample.image[view.top:view.top + view.height, view.left:view.left + view.width]
    shrink = view.width > width
    image = cv2.resize(crop, (width, height),
                       interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)
    image = image[:, ::-1] if view.mirrored else image
    mean, std = (np.array(value, np.float32) for value in (settings.mean, settings.std))
    pixels = (image.astype(np.float32) - mean) / std
    semseg = (np.full((len(rows), len(columns)), IGNORE, np.uint8) if sample.semseg is None
              else sample.semseg[rows][:, columns])
    depth = _depth(sample, semseg, rows, columns, view, size, settings)
    normals = _normals(sample, semseg, rows, columns, view, settings)
    labels = {
        'semseg': semseg.astype(np.int64),
        'depth': depth,
        'normals': np.ascontiguousarray(normals.transpose(2, 0, 1)),
        'edge': _edge(sample, semseg, rows, columns, view, size),
        'human_parts': _picked(sample.human_parts, rows, columns).astype(np.int64),
        'sal': _picked(sample.sal, rows, columns).astype(np.float32)}
    out = {'image': torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))),
           'camera': torch.tensor(_camera(sample, view, (len(rows), len(columns))))}
    if settings.classes:
        out['soft'] = torch.from_numpy(_soft(sample, view, size, settings.classes))
    return out | {task: torch.from_numpy(labels[task]) for task in tasks}


def _picked(label: np.ndarray | None, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    if label is None:
        return np.full((len(rows), len(columns)), IGNORE, np.uint8)
    picked: np.ndarray = label[rows][:, columns]
    return picked


def _soft(sample: Sample, view: View, size: tuple[int, int], classes: int) -> np.ndarray:
    """Return float32 (K,H/4,W/4), the distributions of the view."""
    rows, columns = size[0] // 4, size[1] // 4
    if sample.soft is None:
        return np.zeros((classes, rows, columns), np.float32)
    likely = soft.decode(sample.soft, classes)
    down, right = (have / side for have, side in zip(
        likely.shape[1:], sample.image.shape, strict=False))
    at = ((view.top + (np.arange(rows) + 0.5) * view.height / rows) * down).astype(np.int64)
    beside = ((view.left + (np.arange(columns) + 0.5) * view.width / columns) * right
              ).astype(np.int64)
    return np.ascontiguousarray(likely[:, at][:, :, beside[::-1] if view.mirrored else beside])


def _edge(sample: Sample, semseg: np.ndarray, rows: np.ndarray, columns: np.ndarray, view: View,
          size: tuple[int, int]) -> np.ndarray:
    """Return float32 (h,w): the boundaries of the view, drawn from its classes if need be."""
    if sample.edge is None:
        unknown = np.float32(IGNORE) if sample.semseg is None else np.float32(0)
        return np.maximum(class_edges(semseg).astype(np.float32), unknown)
    # A line one pixel wide would break up where the labels shrink.
    thick = round(2 * view.height / size[0]) or 1, round(2 * view.width / size[1]) or 1
    return cv2.dilate(sample.edge, np.ones(thick, np.uint8))[rows][:, columns].astype(np.float32)


def _camera(sample: Sample, view: View, size: tuple[int, int]) -> list[float]:
    """Return fx, fy, cx, cy of the view in label pixels; its axis is the picture's centre."""
    if sample.focal is None:
        return [math.nan] * 4
    height, width = sample.image.shape[:2]
    x, y = size[1] / view.width, size[0] / view.height
    cx, cy = (width / 2 - view.left) * x - 0.5, (height / 2 - view.top) * y - 0.5
    return [sample.focal[0] * x, sample.focal[1] * y, size[1] - 1 - cx if view.mirrored else cx,
            cy]


def photometric(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Vary exposure, contrast, colour, sharpness and noise of a uint8 RGB picture."""
    x: np.ndarray = image.astype(np.float32)
    luma = np.array((0.299, 0.587, 0.114), np.float32)
    if rng.random() < 0.8:
        x = x * rng.uniform(0.6, 1.5) + rng.uniform(-25, 25)
        mean = x.mean()
        x = (x - mean) * rng.uniform(0.65, 1.4) + mean
        grey = x @ luma
        x = grey[..., None] + (x - grey[..., None]) * rng.uniform(0.3, 1.6)
        x = x * rng.uniform(0.88, 1.12, 3).astype(np.float32)
    if rng.random() < 0.15:
        x = np.repeat((x @ luma)[..., None], 3, axis=2)
    if rng.random() < 0.2:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 1.4))
    if rng.random() < 0.3:
        x = x + rng.normal(0, rng.uniform(1, 9), x.shape).astype(np.float32)
    return np.clip(x, 0, 255).astype(np.uint8)


def _indices(start: int, length: int, count: int) -> np.ndarray:
    """Return for each of ``count`` label pixels the source pixel under its centre."""
    return (start + (np.arange(count) + 0.5) * length / count).astype(np.int64)


def _depth(sample: Sample, semseg: np.ndarray, rows: np.ndarray, columns: np.ndarray, view: View,
           size: tuple[int, int], settings: Driving) -> np.ndarray:
    """Return canonical metres of the view, or what a photograph without them still tells."""
    far = np.float32(settings.far)
    if sample.depth is None or sample.focal is None:
        return np.where(semseg == settings.sky, far, np.float32(np.nan)).astype(np.float32)
    seen = math.sqrt(sample.focal[0] * size[1] / view.width * sample.focal[1] * size[0]
                     / view.height)
    depth = sample.depth[rows][:, columns] * np.float32(settings.focal / seen)
    within = np.clip(depth, np.float32(NEAREST), far)
    return np.where(depth > 0, within, np.float32(np.nan)).astype(np.float32)


def _normals(sample: Sample, semseg: np.ndarray, rows: np.ndarray, columns: np.ndarray,
             view: View, settings: Driving) -> np.ndarray:
    """Return (h,w,3) normals of the view, or what a photograph without them still tells."""
    if sample.normals is None:
        normals = np.zeros((*semseg.shape, 3), np.float32)
        normals[np.isin(semseg, settings.ground)] = (0.0, -1.0, 0.0)
        return normals
    normals = sample.normals[rows][:, columns].copy()
    if view.mirrored:
        normals[..., 0] *= -1
    return normals
