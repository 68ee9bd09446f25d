"""Losses of the driving tasks, each over the pixels that have a label.

All take predictions already at the labels' size; all return 0 where nothing is labelled.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from demt_perception.tasks import TASKS
from demt_perception.training.datasets import IGNORE
from demt_perception.training.losses.log_depth import absolute_difference, metres

EDGE_POSITIVE = 0.9


def cross_entropy(logits: Tensor, target: Tensor, class_weights: Tensor, _: float) -> Tensor:
    """Weighted cross-entropy; logits (B,K,h,w), target (B,h,w) int64 with 255 ignored."""
    if not (target != IGNORE).any():
        return logits.sum() * 0
    return F.cross_entropy(logits, target, class_weights, ignore_index=IGNORE,
                           label_smoothing=0.02)


def log_l1(logits: Tensor, target: Tensor, _: Tensor, far: float) -> Tensor:
    """L1 of the logarithm of depth; target (B,h,w) metres with NaN ignored.

    The plain L1 of the paper (indoor, to 10 m) would be ruled by far pixels on a street.
    """
    valid = torch.isfinite(target)
    error = absolute_difference(torch.log(metres(logits, far)[valid]), torch.log(target[valid]))
    return error.sum() / valid.sum().clamp(min=1)


def cosine_l1(logits: Tensor, target: Tensor, _: Tensor, __: float) -> Tensor:
    """L1 between unit normals, summed over the channels (spec 1.8); zero targets ignored."""
    valid = (target != 0).any(1)
    error = (F.normalize(logits, dim=1, eps=1e-6) - target).abs().sum(1)
    return (error * valid).sum() / valid.sum().clamp(min=1)


def balanced_bce(logits: Tensor, target: Tensor, _: Tensor, __: float) -> Tensor:
    """Binary cross-entropy with the positives weighted 0.9 to 0.1 (spec 1.8); 255 ignored."""
    valid = (target != IGNORE).float()
    target = (target == 1).float()
    loss = (EDGE_POSITIVE * target * F.softplus(-logits[:, 0])
            + (1 - EDGE_POSITIVE) * (1 - target) * F.softplus(logits[:, 0]))
    return (loss * valid).sum() / valid.sum().clamp(min=1)


def balanced_cross_entropy(logits: Tensor, target: Tensor, _: Tensor, __: float) -> Tensor:
    """Two-class cross-entropy balanced over the batch (spec 1.8, saliency); 255 ignored.

    Positives weigh as much as the share of negatives, and the other way round. Logits have two
    channels (softmax) or one (sigmoid); target (B,h,w), 1 is positive.
    """
    # Of a softmax over two only the difference counts, so that both forms are one.
    score = logits[:, -1] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
    valid = target != IGNORE
    positive = (target == 1) & valid
    count = valid.sum().clamp(min=1)
    share = positive.sum() / count
    loss = torch.where(positive, (1 - share) * F.softplus(-score), share * F.softplus(score))
    return (loss * valid).sum() / count


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor, float], Tensor]] = {
    'cross_entropy': cross_entropy, 'log_l1': log_l1, 'cosine_l1': cosine_l1,
    'balanced_bce': balanced_bce, 'balanced_cross_entropy': balanced_cross_entropy}


def multi_task_loss(logits: dict[str, Tensor], batch: dict[str, Tensor],
                    weights: dict[str, float], class_weights: Tensor,
                    far: float) -> tuple[Tensor, dict[str, float]]:
    """Return the weighted sum over tasks and every task's own value.

    Args:
        logits: {task: (B, c, h/4, w/4)}; upsampled bilinearly to the labels' half size.
        batch: of ``to_tensors``, collated.
        weights: {task: weight}.
        class_weights: (K,) for the cross-entropy of the classes of the model card; tasks with
            classes of their own (human parts) are not weighted.
        far: greatest depth, see ``to_tensors``.
    """
    total, values = torch.zeros(()), {}
    for task, prediction in logits.items():
        target = batch[task]
        fine = F.interpolate(prediction, size=target.shape[-2:], mode='bilinear',
                             align_corners=False)
        own = TASKS[task].channels
        loss = LOSSES[TASKS[task].loss](
            fine, target, class_weights if own is None else class_weights.new_ones(own), far)
        values[task] = float(loss.detach())
        total = total + weights[task] * loss
    return total, values
