"""Checking a dataset: every file opened and judged, every problem named, nothing raised."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from demt_perception.tasks import TASKS
from demt_perception.training.datasets import own, soft
from demt_perception.training.datasets.files import Entry, Listing, Problem, read_focal
from demt_perception.training.datasets.integrity import damage
from demt_perception.training.datasets.layouts import LAYOUTS
from demt_perception.training.datasets.reading import SUFFIXES
from demt_perception.training.datasets.summary import Summary

OWN = 'folder'
"""The layout that users fill. The papers' archives have their splits, and no focal lengths."""


def check_dataset(root: str | Path, layout: str,
                  progress: Callable[[int, int], None] = lambda done, total: None,
                  ) -> tuple[list[Problem], dict[str, Summary]]:
    """Open every file of a dataset and judge it.

    Args:
        root: the folder.
        layout: a name in LAYOUTS.
        progress: called with the number of pictures judged and of all.

    Returns:
        All problems in the order of the splits, and {split: its summary}.

    Raises:
        ModuleNotFoundError: the layout needs a package that is not installed.
    """
    module, root = LAYOUTS[layout], Path(root)
    problems: list[Problem] = []
    listings: dict[str, Listing] = {}
    for split in module.splits(root):
        try:
            listings[split] = module.scan(root, split)
        except (OSError, ValueError) as error:
            problems.append(Problem(root, f'split {split!r}: {error}'))
    if not listings:
        problems.append(Problem(root, 'no split'))
    total, done = sum(len(listing.entries) for listing in listings.values()), 0
    summaries = {}
    sizes: dict[str, tuple[int, ...]] = {}
    for split, listing in listings.items():
        problems += listing.faults + listing.absent + listing.problems
        summary = summaries[split] = Summary(listing.classes, listing.formats)
        for entry in listing.entries:
            # What overflows in a stray file is reported by its own rule.
            with np.errstate(all='ignore'):
                problems += _judge(entry, listing, summary, sizes)
            done += 1
            progress(done, total)
    if layout == OWN:
        problems += own.focal_lengths(listings.values(), sizes)
        problems += own.shared_pictures(root, listings)
    # Splits share folders, and so what is wrong with these.
    return list(dict.fromkeys(problems)), summaries


def _judge(entry: Entry, listing: Listing, summary: Summary,
           sizes: dict[str, tuple[int, ...]]) -> list[Problem]:
    """Return what is wrong with one picture, its labels and its camera; note it in the others."""
    out: list[Problem] = []
    size: tuple[int, ...] | None = None
    try:
        size = sizes[entry.name] = listing.read(entry.image).shape[:2]
        out += _damaged(entry.image)
    except (OSError, ValueError) as error:
        out.append(_problem(entry.image, error))
    summary.add_picture(size)
    for task, paths in entry.labels.items():
        form = listing.formats[task]
        try:
            raw = form.load(*paths)
            faults = form.faults(raw)
            label = form.decode(raw)
        except (OSError, ValueError) as error:
            reason = str(error)
            out.append(Problem(_culprit(paths, reason), _without(paths, reason)))
            continue
        out += [Problem(paths[0], fault) for fault in faults]
        for path in paths:
            out += _damaged(path)
        if size and label.shape[:2] != size and not listing.stretched:
            out.append(Problem(paths[0], f'{task} is {label.shape[0]}x{label.shape[1]}, its '
                               f'picture {size[0]}x{size[1]}'))
        summary.add_label(TASKS[task], label)
    if entry.soft:
        try:
            soft.read(entry.soft, len(listing.classes))
            out += _damaged(entry.soft)
        except (OSError, ValueError) as error:
            out.append(_problem(entry.soft, error))
    if entry.camera:
        try:
            read_focal(entry.camera)
        except (OSError, ValueError) as error:
            out.append(_problem(entry.camera, error))
    return out


def _damaged(path: Path) -> list[Problem]:
    if path.suffix.lower() not in SUFFIXES:
        return []
    reason = damage(path.read_bytes())
    return [Problem(path, reason)] if reason else []


def _culprit(paths: tuple[Path, ...], reason: str) -> Path:
    """Return which of a label's files an error names first."""
    named = [path for path in paths if str(path) in reason]
    return min(named, key=lambda path: reason.index(str(path))) if named else paths[0]


def _problem(path: Path, error: Exception) -> Problem:
    return Problem(path, _without((path,), str(error)))


def _without(paths: tuple[Path, ...], reason: str) -> str:
    """Drop the path that starts a reason: a problem has it already."""
    for path in paths:
        if reason.startswith(str(path)):
            return reason[len(str(path)):].lstrip(': ')
    return reason
