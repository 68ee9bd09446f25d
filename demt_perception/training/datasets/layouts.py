"""Which layout a folder has: the table of all that are known."""

from pathlib import Path
from types import ModuleType

from demt_perception.training.datasets import camvid, folder, nyud, pascal_context, rendered

LAYOUTS: dict[str, ModuleType] = {
    'nyud': nyud, 'pascal': pascal_context, 'camvid': camvid, 'rendered': rendered,
    'folder': folder}
"""Each has ``matches(root)``, ``splits(root)`` and ``scan(root, split)``; the first that
matches is taken."""


def detect_layout(root: str | Path) -> str:
    """Return the name of a folder's layout.

    Raises:
        FileNotFoundError: the folder does not exist, or has none that is known.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f'{root} is not a folder')
    for name, layout in LAYOUTS.items():
        if layout.matches(root):
            return name
    raise FileNotFoundError(
        f'{root} has no known layout: want gt_sets/ (NYUD-v2), ImageSets/Context/ '
        '(PASCAL-Context), trainannot/ (CamVid), instance/ and cameras/ (rendered) or images/ '
        '(your own data)')
