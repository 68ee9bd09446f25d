"""Measuring a network while it trains: the same metrics as ``demt eval``, at the input's size.

Labels are those of the protocol's validation transform: DeMT's keeps the picture's size and
pads, MTL-PyTorch's stretches to the network's, the driving one has half of that. ``demt eval``
measures the exported model at the labels' own size; the two differ a little.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from demt_perception.networks.heads import resize
from demt_perception.tasks import TASKS
from demt_perception.training.config import TrainConfig
from demt_perception.training.datasets import IGNORE
from demt_perception.training.metrics import create_metric, delta_m, Metric
from demt_perception.training.objective import Objective
from demt_perception.training.processes import gathered

THRESHOLDS = 19
"""Of boundaries: the 99 published ones take twice the time, and give 0.0006 more (docs)."""
SETTINGS: dict[str, dict[str, Any]] = {
    'edge': {'thresholds': THRESHOLDS}, 'depth': {'near': 1e-3, 'far': float('inf')}}
NYUD_TOLERANCE = 0.011   # of the diagonal, spec 1.10
Figures = dict[str, dict[str, float]]


def create_metrics(config: TrainConfig, tasks: Mapping[str, int]) -> dict[str, Metric]:
    """Return an empty metric for each task of a network."""
    settings = {task: dict(values) for task, values in SETTINGS.items()}
    if config.losses == 'demt_nyud' or any(s.layout == 'nyud' for s in config.validation):
        settings['edge']['tolerance'] = NYUD_TOLERANCE
    if config.protocol == 'driving':
        settings['depth']['far'] = config.far * 0.999   # what is there is sky, or cut
    return {task: create_metric(task, channels, **settings.get(task, {}))
            for task, channels in tasks.items()}


@torch.no_grad()
def measure(network: Callable[[Tensor, bool], Mapping[str, Tensor]],
            batches: Iterable[Mapping[str, Tensor]], metrics: Mapping[str, Metric],
            objective: Objective, count: int,
            ) -> Iterator[tuple[Mapping[str, Tensor], dict[str, np.ndarray]]]:
    """Add every picture to the metrics, and yield it with its predictions.

    Args:
        network: gives logits; in evaluation mode.
        batches: one picture each, with its labels, see ``loading``.
        metrics: by task.
        objective: knows what the depth logits mean.
        count: pictures to add; what comes after only keeps other processes company.
    """
    for number, batch in enumerate(batches):
        logits = network(batch['image'], False)
        if number >= count:
            continue
        predictions = {}
        for task, metric in metrics.items():
            target = batch[task]
            height, width = target.shape[-2:]
            fine = resize(logits[task].float(), (height, width))
            kind = TASKS[task].kind
            predictions[task] = PREDICTIONS[kind](fine, objective)
            metric.add(predictions[task], LABELS[kind](target[0].cpu().numpy()))
        yield batch, predictions


def merged(metrics: Mapping[str, Metric]) -> Mapping[str, Metric]:
    """Return the metrics over the pictures of all processes, the same in each of them."""
    first, *others = gathered(dict(metrics))
    for other in others:
        for task, metric in first.items():
            metric.merge(other[task])
    return first


def figures_of(metrics: Mapping[str, Metric]) -> tuple[Figures, dict[str, float]]:
    """Return all figures by task, and the main one of each."""
    return ({task: metric.summary() for task, metric in metrics.items()},
            {task: metric.main for task, metric in metrics.items()})


def gain(main: Mapping[str, float], reference: Mapping[str, float]) -> float:
    """Return Delta_m over the tasks whose reference is not 0; infinite where there is none."""
    tasks = [task for task, value in reference.items() if value and np.isfinite(value)]
    if not tasks or any(not np.isfinite(main[task]) for task in tasks):
        return float('inf') if not tasks else float('-inf')
    return delta_m({task: main[task] for task in tasks},
                   {task: reference[task] for task in tasks})


def _ids(logits: Tensor, _: Objective) -> np.ndarray:
    return logits[0].argmax(0).to(torch.uint8).cpu().numpy()


def _metres(logits: Tensor, objective: Objective) -> np.ndarray:
    return objective.metres(logits)[0, 0].clamp(min=0).cpu().numpy()


def _unit(logits: Tensor, _: Objective) -> np.ndarray:
    return F.normalize(logits[0], dim=0, eps=1e-6).permute(1, 2, 0).cpu().numpy()


def _probability(logits: Tensor, _: Objective) -> np.ndarray:
    if logits.shape[1] == 2:
        return logits.softmax(1)[0, 1].cpu().numpy()
    return torch.sigmoid(logits[0, 0]).cpu().numpy()


def _plane(label: np.ndarray) -> np.ndarray:
    return label[0] if label.ndim == 3 else label


def _id_label(label: np.ndarray) -> np.ndarray:
    return _plane(label).astype(np.uint8)


def _metre_label(label: np.ndarray) -> np.ndarray:
    plane = _plane(label)
    return np.where(plane == IGNORE, np.float32(np.nan), plane)


def _vector_label(label: np.ndarray) -> np.ndarray:
    known = (label != IGNORE).all(0)
    return np.where(known, label, np.float32(0)).transpose(1, 2, 0)


def _mask_label(label: np.ndarray) -> np.ndarray:
    plane = _plane(label)
    return np.where(plane == IGNORE, IGNORE, plane >= 0.5).astype(np.uint8)


PREDICTIONS: dict[str, Callable[[Tensor, Objective], np.ndarray]] = {
    'classes': _ids, 'scalar': _metres, 'vector': _unit, 'probability': _probability}
LABELS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    'classes': _id_label, 'scalar': _metre_label, 'vector': _vector_label,
    'probability': _mask_label}
