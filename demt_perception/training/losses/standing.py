"""What stands on the ground is as far away as the ground at its foot.

A depth label for photographs that have none but classes. A network that learned depth from
renders alone knows the road of a photograph well, which looks alike everywhere, and crowns and
house fronts above it badly.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

CLEAR, STEP = 1, 2
"""Rows below the foot where the ground is asked, and again: at the boundary depth is of both. On a
plane the inverse of depth is linear, so that two rows tell it at the foot."""
SLACK = 0.1
"""Of the logarithm of depth, without a loss: a front recedes, a car's foot is nearer than it."""
MOST = 1.0
"""Of the logarithm; beyond, the loss grows no more: a crown may hang before another street."""


def feet(classes: Tensor, ground: Sequence[int], stands: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return the first row of the ground below every pixel, and where it stands on that.

    Upwards from the ground, a column of the picture shows one thing for as long as the class stays
    the same.

    Args:
        classes: (B,h,w) ids.
        ground: ids of the classes that things stand on.
        stands: ids of the classes that stand upright on it.

    Returns:
        (B,h,w) int64 rows; (B,h,w) bool, where the pixel is of a class that stands, and the run of
        its class in the column ends on enough rows of ground.
    """
    height = classes.shape[1]
    rows = torch.arange(height, device=classes.device)[:, None].expand(height, classes.shape[2])
    last = torch.ones_like(classes, dtype=torch.bool)
    last[:, :-1] = classes[:, :-1] != classes[:, 1:]
    # From below: the nearest row on which a run ends.
    foot = torch.where(last, rows, height).flip(1).cummin(1).values.flip(1) + 1
    is_ground = torch.isin(classes, classes.new_tensor(list(ground)))
    stands_on = torch.isin(classes, classes.new_tensor(list(stands)))
    for row in range(CLEAR + STEP + 1):
        stands_on = stands_on & is_ground.gather(1, (foot + row).clamp(max=height - 1))
    return foot.clamp(max=height - 1), stands_on & (foot + CLEAR + STEP < height)


def depth_of_feet(depth: Tensor, foot: Tensor) -> Tensor:
    """Return the depth of the ground at the upper edge of a row, extended from rows below.

    Args:
        depth: (B,h,w) metres.
        foot: (B,h,w) rows, see ``feet``.
    """
    inverse, most = 1 / depth, depth.shape[1] - 1
    near = inverse.gather(1, (foot + CLEAR).clamp(max=most))
    nearer = inverse.gather(1, (foot + CLEAR + STEP).clamp(max=most))
    there = near - (nearer - near) * ((CLEAR + 0.5) / STEP)
    # Where it is hardly farther than the ground that is asked, or beyond the horizon: that.
    return 1 / torch.maximum(there, near * 0.5)


def standing_loss(depth: Tensor, classes: Tensor, unknown: Tensor, ground: Sequence[int],
                  stands: Sequence[int]) -> Tensor:
    """Return the mean difference of log depth to the foot's, beyond ``SLACK`` and up to ``MOST``.

    The ground does not learn from what stands on it. 0 where nothing counts.

    Args:
        depth: (B,1,h,w) metres, of a network.
        classes: (B,h,w) ids.
        unknown: (B,h,w) bool, where depth has no label: only these count.
        ground: see ``feet``.
        stands: see ``feet``.
    """
    foot, counts = feet(classes, ground, stands)
    counts = counts & unknown
    there = depth_of_feet(depth[:, 0].detach(), foot)
    off = (torch.log(depth[:, 0]) - torch.log(there)).abs()
    loss = (off - SLACK).clamp(0, MOST)
    return torch.where(counts, loss, 0).sum() / counts.sum().clamp(min=1)
