"""The folder layout of generated views: what is written where, and when a view is complete."""

import os
from pathlib import Path

import cv2
import numpy as np
import yaml

from demt_perception.synthetic.cityscapes import NAMES
from demt_perception.synthetic.labels import CLASSES, IGNORE

FOLDERS = ('images', 'semseg', 'cityscapes', 'depth', 'normals', 'edge', 'instance', 'cameras')


def prepare(root: str | Path, size: tuple[int, int]) -> None:
    """Make the folders and ``dataset.yaml``."""
    root = Path(root)
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    _write(root / 'dataset.yaml', yaml.safe_dump({
        'classes': list(CLASSES), 'cityscapes': list(NAMES), 'ignore': IGNORE,
        'width': size[0], 'height': size[1],
        'depth': 'float32 metres along Z, +inf sky',
        'normals': 'float16 unit vectors, x right y down z forward, zero for sky',
        'edge': '255 on a boundary', 'instance': 'uint16, 2048 * class slot + number',
        'source': 'demt generate: every asset is made by code'}, sort_keys=False).encode())


def is_complete(root: str | Path, name: str) -> bool:
    """Return whether all files of a view are written: its camera file is written last."""
    return Path(root, 'cameras', f'{name}.yaml').is_file()


def write_view(root: str | Path, name: str, image: bytes, instance: np.ndarray,
               semseg: np.ndarray, cityscapes: np.ndarray, depth: np.ndarray,
               normals: np.ndarray, edge: np.ndarray, camera: dict) -> None:
    """Write one view.

    Args:
        root: the data set.
        name: of the view, without suffix.
        image: a JPEG file's content.
        instance: (H, W) ids, written as uint16.
        semseg: (H, W) uint8 class ids of CamVid.
        cityscapes: (H, W) uint8 training ids of Cityscapes.
        depth: (H, W) metres, +inf sky.
        normals: (H, W, 3) optical frame.
        edge: (H, W) 0 or 1.
        camera: fx, fy, cx, cy, width, height and what else is known of the view.
    """
    root = Path(root)
    (root / 'images' / f'{name}.jpg').write_bytes(image)
    _png(root / 'semseg' / f'{name}.png', semseg.astype(np.uint8))
    _png(root / 'cityscapes' / f'{name}.png', cityscapes.astype(np.uint8))
    _png(root / 'instance' / f'{name}.png', instance.astype(np.uint16))
    _png(root / 'edge' / f'{name}.png', (edge > 0).astype(np.uint8) * 255)
    np.save(root / 'depth' / f'{name}.npy', depth.astype(np.float32))
    np.save(root / 'normals' / f'{name}.npy', normals.astype(np.float16))
    _write(root / 'cameras' / f'{name}.yaml', yaml.safe_dump(camera, sort_keys=False).encode())


def _png(path: Path, image: np.ndarray) -> None:
    path.write_bytes(cv2.imencode('.png', image)[1].tobytes())


def _write(path: Path, content: bytes) -> None:
    """Replace a file at once, so that no reader sees half of it."""
    part = path.with_name(f'.{path.name}.{os.getpid()}')
    part.write_bytes(content)
    part.replace(path)
