"""What is measured on what, as something that can be sent to any process."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from demt_perception.inference import find_model, Predictor
from demt_perception.model_card import load_card
from demt_perception.tasks import TASKS
from demt_perception.training.datasets import (
    class_edges,
    FileDataset,
    IGNORE,
    LAYOUTS,
    Sample,
    STRETCHED,
)
from demt_perception.training.datasets.files import Listing
from demt_perception.training.evaluation.accumulate import Predict
from demt_perception.training.evaluation.classes import class_map
from demt_perception.training.evaluation.errors import EvaluationError
from demt_perception.training.evaluation.predicting import predict_with
from demt_perception.training.evaluation.protocol import metric_makers, Protocol, protocol_of
from demt_perception.training.evaluation.sureness import Sureness, sureness_of
from demt_perception.training.metrics import Metric


@dataclass(frozen=True)
class Job:
    """A model folder and a dataset; plain values, equal on every machine.

    Attributes:
        model: the folder.
        root: of the dataset.
        layout, split: as in `LAYOUTS`.
        tasks: names; empty: all that both have.
        engine, threads, input_size: as `Predictor` takes them.
        fit: take the input size that suits the first picture, where none is given.
        precision: as `Predictor` takes it.
    """

    model: str
    root: str
    layout: str
    split: str
    tasks: tuple[str, ...] = ()
    engine: str = 'auto'
    threads: int = 0
    input_size: tuple[int, int] | None = None
    fit: bool = False
    precision: str = 'auto'


@dataclass(frozen=True)
class Opened:
    """A job made real.

    Attributes:
        predictor: runs the model.
        listing: what the dataset holds.
        samples: its labels as they are measured.
        tasks: names of those that are measured.
        outlines: the boundaries are those of the classes: the dataset has no own.
        metrics: {task: makes an empty metric}.
        predict: the model's prediction on a sample, in the dataset's ids.
        classes: uint8 (256,), the dataset's id of every id of the model.
        protocol: settings of the metrics.
        sureness: {task: what says how sure the model is of it}.
    """

    predictor: Predictor
    listing: Listing
    samples: 'Labels'
    tasks: tuple[str, ...]
    outlines: bool
    metrics: dict[str, Callable[[], Metric]]
    predict: Predict
    classes: np.ndarray | None
    protocol: Protocol
    sureness: dict[str, Sureness]


class Labels:
    """The samples of a dataset, with their labels as they are measured.

    Args:
        dataset: gives the samples.
        outlines: take the outlines of the classes as boundaries.
        people_only: ignore human parts where a picture shows none.
    """

    def __init__(self, dataset: FileDataset, outlines: bool, people_only: bool):
        self.dataset, self.outlines, self.people_only = dataset, outlines, people_only

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        sample = self.dataset[index]
        if self.outlines and sample.semseg is not None:
            sample = replace(sample, edge=class_edges(sample.semseg))
        parts = sample.human_parts
        if self.people_only and parts is not None and not ((parts > 0) & (parts != IGNORE)).any():
            sample = replace(sample, human_parts=None)
        return sample


@lru_cache(maxsize=1)   # a process works on many shards of one job
def open_job(job: Job) -> Opened:
    """Load the model and list the dataset.

    Raises:
        ModelCardError, EngineError: the model does not run.
        EvaluationError: model and dataset have no task in common, or other classes, or there is
            nothing to measure on.
        OSError: the dataset cannot be listed.
    """
    listing = LAYOUTS[job.layout].scan(Path(job.root), job.split)
    if not listing.entries:
        reasons = '; '.join(f'{p}: {r}' for p, r in (listing.problems + listing.absent)[:1])
        raise EvaluationError(f'no picture to measure on in {job.root} {reasons}'.rstrip())
    card, protocol = load_card(find_model(job.model)), protocol_of(job.layout)
    outlines = 'edge' not in listing.formats and 'semseg' in listing.formats
    there = {*listing.formats, *(('edge',) if outlines else ())}
    tasks = _common(job.tasks, card.tasks, [name for name in TASKS if name in there])
    classes = class_map(card.classes, listing.classes) if 'semseg' in tasks else None
    # Those that are missing are counted as broken pictures by `shards.measure`.
    drawn = outlines and 'edge' in tasks
    dataset = FileDataset(replace(listing, absent=[]),
                          {*tasks} - {'edge'} | {'semseg'} if drawn else tasks,
                          resize=job.layout in STRETCHED)
    samples = Labels(dataset, drawn, protocol.people_only)
    predictor = Predictor(job.model, job.engine, job.threads, job.input_size,
                          _first_size(samples) if job.fit else None, job.precision)
    sureness = sureness_of(card, tasks, len(listing.classes),
                           protocol.depth_range or card.depth_range)
    return Opened(
        predictor, listing, samples, tasks, drawn,
        metric_makers(tasks, len(listing.classes), protocol, card.depth_range),
        predict_with(predictor, tasks, classes, [kind.output for kind in sureness.values()]),
        classes, protocol, sureness)


def _first_size(samples: Labels) -> tuple[int, int] | None:
    """Return (height, width) of the first picture that can be read; None where none can."""
    for index in range(len(samples)):
        try:
            height, width = samples[index].image.shape[:2]
        except (OSError, ValueError):   # counted when it is measured
            continue
        return height, width
    return None


def _common(wanted: Sequence[str], model: Sequence[str], dataset: Sequence[str],
            ) -> tuple[str, ...]:
    """Return the tasks to measure, in the order of the table of tasks."""
    odd = [task for task in wanted if task not in model or task not in dataset]
    common = tuple(task for task in dataset if task in model and task in (wanted or model))
    if odd or not common:
        raise EvaluationError(
            f'tasks {", ".join(odd) or "in common"}: none to measure; the model has '
            f'{", ".join(model)}, the dataset {", ".join(dataset)}')
    return common
