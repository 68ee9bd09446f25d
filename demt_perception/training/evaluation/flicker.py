"""How much predictions change from one frame to the next, once motion is taken out.

Predictions of the frame before are fetched from where each pixel was then, and compared with
those of now, over the pixels that were in sight. What a scene truly changes (a nearing car gets
nearer) counts too: compare models on one video, or with the figures of noise alone.
"""

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from demt_perception.tasks import get_tasks
from demt_perception.training.evaluation.motion import fetch, Motion

FIGURES = {
    'class_changes': 'share of pixels that change class',
    'depth': 'mean relative change of depth',
    'depth_p95': 'the same, 95th percentile',
    'depth_scaled': 'mean relative change of depth, change of scale removed',
    'depth_scaled_p95': 'the same, 95th percentile',
    'normals_deg': 'mean turn of normals, degrees',
    'normals_p95_deg': 'the same, 95th percentile',
    'boundary': 'share of boundaries that come or go',
    'seen': 'share of pixels compared',
}
"""What `flicker` returns and means; a figure is NaN where there is nothing to compare."""

Outputs = Mapping[str, np.ndarray]
"""{task: prediction of one frame as `predicting.output_of` gives it}."""


def flicker(before: Outputs, now: Outputs, motion: Motion) -> dict[str, float]:
    """Return the figures of two frames, keys of FIGURES: those of the tasks given, and ``seen``.

    Args:
        before: predictions of the frame before, all of the size of the motion.
        now: those of this frame.
        motion: from the frame before to that of now.
    """
    found: dict[str, float] = {}
    for task in get_tasks([task for task in now if task in KINDS]):
        found.update(KINDS[task.name](before[task.name], now[task.name], motion))
    return {**found, 'seen': float(motion.seen.mean())}


def changed_classes(before: np.ndarray, now: np.ndarray, motion: Motion) -> np.ndarray:
    """Tell which of the pixels seen have another class than before: ids (H, W) to bool (H, W)."""
    return (fetch(before, motion.source, cv2.INTER_NEAREST) != now) & motion.seen


def _classes(before: np.ndarray, now: np.ndarray, motion: Motion) -> dict[str, float]:
    changed = changed_classes(before, now, motion).sum()
    return {'class_changes': float(changed / max(motion.seen.sum(), 1)
                                   if motion.seen.any() else np.nan)}


def _depth(before: np.ndarray, now: np.ndarray, motion: Motion) -> dict[str, float]:
    """Compare logarithms of metres: equal both ways, and 0.01 is 1 %."""
    old = fetch(before, motion.source)   # NaN beside NaN
    both = motion.seen & (old > 0) & (now > 0)
    steps = np.log(now[both].astype(np.float64) / old[both])
    scale = np.median(steps) if steps.size else 0.0
    return {**_summary(np.abs(steps), 'depth', 'depth_p95'),
            **_summary(np.abs(steps - scale), 'depth_scaled', 'depth_scaled_p95')}


def _normals(before: np.ndarray, now: np.ndarray, motion: Motion) -> dict[str, float]:
    old = fetch(before, motion.source)
    lengths = [np.linalg.norm(normals, axis=2) for normals in (old, now)]
    # Half a normal is the edge of a surface: between it and the sky, which has none.
    both = motion.seen & (lengths[0] > 0.5) & (lengths[1] > 0.5)
    a, b = (normals[both].astype(np.float64) / length[both, None]
            for normals, length in zip((old, now), lengths, strict=True))
    turns = np.degrees(2 * np.arctan2(np.linalg.norm(a - b, axis=1),
                                      np.linalg.norm(a + b, axis=1)))
    return _summary(turns, 'normals_deg', 'normals_p95_deg')


def _boundary(before: np.ndarray, now: np.ndarray, motion: Motion) -> dict[str, float]:
    """Return 0 where probabilities are the same, 1 where all boundaries are elsewhere."""
    old, new = fetch(before, motion.source)[motion.seen], now[motion.seen]
    total = float(old.sum(dtype=np.float64) + new.sum(dtype=np.float64))
    change = float(np.abs(old - new).sum(dtype=np.float64))
    return {'boundary': change / total if total else np.nan}


def _summary(values: np.ndarray, mean: str, high: str) -> dict[str, float]:
    if not values.size:
        return {mean: np.nan, high: np.nan}
    return {mean: float(values.mean()), high: float(np.percentile(values, 95))}


KINDS: dict[str, Callable[[np.ndarray, np.ndarray, Motion], dict[str, float]]] = {
    'semseg': _classes, 'depth': _depth, 'normals': _normals, 'edge': _boundary}
"""By the name of a task; the others have no figure."""
