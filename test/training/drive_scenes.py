"""A street of textured planes, seen from where a camera drives: pictures with known depth."""

from functools import cache

import cv2
import numpy as np

HEIGHT, WIDTH, FOCAL = 240, 320, 300.0
SKY, WALL, ROAD = range(3)
CLASSES = ('sky', 'building', 'road', 'pedestrian', 'pavement')
PERSON = 3
ASIDE = (-5.0, 6.0)
"""Metres to the walls on the left and right."""
TALL = 6.0


def camera(pitch=0.03):
    """Return the matrix, and the rotation of a camera that looks down by ``pitch`` radians."""
    matrix = np.array([[FOCAL, 0, (WIDTH - 1) / 2], [0, FOCAL, (HEIGHT - 1) / 2], [0, 0, 1.0]])
    c, s = np.cos(pitch), np.sin(pitch)
    return matrix, np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


@cache
def textures(seed=0):
    """Return three pictures of noise, fine and coarse: ground, left and right wall."""
    rng = np.random.default_rng(seed)
    result = []
    for _ in range(3):
        noise = sum(cv2.GaussianBlur(rng.normal(0, 1, (1024, 1024)).astype(np.float32), (0, 0), s)
                    * s for s in (1.5, 4, 12))
        result.append((128 + 45 * noise / noise.std()).astype(np.float32))
    return result


def photograph(gone, above=1.4, pitch=0.03, yaw=0.0, seed=0):
    """Return a picture of the street: uint8 (H, W) grey, classes (H, W), depth (H, W) metres.

    Args:
        gone: metres along the street.
        above: height of the camera in metres.
        pitch: radians that it looks down by.
        yaw: radians that it looks to the right by.
        seed: of the textures.
    """
    matrix, down = camera(pitch)
    c, s = np.cos(yaw), np.sin(yaw)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ down.T
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    pixels = np.stack([columns, rows, np.ones_like(rows)], -1).astype(np.float64)
    rays = pixels @ np.linalg.inv(matrix).T @ turn.T
    image, ids = np.full((HEIGHT, WIDTH), 230.0), np.full((HEIGHT, WIDTH), SKY, np.uint8)
    depth = np.full((HEIGHT, WIDTH), np.inf)
    for axis, at, texture, id_ in ((1, above, 0, ROAD), (0, ASIDE[0], 1, WALL),
                                   (0, ASIDE[1], 2, WALL)):
        with np.errstate(divide='ignore', invalid='ignore'):
            far = at / rays[..., axis]
            hit = np.isfinite(far) & (far > 0) & (far < depth)
            place = rays * np.where(hit, far, 0)[..., None]
        if axis == 0:
            hit &= (place[..., 1] > above - TALL) & (place[..., 1] < above)
        along = place[..., 2] + gone
        across = place[..., 1 - axis]
        u, v = ((each * 24 % 1023).astype(np.float32) for each in (along, across + 20))
        seen = cv2.remap(textures(seed)[texture], u, v, cv2.INTER_LINEAR)
        image[hit], ids[hit], depth[hit] = seen[hit], id_, far[hit]
    # Along the camera's own axis.
    depth = np.where(np.isfinite(depth), depth, np.inf)
    return np.clip(image, 0, 255).astype(np.uint8), ids, depth.astype(np.float32)
