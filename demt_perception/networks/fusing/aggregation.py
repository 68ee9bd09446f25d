"""Inference form of the concatenating aggregation: project first, resize less."""

from collections.abc import Sequence

import torch
from torch import nn, Tensor

from demt_perception.networks.aggregation import ConcatAggregation
from demt_perception.networks.heads import resize


class FusedConcat(nn.Module):
    """Sum of the maps' projections, each at its own resolution, then the norm.

    A per-pixel linear map and bilinear resizing commute, and the resizing weights sum to one, so
    the bias rides on the first map. The weights are centred over the output channels: then the
    mean that a LayerNorm subtracts is zero already and its root mean square is left to divide by.
    """

    def __init__(self, aggregation: ConcatAggregation):
        super().__init__()
        project, norm = aggregation.project, aggregation.norm
        weight, bias = project.weight.detach().double(), project.bias.detach().double()
        weight, bias = weight - weight.mean(0), bias - bias.mean()
        self.project = nn.ModuleList()
        for index, part in enumerate(weight.split(aggregation.in_channels, dim=1)):
            conv = nn.Conv2d(part.shape[1], part.shape[0], 1, bias=index == 0)
            conv.to(device=project.weight.device, dtype=project.weight.dtype)
            with torch.no_grad():
                conv.weight.copy_(part[:, :, None, None])
                if conv.bias is not None:
                    conv.bias.copy_(bias)
            self.project.append(conv)
        self.scale = nn.Parameter(norm.weight.detach().clone().reshape(1, -1, 1, 1))
        self.shift = nn.Parameter(norm.bias.detach().clone().reshape(1, -1, 1, 1))
        self.eps = norm.eps

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        size = (maps[0].shape[-2], maps[0].shape[-1])
        total = self.project[0](maps[0])
        for conv, m in zip(self.project[1:], maps[1:], strict=True):
            total = total + resize(conv(m), size)
        power = (total * total).mean(1, keepdim=True)
        return total * (power + self.eps).rsqrt() * self.scale + self.shift


def fuse_concat(aggregation: ConcatAggregation) -> nn.Module:
    """Return an equal module with fewer operations; parameters are copies."""
    return FusedConcat(aggregation)
