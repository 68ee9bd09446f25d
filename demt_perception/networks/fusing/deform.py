"""Inference form of the deformable step: the convolution gives the sampling grid itself."""

import torch
from torch import nn, Tensor
from torch.nn import functional as F

from demt_perception.networks.deform import sample_at
from demt_perception.networks.mixer import coordinates, DeformableConv1x1
from demt_perception.networks.precision import wide_type, without_autocast


class GridDeform(nn.Module):
    """``DeformableConv1x1`` whose offset layer is scaled to grid_sample's units beforehand.

    All that depends on the size alone (coordinate features, scaled weights, undisplaced grid) is
    kept for the size of the map that comes while ``fixing``; other sizes compute it as they come.
    """

    def __init__(self, source: DeformableConv1x1):
        super().__init__()
        self.p_conv, self.opt = source.p_conv, source.opt
        self.weight, self.bias = source.weight, source.bias
        for name in ('position', 'opt_weight', 'opt_bias', 'grid'):
            self.register_buffer(name, None, persistent=False)
        self.fixing = False
        self.register_load_state_dict_post_hook(_fix_again)

    def constants(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return position (18,h,w), offset weight and bias in grid units, grid (2,h,w)."""
        height, width = x.shape[-2:]
        position = coordinates(x) + self.p_conv.bias[:, None, None]
        scale = torch.tensor([2.0 / height, 2.0 / width], dtype=x.dtype, device=x.device).repeat(
            self.opt.out_channels // 2)
        wide = wide_type(x)
        # align_corners=False: pixel p lies at (2p + 1) / size - 1
        rows = torch.arange(height, dtype=wide, device=x.device) * (2.0 / height) + (
            1.0 / height - 1.0)
        columns = torch.arange(width, dtype=wide, device=x.device) * (2.0 / width) + (
            1.0 / width - 1.0)
        grid = torch.stack((rows[:, None].expand(height, width), columns.expand(height, width)))
        return (position, self.opt.weight * scale[:, None, None, None], self.opt.bias * scale,
                grid)

    def fix(self, x: Tensor) -> None:
        """Keep the constants for maps of the size of x."""
        self.position, self.opt_weight, self.opt_bias, self.grid = self.constants(x)

    def forward(self, x: Tensor) -> Tensor:
        with without_autocast(x):
            sampled = self._sample(x.to(self.weight.dtype))
        return F.conv2d(sampled, self.weight, self.bias)

    def _sample(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        if self.fixing:
            self.fix(x)
        # A grid that was cast with the module is rounded.
        if self.grid is not None and self.grid.shape[1:] == (height, width) and (
                self.grid.dtype == wide_type(x)):
            position, weight, bias, grid = (
                self.position, self.opt_weight, self.opt_bias, self.grid)
        else:
            position, weight, bias, grid = self.constants(x)
        taps = F.conv2d(x, self.p_conv.weight, padding=1) + position
        offsets = F.conv2d(taps, weight, bias, padding=1, groups=2)
        offsets = offsets.reshape(batch * channels, 2, height, width).to(grid.dtype)
        if torch.compiler.is_exporting():
            offsets = offsets + grid
        else:
            offsets += grid  # no second copy of the largest tensor of the network
        return sample_at(x, offsets)


def _fix_again(step: GridDeform, _: object) -> None:
    """Make the constants, which a state dict does not hold, those of the weights just loaded."""
    if step.grid is not None:
        step.fix(step.weight.new_empty(step.grid.shape[1:]))
