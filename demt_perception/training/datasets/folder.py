"""Your own data in plain folders, one file a picture and label, all of the same stem.

::

    images/NAME.jpg|png        the pictures
    semseg/NAME.png            8-bit class ids, 255 ignored
    depth/NAME.npy|png         float metres along Z (NaN or 0 unknown, inf sky), or 16-bit mm
                               (or counts of `depth_unit`, 65535 sky)
    normals/NAME.npy|png       unit vectors, x right, y down, z forward; or 8-bit (n + 1) / 2
    edge/NAME.png              255 on a boundary, 0 elsewhere, 127 ignored
    human_parts/NAME.png       8-bit part ids 0..6, 255 ignored
    sal/NAME.png               255 salient, 0 not, 127 ignored
    semseg_soft/NAME.png       a teacher's distribution over the classes, see ``soft`` (optional)
    cameras/NAME.yaml          fx, fy in pixels (optional)
    splits/SPLIT.txt           names, one a line (optional; without: every picture)
    dataset.yaml               classes: [...], palette: [[r, g, b], ...], focal: f or [fx, fy],
                               partial: [tasks whose labels some pictures lack],
                               depth_unit: metres, stretched: true (labels may be smaller than
                               their pictures)

A folder that does not exist is a task without labels.
"""

from collections.abc import Iterable
from dataclasses import replace
import difflib
from pathlib import Path
from typing import Any

from demt_perception.class_lists import HUMAN_PARTS
from demt_perception.tasks import TASKS
from demt_perception.training.datasets import formats
from demt_perception.training.datasets.files import (
    FileDataset,
    list_entries,
    Listing,
    Places,
    Problem,
    read_names,
)
from demt_perception.training.datasets.reading import read_yaml

UNKNOWN = formats.UNKNOWN_GREY
KEYS = ('classes', 'palette', 'focal', 'partial', 'depth_unit', 'stretched', 'name', 'source',
        'licence', 'description')
# What `demt generate` tells of its own files.
RENDERED_KEYS = ('cityscapes', 'ignore', 'width', 'height', 'depth', 'normals', 'edge', 'instance')
SUFFIXES = ('.npy', '.png')
SOFT = 'semseg_soft'


class Folder(FileDataset):
    """A user's own pictures and labels; see the module for the layout.

    Args:
        root: the folder.
        split: a name in ``splits/``; '' for every picture.
        tasks: labels to read; None: all.
    """

    def __init__(self, root: str | Path, split: str = '', tasks: Iterable[str] | None = None):
        super().__init__(scan(Path(root), split), tasks)


def matches(root: Path) -> bool:
    """Tell whether a folder holds this layout."""
    return (root / 'images').is_dir()


def splits(root: Path) -> list[str]:
    """Return the names of the splits, or [''] for the whole folder."""
    return sorted(path.stem for path in (root / 'splits').glob('*.txt')) or ['']


def scan(root: Path, split: str) -> Listing:
    """Return what the folder holds of a split."""
    listing = Listing(root, [], {}, ())
    partial, unit = _describe(listing)
    tasks = [task for task in TASKS if (root / task).is_dir()]
    if 'semseg' in tasks and not listing.classes:
        listing.problems.append(Problem(root / 'dataset.yaml',
                                        'no classes for semseg/: want classes: [name, ...]'))
    every = {
        'semseg': formats.ids(len(listing.classes) or 255), 'depth': formats.depth(unit),
        'normals': formats.normals(cleaned=True), 'edge': formats.mask(unknown=UNKNOWN),
        'human_parts': formats.ids(len(HUMAN_PARTS)), 'sal': formats.mask(True, UNKNOWN)}
    listing.formats = {task: every[task] for task in tasks}
    places: Places = {task: tuple((f'{task}/{{}}{suffix}',) for suffix in _suffixes(task))
                      for task in tasks}
    names = read_names(root / 'splits' / f'{split}.txt', listing) if split else None
    list_entries(listing, names, 'images', places, partial, 'cameras')
    if (root / SOFT).is_dir():
        listing.entries = [replace(entry, soft=path) if (
            path := root / SOFT / f'{entry.name}.png').is_file() else entry
            for entry in listing.entries]
    if names is None and not listing.entries:
        listing.problems.append(Problem(root / 'images', 'no picture (.jpg, .png)'))
    listing.problems += orphans(root, tasks)
    return listing


def orphans(root: Path, tasks: Iterable[str]) -> list[Problem]:
    """Return the label files that belong to no picture, and those of an unread type."""
    known = {path.stem for path in (root / 'images').glob('*')}
    out = []
    for task in tasks:
        for path in sorted((root / task).iterdir()):
            if path.suffix not in _suffixes(task):
                out.append(Problem(path, f'not read: want {" or ".join(_suffixes(task))}'))
            elif path.stem not in known:
                out.append(Problem(path, 'no picture of this name in images/'))
    return out


def _suffixes(task: str) -> tuple[str, ...]:
    return SUFFIXES if TASKS[task].kind in ('scalar', 'vector') else ('.png',)


def _describe(listing: Listing) -> tuple[tuple[str, ...], float]:
    """Take what dataset.yaml says; return the tasks that are partial, and the unit of depth."""
    path = listing.root / 'dataset.yaml'
    if not path.exists():
        return (), 0.0
    try:
        content = read_yaml(path)
    except (OSError, ValueError) as error:
        listing.faults.append(Problem(path, str(error)))
        return (), 0.0
    wrong = [f'unknown key {key!r}' + _nearest(str(key)) for key in content
             if key not in KEYS + RENDERED_KEYS]
    for key, take in (('classes', _classes), ('palette', _palette), ('focal', _focal),
                      ('partial', _partial),
                      ('depth_unit', _unit), ('stretched', _flag)):
        try:
            content[key] = take(content[key]) if key in content else None
        except (TypeError, ValueError, OverflowError) as error:
            wrong.append(f'{key}: {error}')
            content[key] = None
    listing.faults += [Problem(path, reason) for reason in wrong]
    listing.classes = content['classes'] or ()
    listing.palette = content['palette'] or ()
    listing.focal = content['focal']
    listing.stretched = content['stretched'] or False
    if listing.palette and len(listing.palette) != len(listing.classes):
        listing.faults.append(Problem(path, f'{len(listing.palette)} colours in the palette '
                                      f'for {len(listing.classes)} classes'))
    return content['partial'] or (), content['depth_unit'] or 0.0


def _nearest(key: str) -> str:
    near = difflib.get_close_matches(key, KEYS, 1)
    return f': did you mean {near[0]!r}?' if near else f': want one of {", ".join(KEYS)}'


def _classes(value: Any) -> tuple[str, ...]:
    names = tuple(str(name) for name in value) if isinstance(value, list) else ()
    if not 0 < len(names) < 256 or len(set(names)) != len(names):
        raise ValueError(f'{str(value)[:80]}: want a list of 1 to 255 different names')
    return names


def _palette(value: Any) -> tuple[tuple[int, int, int], ...]:
    colors = tuple((int(r), int(g), int(b)) for r, g, b in value)
    if not all(0 <= part <= 255 for color in colors for part in color):
        raise ValueError('want [red, green, blue] of 0..255')
    return colors


def _focal(value: Any) -> tuple[float, float]:
    fx, fy = value if isinstance(value, list) else (value, value)
    focal = float(fx), float(fy)
    if not all(0 < f < float('inf') for f in focal):
        raise ValueError(f'{value}: want positive numbers of pixels')
    return focal


def _unit(value: Any) -> float:
    unit = float(value)
    if not 0 < unit < float('inf'):
        raise ValueError(f'{value}: want a positive number of metres')
    return unit


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError(f'{value!r}: want true or false')
    return value


def _partial(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not set(map(str, value)) <= set(TASKS):
        raise ValueError(f'{str(value)[:80]}: want a list of tasks of {list(TASKS)}')
    return tuple(value)
