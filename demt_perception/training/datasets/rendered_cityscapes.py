"""Generated street scenes with the 19 classes of Cityscapes in place of the 11 of CamVid."""

from pathlib import Path

from demt_perception.class_lists import CITYSCAPES, CITYSCAPES_PALETTE
from demt_perception.training.datasets import formats, rendered
from demt_perception.training.datasets.files import Listing, Problem

FOLDER = 'cityscapes'


def matches(_: Path) -> bool:
    """Return False: a folder of renders is read with CamVid's classes unless told otherwise."""
    return False


def splits(root: Path) -> list[str]:
    """Return [''], the whole folder."""
    return rendered.splits(root)


def scan(root: Path, _: str = '') -> Listing:
    """Return the complete views that have Cityscapes labels; views made before have none."""
    listing = rendered.scan(root)
    kept = []
    for entry in listing.entries:
        path = root / FOLDER / f'{entry.name}.png'
        if path.is_file():
            kept.append(entry)
            entry.labels['semseg'] = (path,)
        else:
            listing.problems.append(Problem(path, 'missing: the view was made before there were '
                                            'Cityscapes labels; remove its camera file and run '
                                            '`demt generate` again'))
    listing.entries = kept
    listing.classes, listing.palette = CITYSCAPES, CITYSCAPES_PALETTE
    listing.formats['semseg'] = formats.ids(len(CITYSCAPES))
    return listing
