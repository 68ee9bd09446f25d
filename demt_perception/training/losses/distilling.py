"""Learning from what another network thinks of a picture: its opinion instead of a label.

An opinion is, by the kind of a task: classes, probabilities (B,K,h,w); scalar, the logarithm of
metres (B,h,w); vector, unit vectors (B,3,h,w); probability (B,h,w).
Source: Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from demt_perception.tasks import TASKS
from demt_perception.training.datasets import IGNORE
from demt_perception.training.losses.log_depth import absolute_difference

LEAST = 1e-3
"""Metres: nearer has no logarithm to speak of."""
UTMOST = 1e4
"""A depth logit beyond every limit."""
Metres = Callable[[Tensor], Tensor]
"""Depth logits (B,1,h,w) to metres of the same shape, see ``Objective.metres``."""


def opinion(task: str, logits: Tensor, metres: Metres) -> Tensor:
    """Return a network's opinion of a task, from its logits."""
    logits = logits.float()
    kind = TASKS[task].kind
    if kind == 'classes':
        return logits.softmax(1)
    if kind == 'scalar':
        return torch.log(metres(logits)[:, 0].clamp(min=LEAST))
    if kind == 'vector':
        return F.normalize(logits, dim=1, eps=1e-6)
    return logits.softmax(1)[:, 1] if logits.shape[1] == 2 else torch.sigmoid(logits[:, 0])


def agreed(task: str, opinions: Sequence[Tensor]) -> Tensor:
    """Return what several opinions are on average; that of depth is the geometric mean."""
    mean = torch.stack(tuple(opinions)).mean(0)
    return F.normalize(mean, dim=1, eps=1e-6) if TASKS[task].kind == 'vector' else mean


def distillation(task: str, logits: Tensor, wanted: Tensor, counts: Tensor, metres: Metres,
                 temperature: float = 2.0) -> Tensor:
    """Return how far logits are from an opinion, averaged over the pixels that count; 0 of none.

    Classes: Kullback-Leibler divergence of both distributions, softened by the temperature, times
    its square, so that gradients stay of one size. Depth: L1 of the logarithms, as far as the
    network that learns can say them. Normals: L1 as in ``driving.cosine_l1``. Probabilities:
    cross-entropy.

    Args:
        task: name.
        logits: (B,c,h,w), of the network that learns.
        wanted: the opinion, of the same h and w.
        counts: bool (B,h,w).
        metres: see ``Metres``.
        temperature: of classes.
    """
    logits = logits.float()
    kind = TASKS[task].kind
    if kind == 'classes':
        target = (torch.log(wanted.clamp(min=1e-7)) / temperature).log_softmax(1)
        found = (logits / temperature).log_softmax(1)
        loss = (target.exp() * (target - found)).sum(1) * temperature ** 2
    elif kind == 'scalar':
        loss = absolute_difference(torch.log(metres(logits)[:, 0].clamp(min=LEAST)),
                                   _within_reach(wanted, metres))
    elif kind == 'vector':
        loss = (F.normalize(logits, dim=1, eps=1e-6) - wanted).abs().sum(1)
    else:
        score = logits[:, -1] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
        loss = F.binary_cross_entropy_with_logits(score, wanted, reduction='none')
    return torch.where(counts, loss, 0).sum() / counts.sum().clamp(min=1)


def confident(task: str, wanted: Tensor, least: float) -> Tensor:
    """Return bool (B,h,w): where an opinion counts.

    Of classes: the likeliest is as probable as ``least``. Nothing known is all 0.
    """
    if TASKS[task].kind == 'classes':
        return wanted.amax(1) >= max(least, 1e-6)
    if TASKS[task].kind == 'vector':
        return (wanted != 0).any(1)
    return torch.isfinite(wanted)


def _within_reach(wanted: Tensor, metres: Metres) -> Tensor:
    """Return logarithms of depth cut to what a network can say: beyond, it never would agree."""
    ends = metres(wanted.new_tensor((-UTMOST, UTMOST))[None, None, None]).flatten()
    least, most = torch.log(ends.clamp(min=LEAST)).tolist()
    return wanted.clamp(least, most)


def unlabelled(task: str, target: Tensor, size: tuple[int, int]) -> Tensor:
    """Return bool (B, *size): the pixels without label in a batch."""
    known = UNKNOWN[TASKS[task].kind](target)
    return F.interpolate(known[:, None].float(), size=size, mode='nearest')[:, 0] > 0


UNKNOWN: Mapping[str, Callable[[Tensor], Tensor]] = {
    'classes': lambda ids: ids == IGNORE, 'scalar': torch.isnan,
    'vector': lambda normals: (normals == 0).all(1), 'probability': lambda mask: mask == IGNORE}
