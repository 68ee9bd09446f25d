"""The deformable mixer of DeMT: channel mixing, then spatial mixing by deformable sampling.

Source: Xu et al., DeMT, AAAI 2023, as the released code computes it since 2023-03-07
(spec 1.3): the offsets come from the features and from absolute coordinates.
"""

import math

import torch
from torch import nn, Tensor

from demt_perception.networks.deform import sample_per_channel

# The nine taps of a 3x3 neighbourhood; used as coordinate features only.
TAP_ROWS = (-1, -1, -1, 0, 0, 0, 1, 1, 1)
TAP_COLUMNS = (-1, 0, 1, -1, 0, 1, -1, 0, 1)


class DeformableConv1x1(nn.Module):
    """1x1 convolution of features that each channel samples at its own learned position.

    Args:
        dim: channels in and out.
        offset_std: None keeps the released initialisation of the offset layer (offsets of tens
            of pixels from the start); a number draws its weights with this standard deviation,
            so that training starts near an ordinary 1x1 convolution.
    """

    def __init__(self, dim: int, offset_std: float | None = None):
        super().__init__()
        self.p_conv = nn.Conv2d(dim, 18, 3, padding=1)
        nn.init.zeros_(self.p_conv.weight)
        self.opt = nn.Conv2d(18, 2 * dim, 3, padding=1, groups=2)
        if offset_std is not None:
            nn.init.normal_(self.opt.weight, std=offset_std)
            nn.init.zeros_(self.opt.bias)
        self.weight = nn.Parameter(torch.empty(dim, dim, 1, 1))
        self.bias = nn.Parameter(torch.empty(dim))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        nn.init.uniform_(self.bias, -1 / math.sqrt(dim), 1 / math.sqrt(dim))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        rows = torch.arange(1, height + 1, dtype=x.dtype, device=x.device)
        columns = torch.arange(1, width + 1, dtype=x.dtype, device=x.device)
        row_taps = torch.tensor(TAP_ROWS, dtype=x.dtype, device=x.device)
        column_taps = torch.tensor(TAP_COLUMNS, dtype=x.dtype, device=x.device)
        position = torch.cat((
            (row_taps[:, None, None] + rows[None, :, None]).expand(9, height, width),
            (column_taps[:, None, None] + columns[None, None, :]).expand(9, height, width)))
        offsets = self.opt(self.p_conv(x) + position)
        return nn.functional.conv2d(sample_per_channel(x, offsets), self.weight, self.bias)


class DeformableMixer(nn.Module):
    """One mixer block: A = BN(GELU(conv1x1(x))); A + BN(GELU(deform(A))). (B,C,H,W) to same."""

    def __init__(self, dim: int, offset_std: float | None = None):
        super().__init__()
        self.channel = nn.Sequential(nn.Conv2d(dim, dim, 1), nn.GELU(), nn.BatchNorm2d(dim))
        self.spatial = nn.Sequential(
            DeformableConv1x1(dim, offset_std), nn.GELU(), nn.BatchNorm2d(dim))

    def forward(self, x: Tensor) -> Tensor:
        x = self.channel(x)
        return x + self.spatial(x)
