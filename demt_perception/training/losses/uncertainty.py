"""How far off depth is: the likelihood of its error, from which a network learns the scale."""

import torch
from torch import Tensor

from demt_perception.networks.deploy import depth_from_logits, GREATEST, SMALLEST


def laplace(log_scale: Tensor, logits: Tensor, target: Tensor, far: float) -> Tensor:
    """Return the mean negative log-likelihood of the error of log depth, without log 2.

    The error counts as given: through it, depth would be drawn to where its scale is small and
    left alone where it is great (Kendall and Gal, NeurIPS 2017, want that; here depth has its own
    loss, and its figures must not depend on whether somebody asks how sure it is).

    Args:
        log_scale: (B,1,h,w), natural logarithm of the scale of a Laplace distribution.
        logits: of depth, (B,1,h,w).
        target: (B,h,w) metres; NaN, and ``far`` or more, which is sky, do not count.
        far: greatest depth, metres.
    """
    valid = torch.isfinite(target) & (target < far)
    # Else one pixel that is right by chance could weigh as much as all others.
    log_scale = log_scale[:, 0][valid].clamp(SMALLEST, GREATEST)
    depth = depth_from_logits(logits.detach(), far)[valid]
    error = (torch.log(depth) - torch.log(target[valid])).abs()
    return (error * torch.exp(-log_scale) + log_scale).sum() / valid.sum().clamp(min=1)
