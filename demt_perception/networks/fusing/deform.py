"""Inference form of the deformable step: the convolution gives the sampling grid itself."""

import torch
from torch import nn, Tensor
from torch.nn import functional as F

from demt_perception.networks.deform import sample_at
from demt_perception.networks.mixer import coordinates, DeformableConv1x1


class GridDeform(nn.Module):
    """``DeformableConv1x1`` whose offset layer is scaled to grid_sample's units beforehand.

    All that depends on the size alone (coordinate features, scaled weights, undisplaced grid) is
    kept for the one size given to ``fix``; other sizes compute it as they come.
    """

    def __init__(self, source: DeformableConv1x1):
        super().__init__()
        self.p_conv, self.opt = source.p_conv, source.opt
        self.weight, self.bias = source.weight, source.bias
        for name in ('position', 'opt_weight', 'opt_bias', 'grid'):
            self.register_buffer(name, None, persistent=False)
        self.fixing = False

    def constants(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return position (18,h,w), offset weight and bias in grid units, grid (2,h,w)."""
        height, width = x.shape[-2:]
        position = coordinates(x) + self.p_conv.bias[:, None, None]
        scale = torch.tensor([2.0 / height, 2.0 / width], dtype=x.dtype, device=x.device).repeat(
            self.opt.out_channels // 2)
        # align_corners=False: pixel p lies at (2p + 1) / size - 1
        rows = torch.arange(height, dtype=x.dtype, device=x.device) * (2.0 / height) + (
            1.0 / height - 1.0)
        columns = torch.arange(width, dtype=x.dtype, device=x.device) * (2.0 / width) + (
            1.0 / width - 1.0)
        grid = torch.stack((rows[:, None].expand(height, width), columns.expand(height, width)))
        return (position, self.opt.weight * scale[:, None, None, None], self.opt.bias * scale,
                grid)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        if self.fixing:
            self.position, self.opt_weight, self.opt_bias, self.grid = self.constants(x)
        if self.grid is not None and self.grid.shape[1:] == (height, width):
            position, weight, bias, grid = (
                self.position, self.opt_weight, self.opt_bias, self.grid)
        else:
            position, weight, bias, grid = self.constants(x)
        taps = F.conv2d(x, self.p_conv.weight, padding=1) + position
        offsets = F.conv2d(taps, weight, bias, padding=1, groups=2)
        offsets = offsets.reshape(batch * channels, 2, height, width)
        if torch.compiler.is_exporting():
            offsets = offsets + grid
        else:
            offsets += grid  # no second copy of the largest tensor of the network
        return F.conv2d(sample_at(x, offsets), self.weight, self.bias)
