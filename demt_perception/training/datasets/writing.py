"""Writing samples into the plain folder layout, small: what ``folder`` reads again.

Pictures become JPEG, depth 16-bit PNG in steps of 5 mm, normals 8-bit PNG, all else 8-bit PNG.
The picture is written last: a folder that was cut off holds whole samples only.
"""

from collections.abc import Callable, Mapping, Sequence
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from demt_perception.tasks import TASKS
from demt_perception.training.datasets.folder import SOFT, UNKNOWN
from demt_perception.training.datasets.formats import SKY
from demt_perception.training.datasets.sample import IGNORE, labels_of, Sample

UNIT = 0.005
"""Metres of one count of depth: up to 327 m."""
BEST = (cv2.IMWRITE_PNG_COMPRESSION, 9)


def is_written(root: Path, name: str) -> bool:
    """Tell whether a sample of this name is there, whole."""
    return (root / 'images' / f'{name}.jpg').is_file()


def write_sample(root: Path, sample: Sample, quality: int = 90) -> None:
    """Write one sample; labels may be smaller than the picture.

    Args:
        root: the folder.
        sample: with its name.
        quality: of the JPEG, up to 100.

    Raises:
        OSError: a file cannot be written.
    """
    for task, label in labels_of(sample):
        _write(root / task.name / f'{sample.name}.png', STORED[task.kind](label), BEST)
    if sample.soft is not None:
        _write(root / SOFT / f'{sample.name}.png', sample.soft, BEST)
    if sample.focal is not None:
        path = root / 'cameras' / f'{sample.name}.yaml'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'fx: {float(sample.focal[0])}\nfy: {float(sample.focal[1])}\n',
                        encoding='utf-8')
    _write(root / 'images' / f'{sample.name}.jpg', sample.image[..., ::-1],
           (cv2.IMWRITE_JPEG_QUALITY, quality))


def write_description(root: Path, classes: Sequence[str], palette: Sequence[Sequence[int]],
                      **more: Any) -> None:
    """Write ``dataset.yaml``; labels may be smaller than pictures, and every one may be missing.

    Args:
        root: the folder.
        classes: names of the semantic classes, () for none.
        palette: their colours, () for none.
        more: other keys, e.g. ``source``.
    """
    content: dict[str, Any] = {'depth_unit': UNIT, 'stretched': True, 'partial': [*TASKS]}
    if classes:
        content['classes'] = [*classes]
    if palette:
        content['palette'] = [[*color] for color in palette]
    root.mkdir(parents=True, exist_ok=True)
    (root / 'dataset.yaml').write_text(yaml.safe_dump({**content, **more}, sort_keys=False),
                                       encoding='utf-8')


def _metres(depth: np.ndarray) -> np.ndarray:
    known = ~np.isnan(depth)
    counts = np.rint(np.where(np.isfinite(depth), depth, 0) / UNIT)
    counts = np.where(known, np.clip(counts, 1, SKY - 1), 0)
    counts[np.isposinf(depth)] = SKY
    return counts.astype(np.uint16)


def _vectors(normals: np.ndarray) -> np.ndarray:
    codes = np.rint((normals.astype(np.float32) + 1) * 127.5).astype(np.uint8)
    codes[~normals.any(2)] = 0
    return codes[..., ::-1]


def _mask(label: np.ndarray) -> np.ndarray:
    return np.where(label == IGNORE, UNKNOWN, (label > 0) * 255).astype(np.uint8)


STORED: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    'classes': lambda ids: ids, 'scalar': _metres, 'vector': _vectors, 'probability': _mask}
"""By the kind of a task: what lies in its file."""


def _write(path: Path, image: np.ndarray, options: Sequence[int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    good, data = cv2.imencode(path.suffix, np.ascontiguousarray(image), [*options])
    if not good:
        raise OSError(f'{path}: OpenCV cannot encode an image of shape {image.shape}')
    part = path.with_name(f'.{path.name}.part')
    part.write_bytes(data.tobytes())
    os.replace(part, path)
