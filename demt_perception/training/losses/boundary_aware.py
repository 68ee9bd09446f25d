"""Cross-entropy that weighs the pixels near borders between classes more.

Borders are few pixels, and the hardest. The idea is the weight map of Ronneberger et al., U-Net,
MICCAI 2015, here with a step instead of a bell.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from demt_perception.training.datasets import IGNORE


def border_weights(ids: Tensor, reach: int = 2, gain: float = 2.0) -> Tensor:
    """Return float32 (B,h,w): 1 + gain near a border, else 1, and 0 where ignored.

    Near is within ``reach`` pixels, in rows and in columns, of a pixel that has a neighbour of
    another class beside, above or below it: reach 0 is these pixels themselves. Ignored pixels
    make no border.

    Args:
        ids: (B,h,w) integer class ids, 255 ignored.
        reach: pixels.
        gain: what is added near a border.
    """
    border = torch.zeros_like(ids, dtype=torch.bool)
    for dim in (1, 2):
        n = ids.shape[dim] - 1
        here, there = ids.narrow(dim, 0, n), ids.narrow(dim, 1, n)
        differ = (here != there) & (here != IGNORE) & (there != IGNORE)
        border.narrow(dim, 0, n).logical_or_(differ)
        border.narrow(dim, 1, n).logical_or_(differ)
    near = F.max_pool2d(border.float()[:, None], 2 * reach + 1, 1, reach)[:, 0]
    return (1 + gain * near) * (ids != IGNORE)


def border_cross_entropy(logits: Tensor, target: Tensor, reach: int = 2,
                         gain: float = 2.0) -> Tensor:
    """Return the cross-entropy, averaged with ``border_weights``; 0 without any label.

    Args:
        logits: (B,K,h,w).
        target: class ids (B,h,w) or (B,1,h,w), 255 ignored.
        reach: see ``border_weights``.
        gain: see ``border_weights``.
    """
    ids = (target[:, 0] if target.ndim == 4 else target).long()
    full = logits.to(torch.promote_types(logits.dtype, torch.float32))
    weights = border_weights(ids, reach, gain).to(full.dtype)
    loss = F.cross_entropy(full, ids, ignore_index=IGNORE, reduction='none')
    return (loss * weights).sum() / weights.sum().clamp(min=1)
