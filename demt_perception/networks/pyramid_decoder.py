"""What joins four maps by a 1x1 convolution at the first one's resolution.

Source: HRNet's segmentation head as in Multi-Task-Learning-PyTorch (spec 2, 3): the heads of
MTI-Net and of the baselines, and what comes before PAD-Net. Key names are the released ones.
"""

from collections.abc import Sequence

import torch
from torch import nn, Tensor

from demt_perception.networks.heads import resize


def concatenate(maps: Sequence[Tensor]) -> Tensor:
    """Resize all maps to the first and concatenate their channels: (B, sum C_i, h_0, w_0)."""
    size = (maps[0].shape[-2], maps[0].shape[-1])
    return torch.cat([resize(m, size) for m in maps], dim=1)


class PyramidFuse(nn.Module):
    """Four maps to one (B,sum C_i,h_0,w_0): concatenation, 1x1 convolution, BatchNorm, ReLU."""

    def __init__(self, in_channels: Sequence[int]):
        super().__init__()
        self.in_channels = tuple(in_channels)
        total = sum(in_channels)
        self.last_layer = nn.Sequential(
            nn.Conv2d(total, total, 1), nn.BatchNorm2d(total), nn.ReLU())

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        return self.last_layer(concatenate(maps))


class PyramidDecoder(PyramidFuse):
    """Four maps to logits (B,outputs,h_0,w_0): ``PyramidFuse``, then a 1x1 convolution."""

    def __init__(self, in_channels: Sequence[int], outputs: int):
        super().__init__(in_channels)
        self.last_layer.append(nn.Conv2d(sum(in_channels), outputs, 1))
