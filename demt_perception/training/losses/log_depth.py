"""Depth as its logarithm, for losses: like what is exported, but with a way back from the sky."""

import math

import torch
from torch import Tensor

from demt_perception.networks.deploy import LOG_MIDDLE, LOG_NEAREST

NEAREST = math.exp(LOG_NEAREST)
"""Canonical metres: the least depth that a network can say."""
ROUNDING = 1e-5
"""Of the logarithm: two that differ by less are the same."""


def metres(logits: Tensor, far: float) -> Tensor:
    """Turn depth logits (B,1,h,w) into metres (B,h,w), with a gradient everywhere.

    The values are those of ``deploy.depth_from_logits``, whose limits have no gradient: what lies
    beyond, such as the crown of a tree that is taken for sky, would never learn that it is near.
    """
    x = logits[:, 0] + LOG_MIDDLE
    within = x.detach().clamp(LOG_NEAREST, math.log(far))
    return torch.exp(within + (x - x.detach()))   # straight through


def absolute_difference(found: Tensor, wanted: Tensor) -> Tensor:
    """Return |found - wanted| of logarithms; without gradient where they are the same.

    What is beyond the limit, as it should be, is not to be pulled back by a rounding error.
    """
    off = (found - wanted).abs()
    return torch.where(off < ROUNDING, 0, off)
