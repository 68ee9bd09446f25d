"""The losses of the published code, with their weights and their rules for unlabelled pixels.

DeMT (as ATRC and InvPT) and Multi-Task-Learning-PyTorch (MTI-Net, PAD-Net) share most of them;
where they differ, both are here, and the tables at the end say who uses which.

All take logits (B,C,h,w) of any floating type, computed with in float32 or better, and targets
(B,C,h,w), or (B,h,w) where there is one channel, of the same size. 255 is no label unless a loss
says otherwise; without any label the value is 0, and so is the gradient.
Source: spec 1.8 and 2; Xie and Tu, HED, ICCV 2015, for the balancing.
"""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from demt_perception.training.datasets import IGNORE

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy, mean over the pixels with a class; target holds class ids."""
    ids = _ids(target)
    total = F.cross_entropy(_full(logits), ids, ignore_index=IGNORE, reduction='sum')
    return total / (ids != IGNORE).sum().clamp(min=1)


def balanced_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Two-class cross-entropy of DeMT's saliency, mean over the labelled pixels.

    Positives weigh the share of negatives in the batch and negatives the share of positives.
    """
    ids = _ids(target)
    count = (ids != IGNORE).sum().clamp(min=1)
    loss = F.cross_entropy(_full(logits), ids, ignore_index=IGNORE, reduction='none')
    share = (ids == 1).sum().to(loss.dtype) / count
    return (loss * torch.where(ids == 1, 1 - share, share)).sum() / count


def balanced_bce(logits: Tensor, target: Tensor, positive: float | None = None) -> Tensor:
    """Binary cross-entropy of DeMT's boundaries, mean over the labelled pixels.

    Args:
        logits: (B,1,h,w).
        target: 0 to 1, or 255.
        positive: weight of positives, that of negatives is the rest to 1; None: the share of
            negatives in the batch.
    """
    target = _like(target, logits)
    valid = target != IGNORE
    count = valid.sum().clamp(min=1)
    y = torch.where(valid, target, 0).to(_full(logits).dtype)
    weight = (valid.sum() - y.sum()) / count if positive is None else positive
    return (_bce(logits, y, weight) * valid).sum() / count


def hed_bce(logits: Tensor, target: Tensor, positive: float | None = None) -> Tensor:
    """Binary cross-entropy of Multi-Task-Learning-PyTorch: no pixel is ignored.

    Whatever is 0.5 or more counts as positive, 255 too, and the mean is over all pixels: labels
    with unlabelled pixels want ``balanced_bce``, which is the same elsewhere (``MTL_PARTIAL``).
    Arguments as of ``balanced_bce``.
    """
    y = (_like(target, logits) >= 0.5).to(_full(logits).dtype)
    return _bce(logits, y, 1 - y.mean() if positive is None else positive).mean()


def depth_l1(logits: Tensor, target: Tensor) -> Tensor:
    """L1 in the target's unit, mean over labelled pixels; also NaN and infinity are no label.

    The published depths are all finite; ours mark the unknown by NaN and sky by infinity.
    """
    target = _like(target, logits)
    valid = (target != IGNORE) & torch.isfinite(target)
    error = (_full(logits) - torch.where(valid, target, 0)).abs()
    return torch.where(valid, error, 0).sum() / valid.sum().clamp(min=1)


def normals_l1_per_pixel(logits: Tensor, target: Tensor) -> Tensor:
    """DeMT's: L1 to the unit prediction, summed over channels, mean over the labelled pixels.

    A pixel with 255 in any channel has no label.
    """
    valid = (target != IGNORE).all(1, keepdim=True)
    error = (F.normalize(_full(logits), dim=1) - target).abs()
    return torch.where(valid, error, 0).sum() / valid.sum().clamp(min=1)


def normals_l1_per_element(logits: Tensor, target: Tensor) -> Tensor:
    """Multi-Task-Learning-PyTorch's: mean over labelled elements, a third of the other."""
    valid = target != IGNORE
    error = (F.normalize(_full(logits), dim=1) - target).abs()
    return torch.where(valid, error, 0).sum() / valid.sum().clamp(min=1)


def _bce(logits: Tensor, y: Tensor, positive: float | Tensor) -> Tensor:
    """Return the weighted binary cross-entropy of every pixel."""
    x = _full(logits)
    return positive * y * F.softplus(-x) + (1 - positive) * (1 - y) * F.softplus(x)


def _full(logits: Tensor) -> Tensor:
    """Return at least float32: half precision would lose the sums over many pixels."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _ids(target: Tensor) -> Tensor:
    """Return class ids (B,h,w) int64."""
    return (target[:, 0] if target.ndim == 4 else target).long()


def _like(target: Tensor, logits: Tensor) -> Tensor:
    """Return the target of a one-channel task as (B,1,h,w).

    Raises:
        ValueError: its size is not that of the logits; they would be broadcast silently.
    """
    target = target if target.ndim == 4 else target[:, None]
    if target.shape != logits.shape:
        raise ValueError(f'target {tuple(target.shape)} does not fit logits '
                         f'{tuple(logits.shape)}: want one channel, and resize the logits to '
                         'the labels first')
    return target


WEIGHTS: Mapping[str, float] = {
    'semseg': 1.0, 'human_parts': 2.0, 'sal': 5.0, 'normals': 10.0, 'depth': 1.0, 'edge': 50.0}

DEMT_NYUD: Mapping[str, Loss] = {
    'semseg': cross_entropy, 'human_parts': cross_entropy, 'sal': balanced_cross_entropy,
    'normals': normals_l1_per_pixel, 'depth': depth_l1,
    'edge': partial(balanced_bce, positive=0.8)}
DEMT_PASCAL: Mapping[str, Loss] = {**DEMT_NYUD, 'edge': partial(balanced_bce, positive=0.95)}
MTL: Mapping[str, Loss] = {
    **DEMT_NYUD, 'sal': hed_bce, 'normals': normals_l1_per_element,
    'edge': partial(hed_bce, positive=0.95)}
# MTL for labels that are missing in places; equal to it where none is.
MTL_PARTIAL: Mapping[str, Loss] = {
    **MTL, 'sal': balanced_bce, 'edge': partial(balanced_bce, positive=0.95)}
