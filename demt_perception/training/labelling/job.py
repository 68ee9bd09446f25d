"""Pictures in, a folder with labels out; continues where it was stopped."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from demt_perception.model_card import file_sha256
from demt_perception.tasks import TASKS
from demt_perception.training.config import ConfigError
from demt_perception.training.datasets import FileDataset, IGNORE, soft
from demt_perception.training.datasets.output import refuse_overwriting, same_source
from demt_perception.training.datasets.sample import known_share, labels_of, Sample
from demt_perception.training.datasets.writing import is_written, write_description, write_sample
from demt_perception.training.evaluation.motion import estimate_motion
from demt_perception.training.labelling.averaging import average, farthest, Opinions
from demt_perception.training.labelling.voting import coarser, vote
from demt_perception.training.metrics.suppression import suppress
from demt_perception.training.packing import check_picture_size, shrunk
from demt_perception.training.teaching import Teacher

UNSURE = 0.35, 0.65
"""Probabilities between these are ignored."""
RIDGE = 0.7
"""A boundary is where a ridge is higher, and only the ridge: boundaries are learned with positives
weighted 9 to 1, so that where a network says 0.65 one pixel in six is one. All of them would be a
band of twice the width."""
NEARLY = 0.98
"""Share of the greatest depth that is taken for the sky."""


class Labelled(NamedTuple):
    """What a job has done.

    Attributes:
        pictures: that are labelled now, by it and before.
        kept: {task: share of the pixels that keep their label}, of the pictures of this time that
            have the task.
    """

    pictures: int
    kept: dict[str, float]


def label_pictures(dataset: FileDataset, teachers: Sequence[Teacher], out: str | Path,
                   size: tuple[int, int], *, least: float = 0.6,
                   scales: Sequence[float] = (1.0,), temporal: bool = True,
                   every: int = 1) -> Labelled:
    """Write pictures with labels by teachers; return what there is now.

    Frames of one clip (names that differ after the last ``_`` only) vote on each other's labels,
    see ``voting``. What does not hold, or is less sure than ``least``, is ignored.

    Args:
        dataset: pictures in order; their labels do not matter. Depth needs a focal length.
        teachers: networks, of the same classes.
        out: folder in the plain layout; labels are half as fine as pictures, soft ones a quarter.
        size: (height, width) of the pictures written.
        least: probability of the likeliest class that is kept.
        scales: see ``averaging.average``.
        temporal: let frames vote.
        every: label every n-th picture; those between only vote, and should be near in time.

    Raises:
        ConfigError: teachers differ in their classes, a number does not fit, or ``out`` holds what
            is read, another's pictures, or labels made otherwise.
        ValueError: a picture cannot be read.
        OSError: likewise, or a file cannot be written.
    """
    from tqdm import tqdm

    out = Path(out)
    if min(size) < 4 or any(side % 4 for side in size):
        raise ConfigError(f'size {size[0]}x{size[1]}: want multiples of 4: soft labels are a '
                          'quarter of the picture')
    check_picture_size(size)
    if not 0 <= least <= 1 or not all(scale > 0 for scale in scales):
        raise ConfigError(f'least {least}, scales {list(scales)}: want a probability of 0 to 1, '
                          'and sizes above 0')
    if len({teacher.config.classes for teacher in teachers}) > 1:
        raise ConfigError('the teachers differ in their classes: want teachers of one list')
    made_by = ', '.join(f'{t.path.parent.name} {file_sha256(t.path)[:12]}' for t in teachers)
    source = (f'demt label by {made_by}, {size[0]}x{size[1]}, least {least}, scales '
              f'{list(scales)}, temporal {temporal}')
    refuse_overwriting(out, dataset.entries)
    same_source(out, source)
    config = teachers[0].config
    write_description(out, config.classes, config.palette, source=source)
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    for teacher in teachers:
        teacher.network.to(device)
    seen: dict[int, tuple[Sample, Opinions]] = {}
    shares: dict[str, list[float]] = {}

    def look(index: int) -> tuple[Sample, Opinions]:
        if index not in seen:
            for old in [i for i in seen if i < index - 2]:
                del seen[old]
            sample = shrunk(_bare(dataset, index), size)
            seen[index] = sample, average(teachers, sample.image, scales, sample.focal, device)
        return seen[index]

    for index in tqdm(range(0, len(dataset), every), 'labelling', ncols=80, unit='picture'):
        if is_written(out, dataset.names[index]):
            continue
        sample, own = look(index)
        others = [look(i) for i in _nearby(dataset.names, index)] if temporal else []
        agreed, holds = vote(own, [
            (opinions, coarser(estimate_motion(_bgr(other), _bgr(sample))))
            for other, opinions in others])
        sky = NEARLY * farthest(teachers, size, scales, sample.focal)
        labelled = replace(sample, **labels(agreed, holds, least, sky))
        write_sample(out, labelled, 85)
        for task, label in labels_of(labelled):
            shares.setdefault(task.name, []).append(known_share(task, label))
    return Labelled(sum(is_written(out, name) for name in dataset.names[::every]),
                    {task: sum(values) / len(values) for task, values in shares.items()})


def labels(opinions: Opinions, holds: dict[str, np.ndarray], least: float,
           sky: float) -> dict[str, Any]:
    """Return the fields of a ``Sample``: labels, ignored where they do not hold.

    Args:
        opinions: on the grid of the labels.
        holds: {task: bool (h,w)}.
        least: see ``label_pictures``.
        sky: metres from where on depth is infinite.
    """
    out: dict[str, Any] = {}
    for task, opinion in opinions.items():
        known = holds[task]
        kind = TASKS[task].kind
        if kind == 'classes':
            known = known & (opinion.max(0) >= least)
            out[task] = np.where(known, opinion.argmax(0), IGNORE).astype(np.uint8)
        elif kind == 'scalar':
            metres = np.exp(opinion)
            metres[metres >= sky] = np.inf
            out[task] = np.where(known, metres, np.float32(np.nan))
        elif kind == 'vector':
            out[task] = np.where(known[..., None], opinion.transpose(1, 2, 0), np.float32(0))
        else:
            found = suppress(opinion) > RIDGE if task == 'edge' else opinion >= UNSURE[1]
            known = known & (found | (opinion <= UNSURE[0]))
            out[task] = np.where(known, found, IGNORE).astype(np.uint8)
        if task == 'semseg':
            out['soft'] = _soft(opinion, known)
    if 'depth' in out and 'normals' in out:
        out['normals'][np.isinf(out['depth'])] = 0  # the sky has no surface
    return out


def _soft(likely: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the coded distributions on half the grid; known where all four pixels are."""
    height, width = (side // 2 * 2 for side in known.shape)
    coarse = likely[:, :height, :width].reshape(len(likely), height // 2, 2, width // 2, 2)
    whole = known[:height, :width].reshape(height // 2, 2, width // 2, 2)
    return soft.encode(coarse.mean((2, 4)), np.asarray(whole.all((1, 3))))


def _bare(dataset: FileDataset, index: int) -> Sample:
    sample = dataset[index]
    return Sample(sample.image, focal=sample.focal, name=sample.name)


def _nearby(names: Sequence[str], index: int) -> Iterable[int]:
    """Return the frames before and after, where they are of the same clip."""
    clip = names[index].rpartition('_')[0]
    return [i for i in (index - 1, index + 1)
            if clip and 0 <= i < len(names) and names[i].rpartition('_')[0] == clip]


def _bgr(sample: Sample) -> np.ndarray:
    return cv2.cvtColor(sample.image, cv2.COLOR_RGB2BGR)
