"""Scale-invariant logarithmic depth loss: the right shape counts more than the right scale.

Source: Eigen, Puhrsch and Fergus, NeurIPS 2014, equation 4.
"""

import torch
from torch import Tensor

from demt_perception.training.datasets import IGNORE

NEAREST = 1e-3  # metres; linear depth networks may predict less, which has no logarithm


def scale_invariant_log(depth: Tensor, target: Tensor, balance: float = 0.5) -> Tensor:
    """Return mean(d^2) - balance * mean(d)^2 of each image, d = ln(depth / target), averaged.

    Averaged over the images that have labels; 0 if none has.

    Args:
        depth: metres, (B,1,h,w) or (B,h,w); at least a millimetre is assumed.
        target: metres, of the same shape; 255, zero, NaN and infinity are no label.
        balance: 0 is plain L2 of the logarithm, 1 the variance of d: any scale will do.
    """
    depth = depth.to(torch.promote_types(depth.dtype, torch.float32)).flatten(1)
    target = target.flatten(1)
    valid = torch.isfinite(target) & (target > 0) & (target != IGNORE)
    difference = depth.clamp(min=NEAREST).log() - torch.where(valid, target, 1).log()
    difference = torch.where(valid, difference, 0)
    count = valid.sum(1)
    many = count.clamp(min=1)
    loss = difference.square().sum(1) / many - balance * (difference.sum(1) / many).square()
    return loss.sum() / (count > 0).sum().clamp(min=1)
