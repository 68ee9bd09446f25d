"""From four feature maps to the one map that the DeMT head works on.

``concat`` is DeMT's (spec 1.2); the article names pyramid aggregation as future work, hence
``fpn`` and ``bifpn``. All end in a LayerNorm over channels, as DeMT's, so that they can be
exchanged for each other.
"""

from collections.abc import Callable, Sequence

import torch
from torch import nn, Tensor
from torch.nn import functional as F

from demt_perception.networks.heads import resize


class ConcatAggregation(nn.Module):
    """Resize all maps to the first, concatenate, ``project`` to dim, ``norm`` (spec 1.2).

    Takes maps (B, in_channels[i], h_i, w_i) and returns (B, dim, h_0, w_0), as all here do.

    Args:
        in_channels: channels of the maps.
        dim: channels of the result.
    """

    def __init__(self, in_channels: Sequence[int], dim: int):
        super().__init__()
        self.in_channels = tuple(in_channels)
        self.project = nn.Linear(sum(in_channels), dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        size = (maps[0].shape[-2], maps[0].shape[-1])
        x = torch.cat([resize(m, size) for m in maps], dim=1)
        return self.norm(self.project(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


class FPNAggregation(nn.Module):
    """Feature pyramid, finest level: lateral 1x1, top-down sum, 3x3 smoothing, ``norm``.

    Source: Lin et al., Feature Pyramid Networks, CVPR 2017; bilinear instead of nearest
    upsampling, as everywhere in DeMT. The sums are smoothed once, at the finest level: the
    others are not asked for. Arguments and shapes: see ``ConcatAggregation``.
    """

    def __init__(self, in_channels: Sequence[int], dim: int):
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, dim, 1) for c in in_channels)
        self.smooth = nn.Conv2d(dim, dim, 3, padding=1)
        self.norm = nn.LayerNorm(dim)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        levels = [lateral(m) for lateral, m in zip(self.lateral, maps, strict=True)]
        x = levels[-1]
        for level in reversed(levels[:-1]):
            x = level + resize(x, (level.shape[-2], level.shape[-1]))
        return self.norm(self.smooth(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class WeightedFusion(nn.Module):
    """A node of BiFPN: fast normalised sum of maps of one size, SiLU, separable conv, BN."""

    def __init__(self, inputs: int, dim: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(inputs))
        # In this order, so that the norm folds into the pointwise convolution before it.
        self.conv = nn.Sequential(
            nn.Conv2d(dim, dim, 3, padding=1, groups=dim, bias=False),
            nn.Conv2d(dim, dim, 1, bias=False), batch_norm(dim))

    def forward(self, *maps: Tensor) -> Tensor:
        weight = self.weight.relu()
        weight = weight / (weight.sum() + 1e-4)
        total = maps[0] * weight[0]
        for index in range(1, len(maps)):
            total = total + maps[index] * weight[index]
        return self.conv(F.silu(total))


class BiFPNRound(nn.Module):
    """One round of BiFPN on maps of dim channels, fine to coarse: top-down, then bottom-up."""

    def __init__(self, levels: int, dim: int):
        super().__init__()
        self.down = nn.ModuleList(WeightedFusion(2, dim) for _ in range(levels - 1))
        self.up = nn.ModuleList(
            WeightedFusion(3 if i < levels - 1 else 2, dim) for i in range(1, levels))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        middle = top_down(self.down, maps)
        out = middle[:1]
        for index, node in enumerate(self.up, start=1):
            # The coarsest level has no top-down node: its input stands for it.
            inputs = maps[index:index + 1] if index == len(maps) - 1 else (
                maps[index], middle[index])
            out.append(node(*inputs, shrink(out[-1], maps[index])))
        return out


class BiFPNAggregation(nn.Module):
    """Weighted bidirectional feature pyramid, two rounds, finest level, ``norm``.

    Source: Tan et al., EfficientDet, CVPR 2020: fast normalised weights, separable
    convolutions, max pooling downwards. The last round is top-down only: its bottom-up half
    would not reach the finest level. Arguments and shapes: see ``ConcatAggregation``.
    """

    def __init__(self, in_channels: Sequence[int], dim: int):
        super().__init__()
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, dim, 1, bias=False), batch_norm(dim)) for c in in_channels)
        self.first = BiFPNRound(len(in_channels), dim)
        self.last = nn.ModuleList(WeightedFusion(2, dim) for _ in in_channels[1:])
        self.norm = nn.LayerNorm(dim)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        levels = [lateral(m) for lateral, m in zip(self.lateral, maps, strict=True)]
        finest = top_down(self.last, self.first(levels))[0]
        return self.norm(finest.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def batch_norm(dim: int) -> nn.BatchNorm2d:
    """Return a norm with EfficientDet's settings."""
    return nn.BatchNorm2d(dim, eps=1e-3, momentum=0.01)


def top_down(nodes: nn.ModuleList, maps: Sequence[Tensor]) -> list[Tensor]:
    """Fuse from the coarsest map to the finest; return the results, fine to coarse."""
    out = [maps[-1]]
    for node, level in zip(reversed(nodes), reversed(maps[:-1]), strict=True):
        out.insert(0, node(level, resize(out[0], (level.shape[-2], level.shape[-1]))))
    return out


def shrink(x: Tensor, like: Tensor) -> Tensor:
    """Halve by max pooling to the size of ``like``; other ratios are resized after it."""
    size = (like.shape[-2], like.shape[-1])
    if x.shape[-2:] == size:  # maps of a dilated backbone
        return x
    return resize(F.max_pool2d(x, 3, stride=2, padding=1), size)


AGGREGATIONS: dict[str, Callable[[Sequence[int], int], nn.Module]] = {
    'concat': ConcatAggregation, 'fpn': FPNAggregation, 'bifpn': BiFPNAggregation}


def create_aggregation(name: str, in_channels: Sequence[int], dim: int) -> nn.Module:
    """Build an aggregation by name.

    Raises:
        ValueError: the name is unknown.
    """
    if name not in AGGREGATIONS:
        raise ValueError(f'aggregation {name!r} is unknown: want one of {sorted(AGGREGATIONS)}')
    return AGGREGATIONS[name](in_channels, dim)
