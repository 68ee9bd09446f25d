"""The folder layout of generated views: what is written where, and when a view is complete."""

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from demt_perception.synthetic.cityscapes import NAMES
from demt_perception.synthetic.labels import CLASSES, IGNORE
from demt_perception.training.datasets.reading import read_yaml

FOLDERS = ('images', 'semseg', 'cityscapes', 'depth', 'normals', 'edge', 'instance', 'cameras')


class RequestError(ValueError):
    """Views cannot be made as asked; the text says what was seen, and the remedy."""


def prepare(root: str | Path, size: tuple[int, int], samples: int) -> None:
    """Make the folders and ``dataset.yaml``.

    Args:
        root: the data set.
        size: width, height in pixels.
        samples: light paths per pixel.

    Raises:
        RequestError: there are views of another size or of other samples.
        OSError: a file or folder cannot be read or made.
    """
    root = Path(root)
    settings = _settings(root, {'width': size[0], 'height': size[1],
                                'description': f'{samples} light paths per pixel'})
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    _write(root / 'dataset.yaml', yaml.safe_dump({
        'classes': list(CLASSES), 'cityscapes': list(NAMES), 'ignore': IGNORE, **settings,
        'depth': 'float32 metres along Z, +inf sky',
        'normals': 'float16 unit vectors, x right y down z forward, zero for sky',
        'edge': '255 on a boundary', 'instance': 'uint16, 2048 * class slot + number',
        'source': 'demt generate: every asset is made by code'}, sort_keys=False).encode())


def _settings(root: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return what is true of all views: those that are there are as wanted, or it is refused."""
    path = root / 'dataset.yaml'
    if not path.is_file() or next((root / 'cameras').glob('*.yaml'), None) is None:
        return wanted
    try:
        before = read_yaml(path)
    except ValueError as error:
        raise RequestError(f'{error}: restore it, or render into another folder') from error
    for key, value in wanted.items():
        if key in before and before[key] != value:
            raise RequestError(
                f'{root} has views of {key} {str(before[key])[:50]!r}, want {str(value)!r}: give '
                'the --size and --samples that it was begun with, or another --out')
    # Older folders do not say their samples: what is not known of all is not written.
    return {key: value for key, value in wanted.items() if key in before}


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
