"""Predicted depth against that of stereo pairs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from demt_perception.inference import Predictor
from demt_perception.training.evaluation.errors import EvaluationError
from demt_perception.training.evaluation.stereo import (
    FARTHEST,
    read_pair,
    reference_depth,
    reprojection_errors,
    StereoClip,
)
from demt_perception.training.metrics import DepthError

NEAREST = 1.0   # metres


@dataclass
class StereoErrors:
    """What was found.

    Attributes:
        metric: errors of depth as predicted, with the clip's own focal length.
        scaled: the same, each picture first multiplied by the ratio of the medians.
        pictures: {name: (AbsRel as predicted, AbsRel scaled, the scale)}.
        covered: share of the pixels that have a reference.
        contradiction: median relative error of the reference itself, projected from each frame
            to the next of the clip with true poses; NaN where none are.
    """

    metric: DepthError = field(default_factory=lambda: DepthError(NEAREST, FARTHEST))
    scaled: DepthError = field(default_factory=lambda: DepthError(NEAREST, FARTHEST))
    pictures: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    covered: float = 0.0
    contradiction: float = np.nan


def measure_stereo(predictor: Predictor, clip: StereoClip, names: Sequence[str],
                   progress: Callable[[int], None] = lambda pairs: None) -> StereoErrors:
    """Return how far predicted depth is from that of the pairs.

    Args:
        predictor: sees the left pictures, with the focal length of the calibration.
        clip: where the pairs are.
        names: of those to take.
        progress: called with 1 after each pair.

    Raises:
        EvaluationError: the model predicts no depth, or a pair is damaged.
        OSError: a picture cannot be read.
    """
    if 'depth' not in predictor.card.tasks:
        raise EvaluationError(f'model {predictor.card.name} has the tasks '
                              f'{", ".join(predictor.card.tasks)}, want depth among them')
    found = StereoErrors()
    references = {}
    for name in names:
        left, right = read_pair(clip, name)
        reference = references[name] = reference_depth(clip, left, right)
        predicted = predictor.predict(left, clip.focal).depth
        scale = median_scale(predicted, reference)
        found.pictures[name] = (_add(found.metric, predicted, reference),
                                _add(found.scaled, predicted * np.float32(scale), reference),
                                scale)
        progress(1)
    found.covered = float(np.mean([np.isfinite(depth).mean() for depth in references.values()]))
    errors = [reprojection_errors(clip, a, references[a], b, references[b])
              for a, b in pairwise(clip.names)
              if {a, b} <= references.keys() and {a, b} <= clip.poses.keys()]
    if errors:
        found.contradiction = float(np.median(np.concatenate(errors)))
    return found


def median_scale(predicted: np.ndarray, reference: np.ndarray) -> float:
    """Return median(reference) / median(predicted) over the pixels that have both; else 1."""
    both = np.isfinite(predicted) & np.isfinite(reference) & (predicted > 0)
    return float(np.median(reference[both]) / np.median(predicted[both])) if both.any() else 1.0


def _add(pooled: DepthError, predicted: np.ndarray, reference: np.ndarray) -> float:
    """Add a picture to the pooled errors; return its own AbsRel."""
    alone = DepthError(NEAREST, FARTHEST)
    alone.add(predicted, reference)
    pooled.merge(alone)
    return alone.summary()['abs_rel']
