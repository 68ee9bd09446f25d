"""PASCAL-Context for five tasks, in the layout of the public archives; 4998 and 5105 pictures.

``JPEGImages/*.jpg``, ``ImageSets/Context/<split>.txt``, ``semseg/VOC12/*.png`` or
``semseg/pascal-context/*.png`` (21 classes, 255 ignored), ``human_parts/*.mat`` (PASCAL-Part),
``pascal-context/trainval/*.mat`` (``LabelMap``, 459 classes: boundaries),
``normals_distill/*.png``, ``sal_distill/*.png``. DeMT's archive is ``PASCALContext``,
MTL-PyTorch's ``PASCAL_MT``. Source: Mottaghi et al., CVPR 2014; Maninis et al. (ASTMT), CVPR
2019; the loaders of both repositories.
"""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from demt_perception.class_lists import HUMAN_PARTS, PASCAL
from demt_perception.training.datasets import formats
from demt_perception.training.datasets.boundaries import label_map_edges
from demt_perception.training.datasets.files import (
    FileDataset,
    list_entries,
    Listing,
    Places,
    read_names,
)
from demt_perception.training.datasets.pascal_parts import load_parts
from demt_perception.training.datasets.reading import read_image, read_mat

_LABEL_MAP = 'pascal-context/trainval/{}.mat'
PLACES: Places = {
    'semseg': (('semseg/VOC12/{}.png',), ('semseg/pascal-context/{}.png',)),
    'normals': (('normals_distill/{}.png', _LABEL_MAP),),
    'edge': ((_LABEL_MAP,),),
    'human_parts': (('human_parts/{}.mat',),),
    'sal': (('sal_distill/{}.png',),),
}

# The LabelMap classes whose name is also one of NYU's 894, and the television: only there did
# the network that the normals are distilled from, trained indoors, know what it saw.
WITH_NORMALS = (
    3, 4, 6, 9, 10, 11, 13, 15, 17, 18, 22, 23, 29, 30, 33, 34, 36, 37, 38, 39, 41, 43, 46, 49,
    50, 51, 53, 55, 56, 59, 61, 62, 65, 66, 68, 69, 72, 73, 78, 83, 84, 85, 87, 88, 95, 96,
    101, 104, 105, 107, 111, 113, 115, 122, 124, 135, 141, 142, 143, 146, 150, 154, 157, 158,
    159, 165, 172, 174, 181, 183, 184, 191, 193, 195, 197, 199, 202, 213, 215, 216, 219, 220,
    223, 225, 228, 230, 232, 233, 238, 239, 242, 243, 246, 250, 251, 252, 255, 260, 261, 263,
    269, 272, 273, 275, 281, 283, 284, 285, 286, 287, 288, 290, 291, 292, 293, 295, 304, 307,
    309, 310, 314, 315, 319, 323, 329, 330, 331, 336, 342, 345, 349, 350, 351, 352, 355, 357,
    368, 370, 371, 374, 379, 380, 383, 384, 397, 401, 403, 405, 407, 408, 411, 412, 413, 414,
    417, 419, 421, 423, 427, 429, 430, 432, 440, 441, 442, 443, 444, 446, 454, 457)


class PascalContext(FileDataset):
    """PASCAL-Context: classes, human parts, saliency, boundaries and distilled normals.

    Args:
        root: the archive's folder, or the one that it was unpacked in.
        split: ``train`` or ``val``.
        tasks: labels to read; None: all.
    """

    def __init__(self, root: str | Path, split: str, tasks: Iterable[str] | None = None):
        super().__init__(scan(Path(root), split), tasks, resize=True)


def matches(root: Path) -> bool:
    """Tell whether a folder holds this layout."""
    return (home(root) / 'ImageSets' / 'Context').is_dir()


def home(root: Path) -> Path:
    """Return the archive's own folder."""
    names = ('PASCALContext', 'PASCAL_MT')
    return next((root / name for name in names if (root / name).is_dir()), root)


def splits(root: Path) -> list[str]:
    """Return the names of the splits."""
    return sorted(path.stem for path in (home(root) / 'ImageSets' / 'Context').glob('*.txt'))


def scan(root: Path, split: str) -> Listing:
    """Return what the archive holds of a split."""
    listing = Listing(home(root), [], {
        'semseg': formats.ids(len(PASCAL)), 'normals': NORMALS, 'edge': EDGES,
        'human_parts': PARTS, 'sal': formats.mask(soft=True)}, PASCAL)
    names = read_names(listing.root / 'ImageSets' / 'Context' / f'{split}.txt', listing)
    return list_entries(listing, names, 'JPEGImages', PLACES)


def load_label_map(path: Path) -> np.ndarray:
    """Return (H, W) uint16 ids 0..459 of a LabelMap.

    Raises:
        OSError: the file cannot be read.
        ValueError: it has no map of ids.
    """
    content = read_mat(path).get('LabelMap')
    good = (isinstance(content, np.ndarray) and content.ndim == 2 and content.size
            and content.dtype.kind in 'uif' and content.min() >= 0 and content.max() < 2 ** 16)
    if content is None or not good:
        raise ValueError(f'{path} has no (H, W) variable "LabelMap" of class ids')
    return content.astype(np.uint16)


def load_normals(png: Path, label_map: Path) -> np.ndarray:
    """Return (H, W, 3) float32 distilled normals, zero where the class is none of NYU's.

    Raises:
        OSError: a file cannot be read.
        ValueError: the two are not of one size.
    """
    colors = read_image(png, cv2.IMREAD_COLOR)[..., ::-1]
    classes = load_label_map(label_map)
    if classes.shape != colors.shape[:2]:
        raise ValueError(f'{png} is {colors.shape[:2]}, {label_map} {classes.shape}: '
                         'want one size')
    valid = np.zeros(2 ** 16, bool)
    valid[list(WITH_NORMALS)] = True
    return (colors.astype(np.float32) * 2 / 255 - 1) * valid[classes][..., None]


def _faultless(_: np.ndarray) -> list[str]:
    return []


_VECTORS = formats.normals()
NORMALS = formats.Format(load_normals, _VECTORS.faults, _VECTORS.decode)
EDGES = formats.Format(load_label_map, _faultless, label_map_edges)
_IDS = formats.ids(len(HUMAN_PARTS))
PARTS = formats.Format(load_parts, _IDS.faults, _IDS.decode)
