"""Label maths: class ids, the camera frame, boundaries. Needs only numpy and OpenCV."""

import cv2
import numpy as np

CLASSES = ('sky', 'building', 'pole', 'road', 'pavement', 'tree', 'sign', 'fence', 'car',
           'pedestrian', 'bicyclist')
IGNORE = 255
PER_CLASS = 2048
"""An instance id is ``slot * PER_CLASS + number``; slot 11 stands for the ignored class."""

SKY, BUILDING, POLE, TREE, SIGN, FENCE = 0, 1, 2, 5, 6, 7
THINGS = (8, 9, 10)


def instance_id(class_id: int, number: int) -> int:
    """Return the id of the `number`-th object of a class.

    Raises:
        ValueError: the number does not fit.
    """
    if not 0 <= number < PER_CLASS:
        raise ValueError(f'object number {number} of class {class_id}: want 0..{PER_CLASS - 1}')
    return (len(CLASSES) if class_id == IGNORE else class_id) * PER_CLASS + number


def class_of(instance: np.ndarray) -> np.ndarray:
    """Return uint8 class ids of instance ids; 0 (nothing hit) is sky."""
    slot = np.asarray(instance).astype(np.int64) // PER_CLASS
    return np.where(slot >= len(CLASSES), IGNORE, slot).astype(np.uint8)


def pixel_rays(size: tuple[int, int], focal: tuple[float, float]) -> np.ndarray:
    """Return (H, W, 3) rays with z = 1 through pixel centres; principal point in the middle.

    Args:
        size: width, height.
        focal: fx, fy in pixels.
    """
    width, height = size
    x = (np.arange(width) - (width - 1) / 2) / focal[0]
    y = (np.arange(height) - (height - 1) / 2) / focal[1]
    grid = np.meshgrid(x, y)
    return np.stack([*grid, np.ones_like(grid[0])], -1)


def optical_normals(world: np.ndarray, camera_to_world: np.ndarray, rays: np.ndarray,
                    valid: np.ndarray) -> np.ndarray:
    """Turn world normals into unit ones in the optical frame, facing the camera.

    Args:
        world: (H, W, 3) normals, world frame.
        camera_to_world: rotation, first three columns the camera's x right, y up, z backward
            (OpenGL, Blender).
        rays: (H, W, 3), see `pixel_rays`.
        valid: (H, W) bool, where something was hit.

    Returns:
        (H, W, 3) float32, x right, y down, z forward (REP 103 optical); zero where not valid.
    """
    normals = (world @ np.asarray(camera_to_world)[:3, :3]) * (1, -1, -1)
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    normals = normals / np.maximum(length, 1e-6)
    normals = np.where((normals * rays).sum(-1, keepdims=True) > 0, -normals, normals)
    return np.where(valid[..., None], normals, 0).astype(np.float32)


def boundaries(instance: np.ndarray, depth: np.ndarray, normals: np.ndarray, rays: np.ndarray,
               jump: float = 0.05, crease: float = 30.) -> np.ndarray:
    """Mark where class, surface or direction changes to the right or below.

    Two neighbours lie on one surface if the plane through either predicts the depth of the
    other; a slanted road is thus no jump, however far. Leaves within vegetation and what shows
    through small holes between them are not marked, nor the bars of fences.

    Args:
        instance: (H, W) instance ids.
        depth: (H, W) metres along Z, +inf sky.
        normals: (H, W, 3) optical frame.
        rays: (H, W, 3), see `pixel_rays`.
        jump: share of the depth (and at least 0.2 m) that counts as an occlusion.
        crease: degrees; only where a pixel covers less than 6 cm.

    Returns:
        (H, W) uint8, 1 on a boundary.
    """
    classes = class_of(instance)
    crown = foliage(classes)
    offset = np.where(np.isfinite(depth), depth, 0) * (normals * rays).sum(-1)
    footprint = depth * (rays[0, 1, 0] - rays[0, 0, 0])
    edge = np.zeros(depth.shape, np.uint8)
    for one, two in (((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
                     ((slice(None, -1), slice(None)), (slice(1, None), slice(None)))):
        other_class = classes[one] != classes[two]
        same_hit = np.isfinite(depth[one]) & np.isfinite(depth[two])
        leaves = crown[one] & crown[two]
        things = (instance[one] != instance[two]) & np.isin(classes[one], THINGS)
        error = np.minimum(_mismatch(offset, depth, normals, rays, one, two),
                           _mismatch(offset, depth, normals, rays, two, one))
        nearer = np.minimum(depth[one], depth[two])
        with np.errstate(invalid='ignore'):
            occlusion = same_hit & (error > np.maximum(jump * nearer, 0.2))
        cosine = (normals[one] * normals[two]).sum(-1)
        limbs = np.isin(classes[one], (POLE, SIGN, FENCE, 9, 10))
        bent = same_hit & (cosine < np.cos(np.radians(crease))) & ~limbs & (footprint[one] < 0.06)
        edge[one] |= (~leaves & (other_class | things | occlusion | bent)).astype(np.uint8)
    return edge


def foliage(classes: np.ndarray, hole: int = 7) -> np.ndarray:
    """Return (H, W) bool: vegetation and the sky and buildings in holes below `hole` pixels."""
    tree = (classes == TREE).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (hole, hole))
    closed = cv2.morphologyEx(tree, cv2.MORPH_CLOSE, kernel) > 0
    return closed & np.isin(classes, (SKY, BUILDING, TREE))


def _mismatch(offset, depth, normals, rays, plane, at):
    """Return metres between the depth at `at` and that of the plane seen at `plane`."""
    with np.errstate(divide='ignore', invalid='ignore'):
        slope = (normals[plane] * rays[at]).sum(-1)
        predicted = offset[plane] / np.where(slope < -1e-4, slope, np.nan)
        error = np.abs(predicted - depth[at])
        apart = np.nan_to_num(np.abs(depth[plane] - depth[at]), nan=0., posinf=1e9)
    return np.where(np.isfinite(error), error, apart)
