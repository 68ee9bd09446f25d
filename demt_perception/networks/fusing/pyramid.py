"""Inference forms of what MTI-Net, PAD-Net and the baselines are made of.

Parts are replaced, not heads: auxiliary outputs stay to be had.
"""

from collections.abc import Callable, Mapping, Sequence
import copy
from typing import Any

import torch
from torch import nn, Tensor

from demt_perception.networks.aspp import ASPP
from demt_perception.networks.distillation import MultiModalDistillation
from demt_perception.networks.fusing.norms import fold_batch_norms
from demt_perception.networks.heads import resize
from demt_perception.networks.pyramid_decoder import concatenate, PyramidDecoder, PyramidFuse

# From so many channels on, convolving a map before it is resized costs less than it saves: on a
# CPU, resizing and adding one output channel takes about as long as 64 multiply-accumulates do.
WIDE = 64
# Up to so many, separate convolutions of one input are too small to keep a core busy, and
# stacking them saves a fifth; at 144 a twentieth, at 256 nothing, for much more memory at once.
STACKED = 144


def convolution(weight: Tensor, bias: Tensor | None, padding: int = 0) -> nn.Conv2d:
    """Return a convolution with copies of these weights."""
    outputs, inputs, kernel, _ = weight.shape
    conv = nn.Conv2d(inputs, outputs, kernel, padding=padding, bias=bias is not None,
                     device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        conv.weight.copy_(weight)
        if conv.bias is not None:
            conv.bias.copy_(bias)
    return conv


class FusedPyramid(nn.Module):
    """``PyramidFuse`` or ``PyramidDecoder``: wide maps are convolved before they are resized.

    A 1x1 convolution of concatenated maps is the sum of one for each map, and commutes with
    bilinear resizing, whose weights sum to one.
    """

    def __init__(self, pyramid: PyramidFuse):
        super().__init__()
        layers = copy.deepcopy(pyramid.last_layer)
        fold_batch_norms(layers)
        joint, self.rest = layers[0], layers[1:]
        channels = pyramid.in_channels
        self.wide = [index > 0 and c >= WIDE for index, c in enumerate(channels)]
        parts = joint.weight.detach().split(channels, dim=1)
        narrow = [p for p, wide in zip(parts, self.wide, strict=True) if not wide]
        self.joint = convolution(torch.cat(narrow, dim=1), joint.bias)
        self.before = nn.ModuleList(
            convolution(p, None) for p, wide in zip(parts, self.wide, strict=True) if wide)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        x = self.joint(concatenate(
            [m for m, wide in zip(maps, self.wide, strict=True) if not wide]))
        wide_maps = [m for m, wide in zip(maps, self.wide, strict=True) if wide]
        for conv, m in zip(self.before, wide_maps, strict=True):
            x += resize(conv(m), (x.shape[-2], x.shape[-1]))
        return self.rest(x)


class StackedDistillation(nn.Module):
    """``MultiModalDistillation`` with one convolution for all that is asked of a source."""

    def __init__(self, distillation: MultiModalDistillation):
        super().__init__()
        gates = distillation.self_attention
        self.tasks = tuple(gates)
        self.readers: dict[str, list[str]] = {}
        for task, sources in gates.items():
            for source in sources:
                self.readers.setdefault(source, []).append(task)
        self.stacked = nn.ModuleDict({
            source: convolution(torch.cat(
                [gates[task][source].conv.weight.detach() for task in readers]
                + [gates[task][source].attention[0].weight.detach() for task in readers]),
                None, padding=1)
            for source, readers in self.readers.items()})

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        refined = {task: features[task] for task in self.tasks}
        for source, conv in self.stacked.items():
            values, attention = conv(features[source]).chunk(2, dim=1)
            gated = values * attention.sigmoid()
            readers = self.readers[source]
            for task, part in zip(readers, gated.chunk(len(readers), dim=1), strict=True):
                refined[task] = refined[task] + part
        return refined


class FusedASPP(nn.Module):
    """``ASPP`` whose pooled branch, the same everywhere, is projected as one pixel."""

    def __init__(self, aspp: ASPP):
        super().__init__()
        aspp = copy.deepcopy(aspp)
        fold_batch_norms(aspp)
        *spatial, self.pooled = aspp.convs
        self.convs = nn.ModuleList(spatial)
        project, self.rest = aspp.project[0], aspp.project[1:]
        width = project.in_channels // len(aspp.convs)
        per_pixel, once = project.weight.detach().split(
            [project.in_channels - width, width], dim=1)
        self.project = convolution(per_pixel, None)
        self.project_pooled = convolution(once, project.bias)

    def forward(self, x: Tensor) -> Tensor:
        joined = self.project(torch.cat([conv(x) for conv in self.convs], dim=1))
        return self.rest(joined + self.project_pooled(self.pooled(x)))


def fuse_distillation(distillation: MultiModalDistillation) -> nn.Module:
    """Return an equal module with fewer, larger convolutions where that is faster."""
    weights = list(distillation.parameters())
    if not weights or weights[0].shape[0] > STACKED:
        return distillation
    return StackedDistillation(distillation)


# What replaces a module of exactly this class.
FUSED: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    PyramidFuse: FusedPyramid, PyramidDecoder: FusedPyramid,
    MultiModalDistillation: fuse_distillation, ASPP: FusedASPP}
