"""Whether outputs of a network that say the same thing in two ways agree. Small maps only."""

import cv2
import numpy as np

_AROUND = np.ones((3, 3), np.uint8)


def normals_agreement(depth: np.ndarray, normals: np.ndarray, far: float,
                      focal: tuple[float, float]) -> float:
    """Return the mean cosine between normals and the slope of depth; NaN where all is sky.

    Args:
        depth: metres along Z, (h, w) float32; beyond ``far`` is sky.
        normals: unit vectors, (3, h, w) float32, camera optical frame (REP 103).
        far: metres.
        focal: (fx, fy) in pixels of ``depth``; the optical axis is taken to be in the middle.
    """
    if normals.shape[1:] != depth.shape:
        normals = np.stack([cv2.resize(axis, depth.shape[::-1]) for axis in normals])
    height, width = depth.shape
    # Of the neighbourhood: the slope of single pixels is that of the network's steps.
    smooth = cv2.blur(depth, (3, 3))
    x = smooth * ((np.arange(width, dtype=np.float32) - (width - 1) / 2) / focal[0])
    y = smooth * ((np.arange(height, dtype=np.float32) - (height - 1) / 2) / focal[1])[:, None]
    right = [axis[1:-1, 2:] - axis[1:-1, :-2] for axis in (x, y, smooth)]
    down = [axis[2:, 1:-1] - axis[:-2, 1:-1] for axis in (x, y, smooth)]
    # Down x right points at the camera, as the normal of a surface in sight does.
    cross = [down[1] * right[2] - down[2] * right[1], down[2] * right[0] - down[0] * right[2],
             down[0] * right[1] - down[1] * right[0]]
    length = np.sqrt(cross[0] ** 2 + cross[1] ** 2 + cross[2] ** 2)
    inner = normals[:, 1:-1, 1:-1]
    cosine = sum(a * b for a, b in zip(cross, inner, strict=True)) / np.maximum(length, 1e-9)
    surface = cv2.dilate(depth, _AROUND)[1:-1, 1:-1] <= far
    return float(cosine[surface].mean()) if surface.any() else float('nan')


def boundary_agreement(boundary: np.ndarray, ids: np.ndarray) -> float:
    """Return the correlation of boundaries with the edges of classes; 0 where there are none.

    Args:
        boundary: probability 0..1, (h, w) float32.
        ids: class ids, uint8, of any size.
    """
    edges = cv2.morphologyEx(ids, cv2.MORPH_GRADIENT, _AROUND) > 0
    share = cv2.resize(edges.astype(np.float32), boundary.shape[::-1],
                       interpolation=cv2.INTER_AREA)
    a, b = share - share.mean(), boundary - boundary.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 0 else 0.0
