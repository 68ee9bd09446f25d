"""The deformable step of DeMT: a 1x1 deformable convolution with one offset for each channel.

Source: spec of the released code, 1.3: ``deform_conv2d`` v1 with as many offset groups as
channels equals a shifted bilinear gather of each channel followed by a 1x1 convolution, so it
needs nothing but ``grid_sample``, which every engine runs.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from demt_perception.networks.precision import wide_type


def sample_per_channel(x: Tensor, offsets: Tensor) -> Tensor:
    """Sample every channel at its own displaced position, bilinearly, zero outside.

    Args:
        x: (B, C, H, W).
        offsets: (B, 2C, H, W) in pixels; channel c is displaced by (dy, dx) =
            (offsets[2c], offsets[2c + 1]).

    Returns:
        (B, C, H, W), of the type of x. Positions and samples are float32 at least.
    """
    batch, channels, height, width = x.shape
    wide = wide_type(offsets)
    rows = torch.arange(height, dtype=wide, device=x.device).reshape(1, 1, height, 1)
    columns = torch.arange(width, dtype=wide, device=x.device).reshape(1, 1, 1, width)
    # align_corners=False: pixel p lies at (2p + 1) / size - 1
    offsets = offsets.to(wide).reshape(batch * channels, 2, height, width)
    grid = torch.cat((
        (offsets[:, :1] + rows) * (2.0 / height) + (1.0 / height - 1.0),
        (offsets[:, 1:] + columns) * (2.0 / width) + (1.0 / width - 1.0)), dim=1)
    return sample_at(x, grid)


def sample_at(x: Tensor, grid: Tensor) -> Tensor:
    """Sample every channel of (B, C, H, W) at its own normalised (y, x): (B*C, 2, H, W)."""
    batch, channels, height, width = x.shape
    # grid_sample wants (x, y) last; sampling the transposed map takes the (y, x) at hand instead
    # and spares every engine a slow concatenation along an axis of two.
    sampled = F.grid_sample(
        x.to(grid.dtype).reshape(batch * channels, 1, height, width).transpose(2, 3),
        grid.permute(0, 2, 3, 1), mode='bilinear', padding_mode='zeros', align_corners=False)
    return sampled.reshape(batch, channels, height, width).to(x.dtype)
