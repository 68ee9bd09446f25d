"""CamVid in the SegNet layout: ``<split>/*.jpg|png`` and ``<split>annot/*.png``.

Source: Brostow, Fauqueur, Cipolla, PRL 2009; 11 classes, 11 = void, 360x480.
"""

from pathlib import Path

from demt_perception.training.datasets import formats
from demt_perception.training.datasets.files import FileDataset, list_entries, Listing, Problem
from demt_perception.training.datasets.sample import IGNORE

CLASSES = ('sky', 'building', 'pole', 'road', 'pavement', 'tree', 'sign', 'fence', 'car',
           'pedestrian', 'bicyclist')
VOID = 11


class CamVid(FileDataset):
    """CamVid's street scenes with their classes.

    Args:
        root: the folder that holds ``train``, ``trainannot``, ...
        split: ``train``, ``val`` or ``test``.
    """

    def __init__(self, root: str | Path, split: str):
        super().__init__(scan(Path(root), split))


def matches(root: Path) -> bool:
    """Tell whether a folder holds this layout."""
    return bool(splits(root))


def splits(root: Path) -> list[str]:
    """Return the names of the splits."""
    return [name for name in ('train', 'val', 'test') if (root / f'{name}annot').is_dir()]


def scan(root: Path, split: str) -> Listing:
    """Return what the folder holds of a split."""
    listing = Listing(root, [], {'semseg': formats.ids(len(CLASSES), {VOID: IGNORE})}, CLASSES)
    list_entries(listing, None, split, {'semseg': ((f'{split}annot/{{}}.png',),)})
    if not listing.entries:
        listing.problems.append(Problem(root / split, 'empty split: want the SegNet layout '
                                        'train/ trainannot/ val/ valannot/ test/ testannot/'))
    return listing
