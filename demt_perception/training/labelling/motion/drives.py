"""The drives that photographs belong to, and what is known of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import re

import numpy as np

from demt_perception.training.labelling.motion.ground import Ground
from demt_perception.training.labelling.motion.pose import Step

FEWEST_THINGS, LOWEST, HIGHEST = 10, 0.5, 4.0
"""Sightings of people and cars, and metres that they may make the camera high."""


@dataclass
class Drive:
    """Pictures of one camera in a row, and what all of them together tell of it.

    Attributes:
        indices: of the pictures in the dataset, in order.
        steps: {index: (index, step) to the pictures before and after}.
        ground: None where too little moved, or nothing of known size was seen.
        seen: how high each sighting of a person or car makes the camera, in metres.
        given: the height was, and none of these counts.
    """

    indices: list[int]
    steps: dict[int, list[tuple[int, Step]]] = field(default_factory=dict)
    ground: Ground | None = None
    seen: list[float] = field(default_factory=list)
    given: bool = False


def split_drives(names: Sequence[str]) -> dict[str, Drive]:
    """Return the drives that pictures belong to by their names, in order of their names."""
    drives: dict[str, Drive] = {}
    for index in sorted(range(len(names)), key=lambda each: [
            (part.isdigit(), int(part) if part.isdigit() else 0, part)
            for part in re.split(r'(\d+)', names[each])]):
        drives.setdefault(names[index].rpartition('_')[0], Drive([])).indices.append(index)
    return drives


def describe(drives: Mapping[str, Drive]) -> list[str]:
    """Return a line a drive, of those that were surveyed."""
    lines = []
    for name, drive in drives.items():
        line = f'{name or "pictures"}: '
        if not drive.steps:
            lines.append(f'{line}all written before')
            continue
        told = sum(map(bool, drive.steps.values()))
        line += f'{told} of {len(drive.indices)} pictures show how the camera moved'
        height = (f', by {len(drive.seen)} sightings of people and cars '
                  f'{np.median(drive.seen):.2f} m') if drive.seen else ''
        if drive.ground and drive.given:
            line += f'; {drive.ground.height:.2f} m high as given{height}'
        elif drive.ground:
            line += f'; {height[2:]} high'
        elif told:
            line += (f'{height or ", no person or car how high it is"}: depth of the sky only '
                     f'(want {FEWEST_THINGS} sightings and {LOWEST} to {HIGHEST} m, or '
                     '--camera-height)')
        else:
            line += ': depth of the sky only'
        lines.append(line)
    return lines
