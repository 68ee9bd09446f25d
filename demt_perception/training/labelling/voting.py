"""Whether the frames before and after say the same of a place; what they all say, on average."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from demt_perception.tasks import TASKS
from demt_perception.training.evaluation.motion import fetch, Motion
from demt_perception.training.labelling.averaging import Opinions

FARTHER = 0.25
"""Depth may differ by this much, in logarithms, after the camera's own way is taken off."""
TURNED = float(np.cos(np.radians(20)))
"""Cosine of the angle that normals may differ by."""
UNLIKE = 0.3
"""Probabilities of boundaries may differ by this much."""
NEAR = 50.0
"""Metres: the camera's way is told by what is nearer."""


def vote(own: Opinions, others: Sequence[tuple[Opinions, Motion]],
         ) -> tuple[Opinions, dict[str, np.ndarray]]:
    """Return the mean of the frames that agree, and {task: bool (h,w), where it holds}.

    It holds where a pixel is seen in at least one other frame and all that see it agree. Without
    other frames it holds everywhere.

    Args:
        own: of the frame.
        others: opinions of frames nearby, and where this frame's pixels were in them; of one
            size.
    """
    result, holds = dict(own), {}
    for task, mine in own.items():
        total, count = mine.copy(), np.ones(mine.shape[-2:], np.float32)
        seen, agree = np.zeros(mine.shape[-2:], bool), np.ones(mine.shape[-2:], bool)
        for opinions, motion in others:
            if task not in opinions:  # depth, of a frame whose focal length is unknown
                continue
            theirs = _fetched(opinions[task], motion)
            alike, theirs = ALIKE[TASKS[task].kind](mine, theirs, motion.seen)
            seen |= motion.seen
            agree &= alike | ~motion.seen
            both = alike & motion.seen
            total = np.where(both, total + theirs, total)
            count += both
        mean = total / count
        if TASKS[task].kind == 'vector':
            mean = mean / np.maximum(np.linalg.norm(mean, axis=0), 1e-6)
        result[task] = mean.astype(np.float32)
        holds[task] = agree & seen if others else agree
    return result, holds


def coarser(motion: Motion) -> Motion:
    """Return a motion on half of its grid, in pixels of that."""
    # The centre of a coarse pixel lies between its four fine ones.
    source = cv2.resize(motion.source, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    seen = cv2.erode(motion.seen.astype(np.uint8), np.ones((2, 2), np.uint8), anchor=(0, 0))
    height, width = source.shape[:2]
    return Motion((source - 0.5) / 2, seen[::2, ::2][:height, :width] > 0)


def _fetched(opinion: np.ndarray, motion: Motion) -> np.ndarray:
    if opinion.ndim == 2:
        return fetch(opinion, motion.source)
    return np.stack([fetch(plane, motion.source) for plane in opinion])


def _classes(mine: np.ndarray, theirs: np.ndarray, _: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return mine.argmax(0) == theirs.argmax(0), theirs


def _metres(mine: np.ndarray, theirs: np.ndarray, seen: np.ndarray,
            ) -> tuple[np.ndarray, np.ndarray]:
    """Compare depth after taking off how far the camera went along its axis between the frames.

    What stands still is nearer by the same distance everywhere, as long as the camera hardly
    turns: the median difference.
    """
    here, there = np.exp(mine), np.exp(theirs)
    near = seen & (here < NEAR)
    way = float(np.median((there - here)[near])) if near.any() else 0.0
    moved = np.log(np.maximum(there - np.where(there < 2 * NEAR, way, 0), 1e-3))
    return np.abs(moved - mine) < FARTHER, moved


def _vectors(mine: np.ndarray, theirs: np.ndarray, _: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    length = np.maximum(np.linalg.norm(theirs, axis=0), 1e-6)
    return (mine * theirs).sum(0) / length > TURNED, theirs / length


def _probability(mine: np.ndarray, theirs: np.ndarray, _: np.ndarray,
                 ) -> tuple[np.ndarray, np.ndarray]:
    return np.abs(mine - theirs) < UNLIKE, theirs


ALIKE: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    'classes': _classes, 'scalar': _metres, 'vector': _vectors, 'probability': _probability}
"""By the kind of a task: of two opinions on the same pixels, bool (h,w) where they agree, and the
second as it would be in the first frame."""
