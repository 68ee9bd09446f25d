"""How steady models are on a video: flicker between frames, and what noise alone would do."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
import heapq
import math
from typing import NamedTuple

import numpy as np

from demt_perception.inference import Predictions, Predictor
from demt_perception.inference.resize import shrink
from demt_perception.tasks import get_tasks
from demt_perception.training.evaluation.errors import EvaluationError
from demt_perception.training.evaluation.flicker import FIGURES, flicker, KINDS
from demt_perception.training.evaluation.motion import estimate_motion, Motion, still
from demt_perception.training.evaluation.predicting import output_of

WIDTH = 512   # pixels that frames are compared at: flow is surer, and nothing finer is predicted
NOISE = 2.0   # grey levels of 255, standard deviation
WORST = 4     # pairs of frames kept


class Pair(NamedTuple):
    """Two frames that differ much; compares by how much, then by place."""

    change: float
    place: int
    before: Predictions
    now: Predictions
    motion: Motion


@dataclass
class Steadiness:
    """What was found of one model.

    Attributes:
        frames: {figure: one for each frame but the first}, keys of `flicker.FIGURES`.
        noise: the same between each frame and a copy of it with noise; no motion between.
        worst: the pairs that change most, worst first.
    """

    frames: dict[str, list[float]] = field(default_factory=dict)
    noise: dict[str, list[float]] = field(default_factory=dict)
    worst: list[Pair] = field(default_factory=list)

    def figures(self) -> dict[str, dict[str, float]]:
        """Return the means over the frames, NaN where there is none: ``video`` and ``noise``."""
        return {name: {figure: _mean(values) for figure, values in found.items()}
                for name, found in (('video', self.frames), ('noise', self.noise))}


def measure_steadiness(models: Mapping[str, Predictor], frames: Iterable[np.ndarray],
                       focal: tuple[float, float] | None = None,
                       progress: Callable[[int], None] = lambda frames: None,
                       ) -> dict[str, Steadiness]:
    """Return how steady each model is; the same on every run.

    Args:
        models: each warm, by any name.
        frames: BGR uint8 of one size, in order.
        focal: (fx, fy) in pixels of the frames; None assumes the cards' fields of view.
        progress: called with 1 after each frame.

    Raises:
        EvaluationError: a model has no task that is measured, or there are fewer than two frames,
            or their size changes.
    """
    for name, predictor in models.items():
        if not set(KINDS) & set(predictor.card.tasks):
            raise EvaluationError(f'model {name} has the tasks {", ".join(predictor.card.tasks)}; '
                                  f'steadiness is measured of {", ".join(KINDS)}')
    found = {name: Steadiness() for name in models}
    before: dict[str, Predictions] = {}
    small_before = np.empty((0, 0, 3), np.uint8)
    place = -1
    for place, frame in enumerate(frames):
        scale = min(1.0, WIDTH / frame.shape[1])
        now = {name: predictor.predict(frame, focal, scale)
               for name, predictor in models.items()}
        noisy = _with_noise(frame, place)
        size = next(iter(now.values())).size
        small = shrink(frame, size)
        motion = None
        if place and small.shape != small_before.shape:
            raise EvaluationError(f'frame {place} is {small.shape[1]}x{small.shape[0]} (compared '
                                  f'at), those before {small_before.shape[1]}x'
                                  f'{small_before.shape[0]}: want frames of one size')
        if place:
            motion = estimate_motion(small_before, small)
        for name, predictor in models.items():
            steadiness, predictions = found[name], now[name]
            outputs = outputs_of(predictions)
            _note(steadiness.noise, flicker(
                outputs_of(predictor.predict(noisy, focal, scale)), outputs, still(*size)))
            if motion is not None:
                figures = flicker(outputs_of(before[name]), outputs, motion)
                _note(steadiness.frames, figures)
                _keep(steadiness.worst,
                      Pair(change_of(figures), place, before[name], predictions, motion))
        before, small_before = now, small
        progress(1)
    if place < 1:
        raise EvaluationError(f'{place + 1} frames: want two and more to compare')
    for steadiness in found.values():
        steadiness.worst.sort(key=lambda pair: (-pair.change, pair.place))
    return found


def outputs_of(predictions: Predictions) -> dict[str, np.ndarray]:
    """Return {task: prediction} of the tasks whose flicker is measured."""
    return {task.name: output_of(task, predictions) for task in get_tasks(predictions.tasks)
            if task.name in KINDS}


def change_of(figures: Mapping[str, float]) -> float:
    """Return the figure by which frames are the worst: the first that there is."""
    return next((figures[name] for name in FIGURES
                 if name in figures and math.isfinite(figures[name])), 0.0)


def _note(found: dict[str, list[float]], figures: Mapping[str, float]) -> None:
    for name, value in figures.items():
        found.setdefault(name, []).append(value)


def _keep(worst: list[Pair], pair: Pair) -> None:
    """Keep the worst pairs, as a heap: predictions hold their pictures, so no more than needed."""
    if len(worst) < WORST:
        heapq.heappush(worst, pair)
    elif pair[:2] > worst[0][:2]:
        heapq.heapreplace(worst, pair)


def _with_noise(frame: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(frame.shape, np.float32)
    return np.clip(np.rint(frame + np.float32(NOISE) * noise), 0, 255).astype(np.uint8)


def _mean(values: Iterable[float]) -> float:
    there = [value for value in values if math.isfinite(value)]
    return sum(there) / len(there) if there else math.nan
