"""The pictures that a model does worst on: picture, label and prediction side by side."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from demt_perception.inference import colors
from demt_perception.inference.resize import nearest, shrink
from demt_perception.inference.sheet import arrange
from demt_perception.model_card import ModelCard
from demt_perception.tasks import Task, TASKS
from demt_perception.training.datasets import IGNORE
from demt_perception.training.evaluation.accumulate import Score, Tally
from demt_perception.training.evaluation.job import Opened
from demt_perception.training.plots.picture import write_picture

COUNT = 4
WIDTH = 480   # pixels of a panel
UNKNOWN = 128


def plot_worst(path: Path, opened: Opened, tally: Tally, task: str) -> None:
    """Write the worst images of a task as one PNG file; nothing where no image has a figure.

    Args:
        path: of the file.
        opened: model and dataset; the model runs again on the few images.
        tally: what was measured.
        task: its name.
    """
    worst = tally.worst(task, COUNT, TASKS[task].higher_is_better)
    if not worst:
        return
    card = _card_in_ids_of_dataset(opened)
    views: dict[str, np.ndarray] = {}
    captions: dict[str, str] = {}
    for number, score in enumerate(worst):
        for part, picture, caption in _panels(opened, score, TASKS[task], card,
                                              tally.metrics[task].MAIN):
            views[f'{number} {part}'], captions[f'{number} {part}'] = picture, caption
    # Pictures of a set need not be of one size; panels must.
    size = next(iter(views.values())).shape[:2]
    views = {name: nearest(view, size) for name, view in views.items()}
    write_picture(path, arrange(views, card, captions))


def _panels(opened: Opened, score: Score, task: Task, card: ModelCard, figure: str,
            ) -> list[tuple[str, np.ndarray, str]]:
    sample = opened.samples[score.place]
    prediction = opened.predict(sample)[task.name]
    draw = DRAW[task.kind]
    height, width = sample.image.shape[:2]
    size = (max(1, round(WIDTH * height / width)), WIDTH)
    name = f'{sample.name[-28:]}: {figure} {score.value:.3f}'
    return [('picture', shrink(np.ascontiguousarray(sample.image[..., ::-1]), size), name),
            ('label', _fit(draw(getattr(sample, task.name), task, card), size),
             f'{task.name}, label'),
            ('prediction', _fit(draw(prediction, task, card), size), f'{task.name}, prediction')]


def _fit(rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.cvtColor(shrink(rgb, size), cv2.COLOR_RGB2BGR)


def _card_in_ids_of_dataset(opened: Opened) -> ModelCard:
    """Return the model's card with classes and colours in the order of the dataset's ids."""
    card = opened.predictor.card
    if opened.classes is None:
        return card
    order = np.argsort(opened.classes[:len(card.classes)])
    return replace(card, classes=tuple(card.classes[i] for i in order),
                   palette=tuple(card.palette[i] for i in order))


def _draw_ids(ids: np.ndarray, task: Task, card: ModelCard) -> np.ndarray:
    table = colors.class_table(card) if task.channels is None else colors.parts_table()
    return colors.colorize(ids, table)


def _draw_depth(metres: np.ndarray, _: Task, card: ModelCard) -> np.ndarray:
    valid = np.where(np.isfinite(metres) & (metres > 0), metres, np.float32('nan'))
    return colors.colorize(colors.depth_index(valid, card.depth_range), colors.depth_table())


def _draw_normals(normals: np.ndarray, _: Task, __: ModelCard) -> np.ndarray:
    return np.clip(np.rint((normals + 1) * 127.5), 0, 255).astype(np.uint8)


def _draw_probability(values: np.ndarray, _: Task, __: ModelCard) -> np.ndarray:
    """Draw a label of 0, 1 and 255, or a float prediction of 0..1."""
    grey = np.rint(np.clip(values, 0, 1) * 255.0).astype(np.uint8)
    if values.dtype == np.uint8:
        grey[values == IGNORE] = UNKNOWN
    return cv2.merge((grey, grey, grey))


DRAW: dict[str, Callable[[np.ndarray, Task, ModelCard], np.ndarray]] = {
    'classes': _draw_ids, 'scalar': _draw_depth, 'vector': _draw_normals,
    'probability': _draw_probability}
"""By the kind of a task: labels and predictions as RGB, uint8 (H, W, 3)."""
