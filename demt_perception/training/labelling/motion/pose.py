"""How a driving camera moved between two of its photographs, by the points that both show."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

POINTS = 4000
CONTRAST = 0.015
"""Of a point, a third of OpenCV's default: roads and overcast fronts have little."""
ALIKE = 0.85
"""Lowe's ratio of the nearest descriptor's distance to the second one's."""
MISSED = 0.8
"""Pixels that a point may be off its epipolar line."""
FEWEST, LEAST_SHARE = 40, 0.3
"""Points, and of the matches the share, that have to agree on a motion."""
LEAST_SHIFT = 0.0125
"""Of the picture's width: matched points must have moved by this much (median), but for turns."""
AHEAD = 0.95
"""Cosine between the way and the camera's axis: it goes ahead, sideways is a wrong solution."""


class Points(NamedTuple):
    """Points of a picture: float32 (N, 2) x and y, and their descriptors, float32 (N, 128)."""

    places: np.ndarray
    descriptors: np.ndarray


class Step(NamedTuple):
    """Where another picture was taken from: a point x of this camera is R x + s t in the other.

    Attributes:
        rotation: R, (3, 3).
        direction: t, (3,), of length 1, whose metres s points do not tell.
        points: how many agree.
    """

    rotation: np.ndarray
    direction: np.ndarray
    points: int


def find_points(image: np.ndarray, still: np.ndarray) -> Points:
    """Return the points of a picture on what stands still, RootSIFT.

    Lowe, IJCV 2004; square roots of its descriptors: Arandjelovic, Zisserman, CVPR 2012.

    Args:
        image: uint8 (H, W), grey.
        still: bool (H, W); False on sky and on what may drive or walk.
    """
    found, descriptors = cv2.SIFT.create(POINTS, contrastThreshold=CONTRAST).detectAndCompute(
        image, cv2.erode(still.astype(np.uint8), np.ones((5, 5), np.uint8)))
    if not found:
        return Points(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))
    return Points(np.array([point.pt for point in found], np.float32),
                  np.sqrt(descriptors / (descriptors.sum(1, keepdims=True) + 1e-6)))


def step_to(here: Points, there: Points, matrix: np.ndarray, width: int) -> Step | None:
    """Return how to get from one picture's camera to another's; None where it cannot be told.

    Essential matrix by MAGSAC++ (Barath et al., CVPR 2020); deterministic.

    Args:
        here: points of the one.
        there: of the other.
        matrix: (3, 3), of the camera of both.
        width: of the pictures, in pixels.
    """
    if min(len(here.places), len(there.places)) < FEWEST:
        return None
    pairs: Sequence[Sequence[cv2.DMatch]] = cv2.BFMatcher().knnMatch(
        here.descriptors, there.descriptors, 2)
    matches = [first for first, second in pairs if first.distance < ALIKE * second.distance]
    if len(matches) < FEWEST:
        return None
    x = here.places[[match.queryIdx for match in matches]]
    y = there.places[[match.trainIdx for match in matches]]
    if np.median(np.linalg.norm(x - y, axis=1)) < LEAST_SHIFT * width:
        return None
    cv2.setRNGSeed(0)
    essential, inliers = cv2.findEssentialMat(x, y, matrix, cv2.USAC_MAGSAC, 0.9999, MISSED, 10000)
    if essential is None or essential.shape != (3, 3):
        return None
    points, rotation, direction, _ = cv2.recoverPose(essential, x, y, matrix, mask=inliers)
    if points < max(FEWEST, LEAST_SHARE * len(matches)) or abs(direction[2, 0]) < AHEAD:
        return None
    # What turning alone moves tells nothing of the way.
    turned = cv2.perspectiveTransform(x[:, None], matrix @ rotation @ np.linalg.inv(matrix))[:, 0]
    if np.median(np.linalg.norm(turned - y, axis=1)[inliers[:, 0] > 0]) < LEAST_SHIFT * width:
        return None
    return Step(rotation, direction[:, 0], int(points))


def horizon_row(step: Step, matrix: np.ndarray) -> float:
    """Return the row that the first camera drives towards: the horizon of the ground under it."""
    _, down, ahead = step.rotation.T @ step.direction
    return float(matrix[1, 2] + matrix[1, 1] * down / ahead)
