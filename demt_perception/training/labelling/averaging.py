"""What networks think of one picture, seen at several sizes and in the mirror."""

from collections.abc import Sequence
import math

import cv2
import numpy as np
import torch

from demt_perception.networks.heads import resize
from demt_perception.tasks import TASKS
from demt_perception.training.loading import normalisation
from demt_perception.training.losses.distilling import agreed
from demt_perception.training.teaching import Teacher

MULTIPLE = 32
"""Of the sizes that networks see."""
Opinions = dict[str, np.ndarray]
"""{task: opinion} as in ``losses.distilling``, without the axis of the batch; channels first."""


def average(teachers: Sequence[Teacher], image: np.ndarray, scales: Sequence[float],
            focal: tuple[float, float] | None, device: torch.device) -> Opinions:
    """Return the mean opinion on half of the picture's grid; depth in metres' logarithms.

    Args:
        teachers: networks on ``device``.
        image: (H, W, 3) uint8 RGB.
        scales: sizes to look at, relative to the picture's.
        focal: fx, fy of the picture; None: there is no depth.
        device: of the teachers.
    """
    size = height, width = image.shape[:2]
    found: dict[str, list[torch.Tensor]] = {}
    for teacher in teachers:
        mean, std = (np.array(v, np.float32) for v in normalisation(teacher.config))
        for h, w in _sizes(size, scales):
            shrinks = h < height
            seen = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA if shrinks
                              else cv2.INTER_LINEAR)
            pixels = torch.from_numpy(((seen - mean) / std).transpose(2, 0, 1)[None].copy())
            at_input = _at_input(focal, size, (h, w)) if focal else 1.0
            for mirrored in (False, True):
                given = pixels.flip(3) if mirrored else pixels
                with torch.autocast(device.type, torch.bfloat16,
                                    enabled=teacher.config.precision != 'fp32'):
                    opinions = teacher.opinions(given.to(device), at_input)
                for task, opinion in opinions.items():
                    if task == 'depth' and focal is None:
                        continue
                    fine = _on_grid(opinion, (height // 2, width // 2), mirrored)
                    if mirrored and TASKS[task].kind == 'vector':
                        fine[:, 0] *= -1
                    found.setdefault(task, []).append(fine)
    return {task: agreed(task, seen)[0].cpu().numpy() for task, seen in found.items()}


def farthest(teachers: Sequence[Teacher], size: tuple[int, int], scales: Sequence[float],
             focal: tuple[float, float] | None) -> float:
    """Return the metres that ``average`` has where every network says its greatest depth.

    Each has its own at each size: their greatest depth is one of canonical metres.

    Args:
        teachers: as there.
        size: (height, width) of the picture.
        scales: as there.
        focal: as there; None: infinite.
    """
    logarithms = [
        math.log(teacher.config.far / teacher.config.focal * _at_input(focal, size, seen))
        for teacher in teachers if focal and 'depth' in teacher.network.tasks
        for seen in _sizes(size, scales)]
    return math.exp(sum(logarithms) / len(logarithms)) if logarithms else math.inf


def _sizes(size: tuple[int, int], scales: Sequence[float]) -> list[tuple[int, int]]:
    height, width = (
        [max(1, round(side * scale / MULTIPLE)) * MULTIPLE for scale in scales] for side in size)
    return list(zip(height, width, strict=True))


def _at_input(focal: tuple[float, float], size: tuple[int, int], seen: tuple[int, int]) -> float:
    """Return the focal length in pixels of a picture brought to another size."""
    return math.sqrt(focal[0] * seen[1] / size[1] * focal[1] * seen[0] / size[0])


def _on_grid(opinion: torch.Tensor, size: tuple[int, int], mirrored: bool) -> torch.Tensor:
    planes = opinion[:, None] if opinion.ndim == 3 else opinion
    fine = resize(planes.float(), size)
    fine = fine.flip(3) if mirrored else fine.clone()
    return fine[:, 0] if opinion.ndim == 3 else fine
