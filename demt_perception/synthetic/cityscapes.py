"""The 19 classes of Cityscapes beside the 11 of CamVid: which object is which."""

import numpy as np

from demt_perception.class_lists import CITYSCAPES, CITYSCAPES_PALETTE

NAMES = CITYSCAPES
"""In the order of the training ids. There are no trains in these streets."""
IGNORE = 255

# What an object of a CamVid class is unless its mesh says otherwise (`Mesh.kind`).
_USUAL = ('sky', 'building', 'pole', 'road', 'sidewalk', 'vegetation', 'traffic sign', 'fence',
          'car', 'person', 'rider')


def city_id(class_id: int, kind: str = '') -> int:
    """Return the Cityscapes training id of an object.

    Args:
        class_id: of CamVid, or 255.
        kind: one of `NAMES`, 'none' for what Cityscapes does not score, '' for the usual one.

    Raises:
        ValueError: no such kind.
    """
    if kind in NAMES:
        return NAMES.index(kind)
    if kind == 'none' or (not kind and class_id >= len(_USUAL)):
        return IGNORE
    if kind:
        raise ValueError(f'{kind!r} is no class of Cityscapes: want one of {", ".join(NAMES)}')
    return NAMES.index(_USUAL[class_id])


def colours(ids: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB of a map of ids; what is ignored is black."""
    table = np.zeros((256, 3), np.uint8)
    table[:len(CITYSCAPES_PALETTE)] = CITYSCAPES_PALETTE
    return table[ids]
