"""First guess of every auxiliary task at one scale, and the features that it is made from.

Sources: spec 2 (MTI-Net, four scales) and 3 (PAD-Net, one scale), as released.
"""

from collections.abc import Mapping

import torch
from torch import nn, Tensor

from demt_perception.networks.blocks import BasicBlock, Bottleneck
from demt_perception.networks.heads import resize


class ScalePrediction(nn.Module):
    """MTI-Net's: a scale's map and what was propagated from the coarser one to features.

    Takes a map (B,inputs,h,w) and, but at the coarsest scale, {task: (B,coarser,h',w')};
    returns {task: (B,channels,h,w)}. Call ``predict`` for the predictions.

    Args:
        tasks: {auxiliary task: output channels}.
        inputs: channels of the map, and of the features that come out.
        coarser: channels of the coarser features, 0 at the coarsest scale.
    """

    def __init__(self, tasks: Mapping[str, int], inputs: int, coarser: int = 0):
        super().__init__()
        self.refinement = nn.ModuleDict({
            task: nn.Sequential(BasicBlock(inputs + coarser, inputs), BasicBlock(inputs, inputs))
            for task in tasks})
        self.decoders = nn.ModuleDict({t: nn.Conv2d(inputs, c, 1) for t, c in tasks.items()})

    def forward(self, x: Tensor, coarser: Mapping[str, Tensor] | None = None
                ) -> dict[str, Tensor]:
        if coarser is None:
            return {task: refine(x) for task, refine in self.refinement.items()}
        # To the map's size, not by 2: where that is odd, the coarser one is its half rounded up.
        size = (x.shape[-2], x.shape[-1])
        return {task: refine(torch.cat([x, resize(coarser[task], size)], dim=1))
                for task, refine in self.refinement.items()}

    def predict(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return {task: (B, output channels, h, w)}."""
        return {task: decode(features[task]) for task, decode in self.decoders.items()}


class WidePrediction(nn.Module):
    """PAD-Net's: one map (B,inputs,h,w) to {task: (B,width,h,w)}, by two bottlenecks each.

    Args:
        tasks: {auxiliary task: output channels}.
        inputs: channels of the map.
        width: channels of the features, a multiple of 4.
    """

    def __init__(self, tasks: Mapping[str, int], inputs: int, width: int):
        super().__init__()
        planes = width // Bottleneck.expansion
        self.layers = nn.ModuleDict({
            task: nn.Sequential(Bottleneck(inputs, planes), Bottleneck(width, planes))
            for task in tasks})
        self.conv_out = nn.ModuleDict({t: nn.Conv2d(width, c, 1) for t, c in tasks.items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {task: layers(x) for task, layers in self.layers.items()}

    def predict(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return {task: (B, output channels, h, w)}."""
        return {task: conv(features[task]) for task, conv in self.conv_out.items()}
