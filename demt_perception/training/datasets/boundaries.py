"""Boundaries drawn from a map of ids."""

import cv2
import numpy as np

from demt_perception.training.datasets.sample import IGNORE
from demt_perception.training.thinning import thin


def class_edges(semseg: np.ndarray) -> np.ndarray:
    """Return uint8 (H, W): 1 where the class changes to the right or below, 255 in void.

    And next to it: what lies in void is not known, nor where it ends.
    """
    edge = np.zeros_like(semseg)
    for here, there, out in (
            (semseg[:, :-1], semseg[:, 1:], edge[:, :-1]),
            (semseg[:-1], semseg[1:], edge[:-1])):
        out[here != there] = 1
        out[(here != there) & ((here == IGNORE) | (there == IGNORE))] = IGNORE
    edge[semseg == IGNORE] = IGNORE
    return edge


def label_map_edges(label_map: np.ndarray) -> np.ndarray:
    """Return uint8 (H, W): 1 on the thinned places where the Laplacian of the ids is not 0.

    PASCAL-Context's boundaries (spec 1.9). Ids are numbers without order, so the Laplacian says
    only whether a pixel differs from the sum of its neighbours: two pixels wide, then thinned.
    """
    wide = cv2.Laplacian(label_map.astype(np.float64), cv2.CV_64F) != 0
    return thin(wide).astype(np.uint8)
