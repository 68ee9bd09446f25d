"""Figures of an evaluation, as a table and as plain values for JSON."""

from collections.abc import Mapping, Sequence
import math
from typing import Any

from demt_perception import __version__
from demt_perception.class_lists import HUMAN_PARTS
from demt_perception.inference import Predictor
from demt_perception.tasks import get_tasks, TASKS
from demt_perception.training.evaluation.accumulate import Tally
from demt_perception.training.evaluation.job import Job, open_job
from demt_perception.training.metrics import ConfusionMatrix

Figures = dict[str, dict[str, float]]
"""{task: {figure: value}}; ``images`` among them is how many have labels of the task."""


def figures_of(tally: Tally) -> Figures:
    """Return every figure of every task."""
    sure = {task: metric.summary() for task, metric in tally.sureness.items()}
    return {task: {**metric.summary(), **sure.get(task, {}), 'images': tally.labelled[task]}
            for task, metric in tally.metrics.items()}


def main_figures(tally: Tally) -> dict[str, float]:
    """Return {task: the figure that papers compare and that Delta_m takes}."""
    return {task: metric.main for task, metric in tally.metrics.items()}


def class_ious(tally: Tally, classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return {task: {class: IoU}}, NaN for a class that never occurs."""
    return {task: dict(zip(class_names(task, classes), map(float, metric.iou()), strict=True))
            for task, metric in tally.metrics.items() if isinstance(metric, ConfusionMatrix)}


def class_names(task: str, classes: Sequence[str]) -> tuple[str, ...]:
    """Return the names of a task's classes; `classes` are those of the dataset."""
    return tuple(classes) if TASKS[task].channels is None else HUMAN_PARTS


def table(figures: Mapping[str, Mapping[str, float]]) -> str:
    """Return the figures as lines of text: task, metric, value, images.

    Args:
        figures: {task: {figure: value}}; ``images`` where known.
    """
    rows = [('task', 'metric', 'value', 'images')]
    for task in get_tasks(figures):
        values = dict(figures[task.name])
        images = values.pop('images', None)
        for number, (name, value) in enumerate(values.items()):
            rows.append((task.name if not number else '', name, f'{value:.4f}',
                         f'{images:.0f}' if images is not None and not number else ''))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return '\n'.join(f'{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]:>{widths[2]}}  '
                     f'{row[3]:>{widths[3]}}'.rstrip() for row in rows)


def document(job: Job, tally: Tally) -> dict[str, Any]:
    """Return figures, IoU of classes and the conditions of the measurement, for JSON."""
    opened = open_job(job)
    near, far = opened.protocol.depth_range or opened.predictor.card.depth_range
    conditions = {
        **conditions_of(opened.predictor), 'dataset': job.root, 'layout': job.layout,
        'split': job.split, 'images': tally.images,
        'images_in_split': len(opened.samples) + len(opened.listing.absent),
        'broken': len(tally.broken), 'edge_tolerance': opened.protocol.tolerance,
        'edge_labels': 'outlines of the classes' if opened.outlines else 'of the dataset',
        'depth_labels_m': [near, far], 'focal_assumed': tally.assumed}
    return plain({'figures': figures_of(tally), 'main': main_figures(tally),
                  'iou': class_ious(tally, opened.listing.classes), 'conditions': conditions,
                  'broken': [broken.reason for broken in tally.broken]})


def conditions_of(predictor: Predictor) -> dict[str, Any]:
    """Return what a prediction depends on: model, engine, size, version."""
    card, engine = predictor.card, predictor.engine
    return {'model': card.name, 'model_sha256': card.onnx_sha256, 'engine': engine.name,
            'device': engine.device, 'precision': engine.precision,
            'input_size': list(predictor.input_size), 'package': f'demt_perception {__version__}'}


def plain(value: Any) -> Any:
    """Return a value that JSON has: numbers that are not finite become None."""
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
