"""Datasets with dense labels, each giving plain arrays at the picture's own size."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import yaml

IGNORE = 255


@dataclass
class Sample:
    """One picture and the labels that it has; None where a label does not exist.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        semseg: (H, W) uint8 class ids, 255 ignored.
        depth: (H, W) float32 metres along Z, +inf sky, NaN unknown.
        normals: (H, W, 3) float32 unit vectors in the optical frame, zero where unknown.
        edge: (H, W) uint8, 1 on a boundary; None: derived from the classes.
        focal: (fx, fy) in pixels; None where unknown.
        real: a photograph, not a render.
    """

    image: np.ndarray
    semseg: np.ndarray
    depth: np.ndarray | None = None
    normals: np.ndarray | None = None
    edge: np.ndarray | None = None
    focal: tuple[float, float] | None = None
    real: bool = True


class CamVid:
    """CamVid in the SegNet layout: ``<split>/*.jpg|png`` and ``<split>annot/*.png``.

    Source: Brostow, Fauqueur, Cipolla, PRL 2009; 11 classes, 11 = void, 360x480.
    """

    VOID = 11

    def __init__(self, root: str | Path, split: str):
        self.images = sorted(p for p in Path(root, split).glob('*') if p.suffix in SUFFIXES)
        if not self.images:
            raise FileNotFoundError(f'no images in {Path(root, split)}: want the SegNet layout '
                                    'train/ trainannot/ val/ valannot/ test/ testannot/')
        self.labels = Path(root, f'{split}annot')

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        path = self.images[index]
        semseg = read_image(self.labels / f'{path.stem}.png', cv2.IMREAD_UNCHANGED)
        return Sample(read_rgb(path), np.where(semseg == self.VOID, IGNORE, semseg))


class Rendered:
    """Generated street scenes in the layout of ``demt generate``; exact labels for every task."""

    def __init__(self, root: str | Path):
        self.root = Path(root)
        self.names = sorted(p.stem for p in Path(root, 'cameras').glob('*.yaml'))
        if not self.names:
            raise FileNotFoundError(
                f'no complete view in {root}: run `demt generate --out {root}`')

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        root, name = self.root, self.names[index]
        camera = yaml.safe_load((root / 'cameras' / f'{name}.yaml').read_text())
        return Sample(
            read_rgb(root / 'images' / f'{name}.jpg'),
            read_image(root / 'semseg' / f'{name}.png', cv2.IMREAD_UNCHANGED),
            np.load(root / 'depth' / f'{name}.npy'),
            np.load(root / 'normals' / f'{name}.npy').astype(np.float32),
            (read_image(root / 'edge' / f'{name}.png', cv2.IMREAD_UNCHANGED) > 0).astype(np.uint8),
            (float(camera['fx']), float(camera['fy'])), real=False)


def read_image(path: Path, flags: int) -> np.ndarray:
    """Read an image file.

    Raises:
        OSError: the file is missing or not an image.
    """
    image = cv2.imread(str(path), flags)
    if image is None:
        raise OSError(f'{path} is missing or not a readable image')
    return image


def read_rgb(path: Path) -> np.ndarray:
    """Read a picture as (H, W, 3) uint8 RGB."""
    return np.ascontiguousarray(read_image(path, cv2.IMREAD_COLOR)[..., ::-1])


def class_edges(semseg: np.ndarray) -> np.ndarray:
    """Return uint8 (H, W): 1 where the class changes to the right or below, 255 next to void."""
    edge = np.zeros_like(semseg)
    for here, there, out in (
            (semseg[:, :-1], semseg[:, 1:], edge[:, :-1]),
            (semseg[:-1], semseg[1:], edge[:-1])):
        out[here != there] = 1
        out[(here != there) & ((here == IGNORE) | (there == IGNORE))] = IGNORE
    return edge


def iterate(dataset: CamVid | Rendered) -> Iterator[Sample]:
    """Yield every sample once, in order."""
    for index in range(len(dataset)):
        yield dataset[index]


SUFFIXES = ('.jpg', '.jpeg', '.png')
