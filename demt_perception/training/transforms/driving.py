"""Training samples for the network: random crop and flip of picture and labels, photometry.

Depth stays metric: it is expressed for the canonical focal length, so that one network serves
every camera (depth scales with the focal length in network-input pixels).
"""

from dataclasses import dataclass
import math

import cv2
import numpy as np
import torch
from torch import Tensor

from demt_perception.training.datasets import class_edges, IGNORE, Sample

SKY, ROAD, PAVEMENT = 0, 3, 4


@dataclass(frozen=True)
class View:
    """The part of a picture that is shown to the network, in pixels, and whether mirrored."""

    left: int
    top: int
    width: int
    height: int
    mirrored: bool = False


def random_view(size: tuple[int, int], rng: np.random.Generator) -> View:
    """Choose a crop of a (height, width) picture: often the whole, else down to 45 % of it."""
    height, width = size
    scale = 1.0 if rng.random() < 0.3 else rng.uniform(0.45, 1.0)
    stretch = math.exp(rng.uniform(-0.25, 0.25))
    w = max(32, min(width, round(width * scale * math.sqrt(stretch))))
    h = max(32, min(height, round(height * scale / math.sqrt(stretch))))
    return View(int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1)), w, h,
                bool(rng.random() < 0.5))


def to_tensors(sample: Sample, view: View, size: tuple[int, int], focal: float, far: float,
               mean: tuple[float, ...], std: tuple[float, ...]) -> dict[str, Tensor]:
    """Cut the view out of a sample and bring it to the network's size.

    Args:
        sample: picture and labels.
        view: what to cut.
        size: (height, width) of the network input; labels come out at half of it.
        focal: canonical focal length in network-input pixels.
        far: depth given to sky, in canonical metres; anything farther is cut to it.
        mean: of the card, RGB.
        std: of the card, RGB.

    Returns:
        image (3,h,w) float32; semseg (h/2,w/2) int64, 255 ignored; depth (h/2,w/2) canonical
        metres, NaN ignored; normals (3,h/2,w/2), zero ignored; edge (h/2,w/2), 255 ignored.

    Raises:
        ValueError: the sample has no classes.
    """
    if sample.semseg is None:
        raise ValueError(f'sample {sample.name!r} has no semseg: the driving model wants classes')
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
    pixels = (image.astype(np.float32) - np.array(mean, np.float32)) / np.array(std, np.float32)
    semseg = sample.semseg[rows][:, columns]
    depth, normals = _geometry(sample, semseg, rows, columns, view, size, focal, far)
    if sample.edge is None:
        edge = class_edges(semseg)
    else:
        # A line one pixel wide would break up where the labels shrink.
        thick = round(2 * view.height / height) or 1, round(2 * view.width / width) or 1
        kernel = np.ones(thick, np.uint8)
        edge = cv2.dilate(sample.edge, kernel)[rows][:, columns]
    return {
        'image': torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))),
        'semseg': torch.from_numpy(semseg.astype(np.int64)),
        'depth': torch.from_numpy(depth),
        'normals': torch.from_numpy(np.ascontiguousarray(normals.transpose(2, 0, 1))),
        'edge': torch.from_numpy(edge.astype(np.float32)),
        'real': torch.tensor(sample.real),
    }


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
    if rng.random() < 0.08:
        x = np.repeat((x @ luma)[..., None], 3, axis=2)
    if rng.random() < 0.2:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 1.4))
    if rng.random() < 0.3:
        x = x + rng.normal(0, rng.uniform(1, 9), x.shape).astype(np.float32)
    return np.clip(x, 0, 255).astype(np.uint8)


def _indices(start: int, length: int, count: int) -> np.ndarray:
    """Return for each of ``count`` label pixels the source pixel under its centre."""
    return (start + (np.arange(count) + 0.5) * length / count).astype(np.int64)


def _geometry(sample: Sample, semseg: np.ndarray, rows: np.ndarray, columns: np.ndarray,
              view: View, size: tuple[int, int], focal: float,
              far: float) -> tuple[np.ndarray, np.ndarray]:
    """Return depth and normals of the view, or what a photograph without them still tells."""
    if sample.depth is None or sample.normals is None or sample.focal is None:
        # Sky is beyond range, and the road of these level towns points up: weak labels, enough
        # to carry the geometry learned on renders over to photographs.
        depth = np.where(semseg == SKY, np.float32(far), np.float32(np.nan))
        normals = np.zeros((*semseg.shape, 3), np.float32)
        normals[(semseg == ROAD) | (semseg == PAVEMENT)] = (0.0, -1.0, 0.0)
        return depth.astype(np.float32), normals
    seen = math.sqrt(sample.focal[0] * size[1] / view.width * sample.focal[1] * size[0]
                     / view.height)
    depth = np.minimum(sample.depth[rows][:, columns] * np.float32(focal / seen), np.float32(far))
    normals = sample.normals[rows][:, columns].copy()
    if view.mirrored:
        normals[..., 0] *= -1
    depth[(semseg == IGNORE) & (normals == 0).all(-1)] = np.nan
    return depth.astype(np.float32), normals
