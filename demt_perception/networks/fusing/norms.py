"""Folding of BatchNorm into the convolution or linear layer before it."""

import torch
from torch import nn

from demt_perception.networks.detail_head import DetailHead

OWN = 'demt_perception.'


def fold_batch_norms(module: nn.Module) -> None:
    """Fold, in place, every BatchNorm that its parent registers right after its convolution.

    The rule of this package's networks: what is registered in sequence is computed in sequence;
    ``DetailHead``, whose norm is of the sum of two convolutions, is folded by itself. Modules of
    other packages (timm's, a user's backbone) may have other rules and stay as they are. A folded
    BatchNorm becomes an ``nn.Identity``.
    """
    # Of torch containers alone: a traced GraphModule registers as what it was traced from.
    if not type(module).__module__.startswith(OWN) and type(module) not in (
            nn.Sequential, nn.ModuleList, nn.ModuleDict):
        return
    if isinstance(module, DetailHead) and isinstance(module.norm, nn.BatchNorm2d):
        fold_sum(module)
    before: nn.Module | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and isinstance(before, nn.Conv2d) and (
                before.out_channels == child.num_features):
            fold(before, child)
            module.register_module(name, nn.Identity())
        else:
            fold_batch_norms(child)
        before = child


def fold_sum(head: DetailHead) -> None:
    """Fold the norm of reduce(x) + detail(y): both are scaled, one takes the shift."""
    norm = head.norm
    assert isinstance(norm, nn.BatchNorm2d)
    fold(head.reduce, norm)
    fold(head.detail, norm)
    head.reduce.bias = None  # the shift counts once
    head.norm = nn.Identity()


@torch.no_grad()
def fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Change ``conv`` in place to norm(conv(x)) with the norm's running statistics."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None and variance is not None
    # In float64: statistics with a small variance would lose digits otherwise.
    scale = torch.rsqrt(variance.double() + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    bias = 0 if conv.bias is None else conv.bias.double()
    shift = (bias - mean.double()) * scale
    if norm.bias is not None:
        shift = shift + norm.bias.double()
    dtype = conv.weight.dtype
    conv.weight.copy_((conv.weight.double() * scale[:, None, None, None]).to(dtype))
    conv.bias = nn.Parameter(shift.to(dtype), requires_grad=False)
