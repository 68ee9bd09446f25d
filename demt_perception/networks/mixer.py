"""The deformable mixer of DeMT: channel mixing, then spatial mixing by deformable sampling.

Source: Xu et al., DeMT, AAAI 2023, as the released code computes it since 2023-03-07
(spec 1.3): the offsets come from the features and from absolute coordinates. Its first release
had the two halves in the opposite order.
"""

import math

import torch
from torch import nn, Tensor
from torch.nn import functional as F

from demt_perception.networks.deform import sample_per_channel
from demt_perception.networks.precision import without_autocast

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
        with without_autocast(x):
            x = x.to(self.weight.dtype)
            offsets = self.opt(self.p_conv(x) + coordinates(x))
            sampled = sample_per_channel(x, offsets)
        return F.conv2d(sampled, self.weight, self.bias)


def coordinates(x: Tensor) -> Tensor:
    """Return what is added to p_conv's output, (18, h, w): one-based rows and columns of taps."""
    height, width = x.shape[-2:]
    rows = torch.arange(1, height + 1, dtype=x.dtype, device=x.device)
    columns = torch.arange(1, width + 1, dtype=x.dtype, device=x.device)
    row_taps = torch.tensor(TAP_ROWS, dtype=x.dtype, device=x.device)
    column_taps = torch.tensor(TAP_COLUMNS, dtype=x.dtype, device=x.device)
    return torch.cat((
        (row_taps[:, None, None] + rows[None, :, None]).expand(9, height, width),
        (column_taps[:, None, None] + columns[None, None, :]).expand(9, height, width)))


class DeformableMixer(nn.Module):
    """One mixer block, (B,C,H,W) to same: a channel half and a residual deformable half.

    channel(x) = BN(GELU(conv1x1(x))), spatial(x) = BN(GELU(deform(x))).

    Args:
        dim: channels.
        offset_std: see ``DeformableConv1x1``.
        first_release: False computes A + spatial(A) with A = channel(x), as the paper and the
            code since 2023-03-07 do; True computes channel(x + spatial(x)), which is what the
            code did when the DeMT weights were released.
    """

    def __init__(self, dim: int, offset_std: float | None = None, first_release: bool = False):
        super().__init__()
        self.first_release = first_release
        self.channel = nn.Sequential(nn.Conv2d(dim, dim, 1), nn.GELU(), nn.BatchNorm2d(dim))
        self.spatial = nn.Sequential(
            DeformableConv1x1(dim, offset_std), nn.GELU(), nn.BatchNorm2d(dim))

    def forward(self, x: Tensor) -> Tensor:
        if self.first_release:
            return self.channel(x + self.spatial(x))
        x = self.channel(x)
        return x + self.spatial(x)


def create_mixer(order: str, dim: int, depth: int = 1) -> nn.Sequential:
    """Chain ``depth`` mixer blocks of one task; none at all for order ``none``.

    Raises:
        ValueError: ``order`` is not ``current``, ``first_release`` or ``none``, or depth < 1.
    """
    if order not in ('current', 'first_release', 'none') or depth < 1:
        raise ValueError(f'mixer {order!r} of depth {depth}: want current, first_release or none, '
                         'and a depth of at least 1')
    return nn.Sequential(*(DeformableMixer(dim, first_release=order == 'first_release')
                           for _ in range(0 if order == 'none' else depth)))
