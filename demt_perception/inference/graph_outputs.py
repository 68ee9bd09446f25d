"""What a graph has to give for some tasks, and whether it did."""

from collections.abc import Iterable, Mapping

import numpy as np

from demt_perception.inference.engines import Engine, EngineError
from demt_perception.model_card import ModelCard
from demt_perception.tasks import get_tasks, TASKS

Outputs = dict[str, tuple[tuple[int, ...], str]]
"""{name: (shape without height and width, dtype)}, see ``ModelCard.outputs``."""


def needed_outputs(card: ModelCard, tasks: Iterable[str]) -> Outputs:
    """Return what of a graph is to be run for some of its tasks: theirs, and what masks them."""
    outputs = card.only(tasks).outputs
    for task in get_tasks(tasks):
        if task.masked_by in card.tasks:
            outputs |= TASKS[task.masked_by].outputs
    return outputs


def split_checked(outputs: Mapping[str, np.ndarray], count: int, needed: Outputs, card: ModelCard,
                  engine: Engine) -> list[dict[str, np.ndarray]]:
    """Return the outputs of each image, without batch axis.

    Args:
        outputs: of an engine's run, by name.
        count: images in it.
        needed: see ``needed_outputs``; others are left out.
        card: with the tasks that are run.
        engine: that ran, for the words.

    Raises:
        EngineError: one is missing or of another shape, or holds NaN, infinity or a class that
            the card has not.
    """
    for name, (one, dtype) in needed.items():
        shape = (count, *one[1:])
        value = outputs.get(name)
        if value is None or value.dtype != dtype or 0 in value.shape or not (
                value.ndim == len(shape) + 2 and value.shape[:len(shape)] == shape):
            seen = 'missing' if value is None else f'{value.dtype} of shape {value.shape}'
            raise EngineError(
                f'output {name!r} of model {card.name} is {seen}, want {dtype} of shape '
                f'({", ".join(map(str, shape))}, h, w): export the model again')
        if value.dtype == np.float32 and not np.isfinite(value).all():
            raise EngineError(
                f'engine {engine.name} returned NaN or infinity in output {name!r} '
                f'({engine.precision}): try another engine, or report the image')
    for task in get_tasks(card.tasks):
        classes = task.channels or len(card.classes)
        if task.kind == 'classes' and (most := outputs[task.topic].max()) >= classes:
            raise EngineError(
                f'model {card.name} returned class {most}, its card has {classes} classes for '
                f'output {task.topic!r}: export the model again')
    return [{name: outputs[name][index] for name in needed} for index in range(count)]
