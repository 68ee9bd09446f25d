"""Normals of depth alone: what rendered ones have to agree with on flat faces."""

import numpy as np


def normals_from_depth(depth: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) normals by central differences of the reprojected depth."""
    points = rays * depth[..., None]
    across, down = np.gradient(points, axis=1), np.gradient(points, axis=0)
    normals = np.cross(down, across)
    return normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
