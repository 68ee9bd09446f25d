"""Generated street scenes in the layout of ``demt generate``: plain folders, exact labels."""

from pathlib import Path

from demt_perception.training.datasets import folder
from demt_perception.training.datasets.files import FileDataset, Listing, Problem


class Rendered(FileDataset):
    """Rendered views with labels for every driving task, and their cameras.

    Args:
        root: the folder that was given to ``demt generate --out``.

    Raises:
        FileNotFoundError: no view is complete.
    """

    def __init__(self, root: str | Path):
        listing = scan(Path(root))
        if not listing.entries:
            raise FileNotFoundError(
                f'no complete view in {root}: run `demt generate --out {root}`')
        super().__init__(listing)


def matches(root: Path) -> bool:
    """Tell whether a folder holds this layout."""
    return (root / 'instance').is_dir() and (root / 'cameras').is_dir()


def splits(_: Path) -> list[str]:
    """Return [''], the whole folder."""
    return ['']


def scan(root: Path, _: str = '') -> Listing:
    """Return the complete views: those with a camera file, which is written last."""
    listing = folder.scan(root, '')
    listing.problems += [Problem(entry.image, 'no camera file: the view is not complete')
                         for entry in listing.entries if not entry.camera]
    listing.entries = [entry for entry in listing.entries if entry.camera]
    return listing
