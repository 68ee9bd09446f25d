"""Ridges of boundary maps against their definition, point by point."""

import re

import cv2
import numpy as np
import pytest

from demt_perception.training.metrics.suppression import across, suppress


def plain_suppression(boundary):
    """Ridges in float64, point by point; also how near each pixel's fate was to the other one."""
    height, width = boundary.shape
    weights = np.outer(5 - np.abs(np.arange(-4, 5)), 5 - np.abs(np.arange(-4, 5))) / 625
    padded = np.pad(boundary, 4, 'symmetric')
    smooth = np.array([[(padded[y:y + 9, x:x + 9] * weights).sum() for x in range(width)]
                       for y in range(height)])
    dy, dx = np.gradient(smooth)
    dxx, (dyy, dxy) = np.gradient(dx, axis=1), np.gradient(dy)
    angle = np.arctan(dyy * np.sign(-dxy) / (dxx + 1e-5)) % np.pi

    def between(x, y):
        x, y = min(max(x, 0), width - 1.001), min(max(y, 0), height - 1.001)
        left, top = int(x), int(y)
        upper, lower = (boundary[row, left:left + 2] @ (1 - x + left, x - left)
                        for row in (top, top + 1))
        return upper * (1 - y + top) + lower * (y - top)

    ridges, margin = np.zeros_like(boundary), np.full(boundary.shape, np.inf)
    for y, x in np.argwhere(boundary):
        step = np.cos(angle[y, x]), np.sin(angle[y, x])
        beside = max(between(x + sign * step[0], y + sign * step[1]) for sign in (-1, 1))
        margin[y, x] = abs(1.01 * boundary[y, x] - beside)
        if 1.01 * boundary[y, x] >= beside:
            reach = min(5, height // 2, width // 2)
            fade = [min(1, min(at, size - 1 - at) / reach)
                    for at, size in ((y, height), (x, width))]
            ridges[y, x] = boundary[y, x] * fade[0] * fade[1]
    return ridges, angle, margin


@pytest.mark.parametrize('size', [(24, 31), (7, 40), (40, 6), (2, 2), (3, 2)])
def test_ridges_are_those_of_the_definition(size):
    noise = np.random.default_rng(1).random((60, 60))
    boundary = cv2.GaussianBlur(noise, (0, 0), 1.5)[:size[0], :size[1]]
    boundary = np.float32(np.clip(4 * boundary - 1.5, 0, 1))
    ridges, angle, margin = plain_suppression(boundary.astype(float))
    found, direction = suppress(boundary), across(boundary)
    assert found.dtype == np.float32 and (found > 0).sum() >= (min(size) > 3) * 20
    turned = np.abs((direction - angle + np.pi / 2) % np.pi - np.pi / 2)
    sure = (margin > 1e-3) & (turned < 1e-3)   # float32 may decide otherwise near a tie
    assert sure.mean() > 0.8
    np.testing.assert_allclose(found[sure], ridges[sure], atol=1e-6)


def test_a_map_without_a_gradient_is_refused():
    for wrong in ((1, 9), (9, 1), (9,), (3, 9, 9)):
        with pytest.raises(ValueError, match=re.escape(
                f'a boundary map of shape {wrong} has no direction: want (H, W) of at least 2x2')):
            across(np.zeros(wrong, np.float32))
    assert (suppress(np.zeros((2, 2))) == 0).all()
