"""Human parts of PASCAL-Part: from the objects of one .mat file to a map of 7 ids.

Source: Chen et al., "Detect What You Can", CVPR 2014; the grouping into 6 parts is ASTMT's.
"""

from pathlib import Path
from typing import Any

import numpy as np

from demt_perception.training.datasets.reading import DatasetError, read_mat

PERSON = 15

_GROUPS = {
    1: ('hair', 'head', 'lear', 'lebrow', 'leye', 'mouth', 'nose', 'rear', 'rebrow', 'reye'),
    2: ('neck', 'torso'),
    3: ('luarm', 'ruarm'),
    4: ('lhand', 'llarm', 'rhand', 'rlarm'),
    5: ('luleg', 'ruleg'),
    6: ('lfoot', 'llleg', 'rfoot', 'rlleg'),
}
PART_IDS = {name: number for number, names in _GROUPS.items() for name in names}
"""head, torso, upper arm, lower arm, upper leg, lower leg; 0 is everything else."""


def load_parts(path: Path) -> np.ndarray:
    """Return (H, W) uint8 part ids of all people in a picture, later objects over earlier.

    A picture without people gives zeros, of 1x1 where it has no object at all.

    Raises:
        OSError: the file cannot be read.
        DatasetError: it is not an annotation of PASCAL-Part.
    """
    anno = read_mat(path).get('anno')
    try:
        objects: Any = anno[0][0][1][0] if anno is not None and anno[0][0][1].size else ()
        shape = objects[0][2].shape if len(objects) else (1, 1)
        parts: np.ndarray = np.zeros(shape, np.uint8)
        for thing in objects:
            if int(thing[1][0][0]) == PERSON and len(thing[3]):
                for part in thing[3][0]:
                    parts[part[1].astype(bool)] = PART_IDS[str(part[0][0])]
        if anno is None or parts.ndim != 2:
            raise ValueError('no variable "anno" with objects and masks')
    except Exception as error:
        # A foreign structure fails anywhere in these nested cells.
        raise DatasetError(f'{path} is no PASCAL-Part annotation: {error!r}') from error
    return parts
