"""Inference form of the light DeMT's decoder: 1x1 convolutions of maps instead of tokens.

Tokens are (B, T, P, C), maps T times (B, C, h, w): the same numbers. Between maps and tokens
there are transposes, and attention of a handful of tokens a pixel is thousands of matrix products
of 4x4, which no processor does well. Written over maps all of it is 1x1 convolutions, which run as
fast as the processor multiplies, and a little arithmetic between them that engines fuse.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
import operator

import torch
from torch import nn, Tensor
from torch.nn import functional as F

from demt_perception.networks.demt_light import DeMTLightHead
from demt_perception.networks.fusing.attention import BATCH_ATTENTION, linear, merge_linear
from demt_perception.networks.heads import Head
from demt_perception.networks.precision import wide_type
from demt_perception.networks.query import TaskQuery


class MapNorm(nn.Module):
    """LayerNorm over the channels of maps (B, C, h, w) whose mean over the channels is zero."""

    def __init__(self, source: nn.LayerNorm):
        super().__init__()
        self.weight = nn.Parameter(source.weight.data[:, None, None].clone())
        self.bias = nn.Parameter(source.bias.data[:, None, None].clone())
        self.eps = source.eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.to(wide_type(x))   # in half precision the squares might not fit
        scale = torch.rsqrt((wide * wide).mean(1, keepdim=True) + self.eps)
        return (wide * scale).to(x.dtype) * self.weight + self.bias


class MapLinear(nn.Module):
    """A linear layer over the channels of maps, and the LayerNorm behind it.

    The mean over the channels is linear, so that a layer whose weights are ``centred`` has none.
    """

    def __init__(self, layer: nn.Linear, norm: nn.LayerNorm):
        super().__init__()
        self.weight = nn.Parameter(centred(layer.weight.data)[:, :, None, None])
        self.bias = nn.Parameter(centred(layer.bias.data))
        self.norm = MapNorm(norm)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(F.conv2d(x, self.weight, self.bias))


class MapQuery(nn.Module):
    """``TaskQuery`` over maps: a pixel's scores are products of maps, summed head by head.

    The bias of the keys shifts all scores of a pixel alike and drops out; that of the values
    passes through, since the weights sum to one, and merges into the layer behind.
    """

    def __init__(self, source: TaskQuery):
        super().__init__()
        if source.batch_attention:
            raise ValueError(BATCH_ATTENTION)
        dim, scale = source.query.in_features, (source.query.in_features // source.heads) ** -0.5
        self.query = nn.Parameter((source.query.weight.data * scale)[:, :, None, None])
        self.query_bias = nn.Parameter(source.query.bias.data * scale)
        self.key = nn.Parameter(source.key.weight.data[:, :, None, None].clone())
        self.value = nn.Parameter(source.value.weight.data[:, :, None, None].clone())
        constant = linear(torch.eye(dim).to(source.value.weight), source.value.bias)
        self.out = MapLinear(merge_linear(constant, source.out, source.smlp[0]), source.smlp[1])
        # Of which head a channel is: sums the products, and spreads the weights.
        heads = torch.eye(source.heads).repeat_interleave(dim // source.heads, 1)
        self.sums = nn.Parameter(heads.to(source.query.weight)[:, :, None, None])
        self.spread = nn.Parameter(heads.T.to(source.query.weight)[:, :, None, None].contiguous())

    def forward(self, q: Tensor, z: Sequence[Tensor]) -> Tensor:
        query = F.conv2d(q, self.query, self.query_bias)
        scores = [F.conv2d(query * F.conv2d(one, self.key), self.sums) for one in z]
        largest = reduce(torch.maximum, scores)
        # A softmax over the tasks, written out: stacking them would copy.
        powers = [torch.exp(score - largest) for score in scores]
        total = reduce(operator.add, powers)
        mixed = reduce(operator.add, (
            F.conv2d(power / total, self.spread) * F.conv2d(one, self.value)
            for power, one in zip(powers, z, strict=True)))
        return q + self.out(mixed)


class MapLightHead(DeMTLightHead):
    """``DeMTLightHead`` over maps.

    Args:
        source: a head whose BatchNorms are folded; its modules are taken.
        mixers: those of the source, in their inference form.
    """

    def __init__(self, source: DeMTLightHead, mixers: nn.ModuleDict):
        Head.__init__(self, source.in_channels, source.tasks)
        self.project, self.mixers = source.project, mixers
        for layer in self.project:   # resizing and adding keep a mean of zero
            assert isinstance(layer, nn.Conv2d)
            layer.weight.data = centred(layer.weight.data)
            if layer.bias is not None:
                layer.bias.data = centred(layer.bias.data)
        self.norm_maps = MapNorm(source.norm)
        parts = source.interaction
        self.interact = MapLinear(merge_linear(parts.value, parts.out, parts.smlp[0]),
                                  parts.smlp[1])
        self.ask = nn.ModuleDict({
            task: MapQuery(query) for task, query in source.queries.items()})
        self.heads, self.uncertainty = source.heads, source.uncertainty

    def normalise(self, x: Tensor) -> Tensor:
        return self.norm_maps(x)

    def attend(self, mixed: Mapping[str, Tensor]) -> dict[str, Tensor]:
        z = [self.interact(x) for x in mixed.values()]
        return {task: ask(mixed[task], z) for task, ask in self.ask.items()}


@torch.no_grad()
def centred(weight: Tensor) -> Tensor:
    """Return weights, or biases, whose mean over the outputs (the first axis) is zero."""
    wide = weight.double()
    return (wide - wide.mean(0, keepdim=True)).to(weight)
