"""The two papers' protocols: from a sample to the tensors that their released losses want.

Labels become float32 (C, H, W), 255 where unknown, for every task asked for: a sample without a
label gives 255 everywhere, so that samples with different labels make one batch. Note that
MTL-PyTorch's boundary and saliency losses know no ignored pixels.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from demt_perception.tasks import get_tasks, Task
from demt_perception.training.datasets.sample import IGNORE, Sample
from demt_perception.training.transforms.cropping import pad, random_crop
from demt_perception.training.transforms.photometry import distort, normalise
from demt_perception.training.transforms.resizing import as_float, random_scale, stretch
from demt_perception.training.transforms.turning import random_mirror, turn

EMPTY_IS_UNKNOWN = ('human_parts',)
"""Tasks of which a picture with background alone says nothing: it was not annotated."""

ZOOMS = (1.0, 1.2, 1.5)

Protocol = Callable[[Sample, tuple[int, int], Iterable[str], 'np.random.Generator | None'],
                    dict[str, Tensor]]


def demt(sample: Sample, size: tuple[int, int], tasks: Iterable[str],
         rng: np.random.Generator | None) -> dict[str, Tensor]:
    """Apply DeMT's (that is, ATRC's) protocol (spec 1.9).

    Training: random scale, crop, mirror, photometric distortion, normalisation, centred pad.
    Validation: normalisation and pad only, at the picture's own size.

    Args:
        sample: picture and labels; ``semseg`` steers the crop even where it is not asked for.
        size: (height, width) of the crop, and of the padding.
        tasks: labels to return.
        rng: of the augmentation; None: validation.

    Returns:
        image (3, H, W) and every task's (C, H, W), float32.
    """
    if rng is not None:
        sample = random_crop(random_scale(as_float(sample), rng), size, rng)
        sample = random_mirror(sample, rng)
        sample = replace(sample, image=distort(sample.image, rng))
    sample = pad(replace(sample, image=normalise(sample.image)), size)
    return to_released(sample, tasks)


def mtl_nyud(sample: Sample, size: tuple[int, int], tasks: Iterable[str],
             rng: np.random.Generator | None) -> dict[str, Tensor]:
    """Apply MTL-PyTorch's protocol for NYUD (spec 2): mirror, zoom by 1, 1.2 or 1.5, stretch.

    Arguments and result as of ``demt``; validation only stretches to the size.
    """
    sample = as_float(sample)
    if rng is not None:
        sample = turn(random_mirror(sample, rng), 0, ZOOMS[int(rng.integers(len(ZOOMS)))])
    return _stretched(sample, size, tasks)


def mtl_pascal(sample: Sample, size: tuple[int, int], tasks: Iterable[str],
               rng: np.random.Generator | None) -> dict[str, Tensor]:
    """Apply MTL-PyTorch's protocol for PASCAL-Context (spec 2).

    Mirror, rotation by up to 20 degrees with a scale of 0.75 to 1.25, stretch. Arguments and
    result as of ``demt``; validation only stretches to the size.
    """
    sample = as_float(sample)
    if rng is not None:
        sample = turn(random_mirror(sample, rng), float(rng.uniform(-20, 20)),
                      float(rng.uniform(0.75, 1.25)))
    return _stretched(sample, size, tasks)


PROTOCOLS: dict[str, Protocol] = {
    'demt': demt, 'mtl_nyud': mtl_nyud, 'mtl_pascal': mtl_pascal}


def to_released(sample: Sample, tasks: Iterable[str]) -> dict[str, Tensor]:
    """Return image and labels as tensors, 255 where a label is unknown.

    Unknown are zero normals, depth that is no positive number of metres (sky included), ids and
    masks of 255, and human parts where the picture has none.

    Args:
        sample: with a normalised picture.
        tasks: names of the labels to return.
    """
    out = {'image': _tensor(sample.image)}
    for task in get_tasks(tasks):
        label = getattr(sample, task.name)
        if label is None:
            channels = 3 if task.kind == 'vector' else 1
            out[task.name] = torch.full((channels, *sample.image.shape[:2]), float(IGNORE))
        else:
            out[task.name] = _tensor(_ignored(task, label))
    return out


def _stretched(sample: Sample, size: tuple[int, int], tasks: Iterable[str]) -> dict[str, Tensor]:
    sample = stretch(sample, size)
    # Cubic interpolation overshoots. The released code casts to 8 bits, which wraps or cuts by
    # the machine; here it is cut.
    image = np.clip(sample.image, 0, 255).astype(np.uint8)
    return to_released(replace(sample, image=normalise(image)), tasks)


def _ignored(task: Task, label: np.ndarray) -> np.ndarray:
    out: np.ndarray = label.astype(np.float32)
    if task.kind == 'vector':
        out[(label[..., 0] == 0) & (label[..., 1] == 0) & (label[..., 2] == 0)] = IGNORE
    elif task.kind == 'scalar':
        out[~(np.isfinite(label) & (label > 0))] = IGNORE
    elif task.name in EMPTY_IS_UNKNOWN and ((label == 0) | (label == IGNORE)).all():
        out[:] = IGNORE
    return out


def _tensor(array: np.ndarray) -> Tensor:
    planes = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(planes, np.float32))
