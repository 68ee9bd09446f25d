"""Several engines side by side on one processor. No rclpy.

An engine that has all cores waits for the slowest of them at every layer, and leaves them idle
while an image is prepared. Engines that share the cores out do neither. For one image alone that
would be slow; for a recording only the sum counts.
"""

import numpy as np

from demt_perception.inference import Predictor
from demt_perception.inference.cpu import cpu_name, usable_cores

MOST = 4
"""Engines: each takes memory of its own."""

WORTH = 32
"""Images below which loading more engines takes longer than they save."""


def side_by_side(predictor: Predictor, images: int | None) -> list[Predictor]:
    """Return predictors that together use all cores, or the one that was given.

    They calculate what it calculates, to the last bit: else they are not taken. Where they are,
    the given one is closed.

    Args:
        predictor: with an engine that was left to choose its threads.
        images: how many are to be done; None where that is not known.
    """
    cores = usable_cores()
    count = min(cores, MOST)
    if count < 2 or (images is not None and images < WORTH) or not _is_on_cpu(predictor):
        return [predictor]
    made: list[Predictor] = []
    try:
        for _ in range(count):
            made.append(Predictor(
                predictor.folder, predictor.engine.name, cores // count, predictor.input_size,
                precision=predictor.engine.precision, tasks=predictor.card.tasks))
        same = all(_calculates_the_same(predictor, other) for other in made)
    except Exception:   # not enough memory, say: one engine is enough
        same = False
    for unused in [predictor] if same else made:
        unused.close()
    return made if same else [predictor]


def _is_on_cpu(predictor: Predictor) -> bool:
    return predictor.engine.name in ('openvino', 'onnxruntime') and (
        predictor.engine.device == cpu_name())


def _calculates_the_same(one: Predictor, other: Predictor) -> bool:
    image = np.random.default_rng(0).normal(size=(1, 3, *one.input_size)).astype(np.float32)
    first = {name: value.copy() for name, value in one.engine.run(image).items()}
    second = other.engine.run(image)
    return first.keys() == second.keys() and all(
        np.array_equal(value, second[name]) for name, value in first.items())
