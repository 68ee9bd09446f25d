"""NYUD-v2 as the two public multi-task archives hold it; 795 training and 654 test pictures.

DeMT's and ATRC's archive (``NYUDv2``): 425x560, pictures, boundaries and normals as PNG.
MTL-PyTorch's (``NYUD_MT``): 480x640, pictures as JPEG, boundaries and normals as .npy.
Both: ``gt_sets/<split>.txt``, ``segmentation/*.png`` (0 unlabelled, 1..40), ``depth/*.npy``
(metres, 0 unknown). Source: Silberman et al., ECCV 2012; the loaders of both repositories.
"""

from collections.abc import Iterable
from pathlib import Path

from demt_perception.class_lists import NYUD
from demt_perception.training.datasets import formats
from demt_perception.training.datasets.files import (
    FileDataset,
    list_entries,
    Listing,
    Places,
    read_names,
)
from demt_perception.training.datasets.reading import read_rgb

PLACES: Places = {
    'semseg': (('segmentation/{}.png',),),
    'depth': (('depth/{}.npy',),),
    'normals': (('normals/{}.png',), ('normals/{}.npy',)),
    'edge': (('edge/{}.png',), ('edge/{}.npy',)),
}


class Nyud(FileDataset):
    """NYUD-v2 with 40 classes, depth, normals and boundaries.

    Args:
        root: the archive's folder, or the one that it was unpacked in.
        split: ``train`` or ``val``.
        tasks: labels to read; None: all.
    """

    def __init__(self, root: str | Path, split: str, tasks: Iterable[str] | None = None):
        super().__init__(scan(Path(root), split), tasks, resize=True)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the pictures: (425, 560) or (480, 640), by the archive."""
        height, width = read_rgb(self.entries[0].image).shape[:2]
        return height, width


def matches(root: Path) -> bool:
    """Tell whether a folder holds this layout."""
    return (home(root) / 'gt_sets').is_dir()


def home(root: Path) -> Path:
    """Return the archive's own folder."""
    return next((root / name for name in ('NYUDv2', 'NYUD_MT') if (root / name).is_dir()), root)


def splits(root: Path) -> list[str]:
    """Return the names of the splits."""
    return sorted(path.stem for path in (home(root) / 'gt_sets').glob('*.txt'))


def scan(root: Path, split: str) -> Listing:
    """Return what the archive holds of a split."""
    listing = Listing(home(root), [], {
        'semseg': formats.ids(len(NYUD), shift=-1), 'depth': formats.depth(),
        'normals': formats.normals(), 'edge': formats.mask()}, NYUD)
    names = read_names(listing.root / 'gt_sets' / f'{split}.txt', listing)
    return list_entries(listing, names, 'images', PLACES)
