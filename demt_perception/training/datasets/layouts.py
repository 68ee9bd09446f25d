"""Which layout a folder has: the table of all that are known."""

from pathlib import Path
from types import ModuleType

from demt_perception.training.checked import ConfigError
from demt_perception.training.datasets import (
    camvid,
    folder,
    nyud,
    pascal_context,
    rendered,
    rendered_cityscapes,
    video,
)
from demt_perception.training.datasets.files import Listing

LAYOUTS: dict[str, ModuleType] = {
    'nyud': nyud, 'pascal': pascal_context, 'camvid': camvid, 'rendered': rendered,
    'rendered_cityscapes': rendered_cityscapes, 'video': video, 'folder': folder}
"""Each has ``matches(root)``, ``splits(root)`` and ``scan(root, split)``; the first that
matches is taken."""
STRETCHED = ('nyud', 'pascal')
"""The papers' archives have a few labels of another size than their picture."""


def list_split(layout: str, root: Path, split: str) -> Listing:
    """Return what a dataset holds of a split; of '', what its layout takes for the whole.

    Raises:
        ConfigError: it has no such split.
        FileNotFoundError: the layout needs one, and none is named.
    """
    splits = LAYOUTS[layout].splits(root)
    if split and split not in splits:
        remedy = ('it has none, leave it out' if splits == [''] else
                  f'want one of {", ".join(splits) or "none; is this the folder?"}')
        raise ConfigError(f'{root} ({layout}) has no split {split!r}: {remedy}')
    listing: Listing = LAYOUTS[layout].scan(root, split)
    return listing


def detect_layout(root: str | Path) -> str:
    """Return the name of a folder's layout.

    Raises:
        FileNotFoundError: the folder does not exist, or has none that is known.
    """
    root = Path(root)
    if not root.is_dir() and not video.matches(root):
        raise FileNotFoundError(f'{root} is not a folder')
    for name, layout in LAYOUTS.items():
        if layout.matches(root):
            return name
    raise FileNotFoundError(
        f'{root} has no known layout: want gt_sets/ (NYUD-v2), ImageSets/Context/ '
        '(PASCAL-Context), trainannot/ (CamVid), instance/ and cameras/ (rendered), video.yaml '
        '(unlabelled video) or images/ (your own data)')
