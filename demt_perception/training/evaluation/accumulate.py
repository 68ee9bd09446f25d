"""Adding up what a predictor gets right on many samples."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
import math
from typing import NamedTuple, Protocol

import numpy as np

from demt_perception.tasks import TASKS
from demt_perception.training.datasets import Sample
from demt_perception.training.datasets.sample import labels_of
from demt_perception.training.evaluation.sureness import Sureness
from demt_perception.training.metrics import Metric

Predict = Callable[[Sample], Mapping[str, np.ndarray]]
"""Returns {task: prediction at the size of the sample's image}, as the metrics want them; and
the outputs of `Sureness` by their names."""


NOTHING: Mapping[str, Sureness] = {}


class Samples(Protocol):
    """What can be measured on: a dataset, or a list of samples."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...


class Score(NamedTuple):
    """The main figure of one image alone, and its index in the dataset."""

    value: float
    place: int
    name: str


class Broken(NamedTuple):
    """A sample that could not be read or predicted on: its index, and why."""

    place: int
    reason: str


@dataclass
class Tally:
    """What was measured; those of parts of a set merge into that of the set, to the last bit.

    Attributes:
        metrics: {task: metric pooled over the images}.
        labelled: {task: images that have labels of it}.
        scores: {task: one for each of these that has a figure of its own}.
        images: samples measured.
        broken: samples that could not be.
        sureness: {task: metric of how sure the model is of it}, where it says.
        assumed: of the samples measured, those whose focal length the dataset does not know.
    """

    metrics: dict[str, Metric]
    labelled: dict[str, int]
    scores: dict[str, list[Score]]
    images: int = 0
    broken: list[Broken] = field(default_factory=list)
    sureness: dict[str, Metric] = field(default_factory=dict)
    assumed: int = 0

    def merge(self, other: 'Tally') -> None:
        """Add what another tally holds; in which order tallies come changes nothing.

        Raises:
            ValueError: the metrics are not the same.
        """
        if set(self.metrics) != set(other.metrics) or set(self.sureness) != set(other.sureness):
            raise ValueError(f'tallies of {sorted(self.metrics)} and {sorted(other.metrics)}: '
                             'want the same tasks')
        for task, metric in other.metrics.items():
            self.metrics[task].merge(metric)
            self.labelled[task] += other.labelled[task]
            self.scores[task] = sorted([*self.scores[task], *other.scores[task]],
                                       key=lambda score: score.place)
        for task, metric in other.sureness.items():
            self.sureness[task].merge(metric)
        self.images += other.images
        self.assumed += other.assumed
        self.broken = sorted([*self.broken, *other.broken])

    def worst(self, task: str, count: int, higher_is_better: bool) -> list[Score]:
        """Return the images with the worst figures, worst first."""
        sign = 1 if higher_is_better else -1
        return sorted(self.scores[task], key=lambda s: (sign * s.value, s.place))[:count]


def empty_tally(metrics: Mapping[str, Callable[[], Metric]],
                sureness: Mapping[str, Sureness] = NOTHING) -> Tally:
    """Return a tally of nothing."""
    return Tally({task: make() for task, make in metrics.items()}, dict.fromkeys(metrics, 0),
                 {task: [] for task in metrics},
                 sureness={task: kind.make() for task, kind in sureness.items()})


def evaluate(predict: Predict, samples: Samples | Sequence[Sample],
             metrics: Mapping[str, Callable[[], Metric]],
             indices: Iterable[int] | None = None,
             sureness: Mapping[str, Sureness] = NOTHING) -> Tally:
    """Measure predictions against every label that a sample has.

    A sample that cannot be read or predicted on is noted and counts in no metric.

    Args:
        predict: see `Predict`; may leave out what it is not asked for.
        samples: read one by one.
        metrics: {task: makes an empty metric}; the tasks that are measured.
        indices: of the samples to take; None: all.
        sureness: {task: what says how sure the model is of it}.
    """
    tally = empty_tally(metrics, sureness)
    for index in range(len(samples)) if indices is None else indices:
        try:
            sample = samples[index]
            measured, sure = _measure(predict, sample, metrics, sureness)
        except (OSError, ValueError) as error:
            tally.broken.append(Broken(index, str(error)))
            continue
        tally.images += 1
        tally.assumed += sample.focal is None
        for task, metric in sure.items():
            tally.sureness[task].merge(metric)
        for task, metric in measured.items():
            tally.metrics[task].merge(metric)
            tally.labelled[task] += 1
            if math.isfinite(metric.main) and _has_anything(sample, task):
                tally.scores[task].append(Score(metric.main, index, sample.name))
    return tally


def _measure(predict: Predict, sample: Sample,
             metrics: Mapping[str, Callable[[], Metric]], sureness: Mapping[str, Sureness],
             ) -> tuple[dict[str, Metric], dict[str, Metric]]:
    """Return the metrics of one image and of its sureness, for the tasks it has labels for."""
    labels = {task.name: label for task, label in labels_of(sample) if task.name in metrics}
    if not labels:
        return {}, {}
    predictions = predict(sample)
    measured, sure = {}, {}
    for task, label in labels.items():
        measured[task] = metrics[task]()
        measured[task].add(predictions[task], label)
        if task in sureness:
            kind = sureness[task]
            sure[task] = kind.make()
            sure[task].add(predictions[kind.output], kind.outcome(predictions[task], label))
    return measured, sure


def _has_anything(sample: Sample, task: str) -> bool:
    """Tell whether there is something to find: an F-measure without is 0, and says nothing."""
    return TASKS[task].kind != 'probability' or bool((getattr(sample, task) == 1).any())
