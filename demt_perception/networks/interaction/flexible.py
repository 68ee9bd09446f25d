"""Task interaction by flexible attention: every query looks at a few points it chooses itself.

The DeMT article (Xu et al., AAAI 2023) names flexible attention as future work. This is the
deformable attention of Deformable DETR (Zhu et al., ICLR 2021) with tasks in the place of
scales: each query samples ``points`` positions in the map of every task, per head, and sums them
with weights from a softmax over all of them. Cost grows with P, not with P^2.

Two choices differ from Deformable DETR. There, offsets and weights of all scales are outputs of
one layer of the query, so their number is built in. Here both are the sum of a layer of the query
and a layer of the looked-at task's feature at the query's pixel: the block takes any number of
tasks, treats them alike (as self-attention over their tokens does), and still chooses offsets and
weights for each of them. And no position is added to the query: the mixers before this block work
with absolute coordinates (spec 1.3).
"""

import math

import torch
from torch import nn, Tensor
from torch.nn import functional as F

from demt_perception.networks.precision import wide_type, without_autocast


class DeformableInteraction(nn.Module):
    """Deformable attention over the maps of all tasks: LN(Linear(z + attention(LN(z)))).

    Takes z (B, T, P, C) and size (h, w) with h * w = P, any h, w >= 1; returns (B, T, P, C).
    Residual, norms and small MLP are those of ``SpatialInteraction``. Sampling is bilinear and
    zero outside the map, in float32 at least, also under autocast.

    Args:
        dim: width C of the tokens.
        heads: attention heads, each with its own points.
        points: sampling points in the map of each task.

    Raises:
        ValueError: heads do not divide dim, or there are no points.
    """

    def __init__(self, dim: int, heads: int, points: int = 4):
        super().__init__()
        if dim % heads:
            raise ValueError(f'dim {dim} is not divisible by heads {heads}: choose a divisor')
        if points < 1:
            raise ValueError(f'points {points}: want 1 or more')
        self.heads = heads
        self.points = points
        self.norm = nn.LayerNorm(dim)
        # Both give column offset, row offset (pixels) and score of each head and point.
        self.aim = nn.Linear(dim, 3 * heads * points)
        self.aim_task = nn.Linear(dim, 3 * heads * points, bias=False)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)
        self.smlp = nn.Sequential(nn.Linear(dim, dim), nn.LayerNorm(dim))
        self._start_on_ring()

    def _start_on_ring(self) -> None:
        """Point k of a head starts k+1 pixels away, heads in all directions, weights equal."""
        nn.init.zeros_(self.aim.weight)
        nn.init.zeros_(self.aim_task.weight)
        angles = torch.arange(self.heads) * (2 * math.pi / self.heads)
        ring = torch.stack((angles.cos(), angles.sin()))
        ring = ring / ring.abs().amax(0)  # a square ring, as the paper's: 1 px is 1 neighbour
        bias = torch.zeros(3, self.heads, self.points)
        bias[:2] = ring[:, :, None] * torch.arange(1, self.points + 1)
        with torch.no_grad():
            self.aim.bias.copy_(bias.flatten())

    def forward(self, z: Tensor, size: tuple[int, int]) -> Tensor:
        normed = self.norm(z)
        return self.smlp(z + self.out(self._mix(normed, size)))

    def _mix(self, z: Tensor, size: tuple[int, int]) -> Tensor:
        batch, tasks, pixels, dim = z.shape
        wide = wide_type(z)  # for grid and features alike, as TensorRT wants
        maps = self.value(z).to(wide).transpose(2, 3).reshape(
            batch * tasks * self.heads, dim // self.heads, *size)
        aim, aim_task = self._points(self.aim, z, wide), self._points(self.aim_task, z, wide)
        centre, scale = pixel_grid(size, aim)
        mixed = []
        for task in range(tasks):  # one by one: samples of all at once would take T times more
            pair = aim[:, task:task + 1] + aim_task  # (B, T, 3, heads, points, P)
            grid = (pair[:, :, :2] * scale + centre).permute(0, 1, 3, 4, 5, 2)
            weights = pair[:, :, 2].transpose(1, 2).reshape(
                batch, self.heads, tasks * self.points, pixels).softmax(2)
            weights = weights.reshape(
                batch, self.heads, tasks, self.points, pixels).transpose(1, 2)
            sampled = F.grid_sample(maps, grid.flatten(0, 2), mode='bilinear',
                                    padding_mode='zeros', align_corners=False)
            mixed.append((sampled * weights.reshape(-1, 1, self.points, pixels)).sum(2).reshape(
                batch, tasks, dim, pixels).sum(1))
        return torch.stack(mixed, dim=1).transpose(2, 3).to(z.dtype)

    def _points(self, layer: nn.Linear, z: Tensor, wide: torch.dtype) -> Tensor:
        """Apply a layer in full precision, to (B, T, 3, heads, points, P)."""
        with without_autocast(z):
            bias = None if layer.bias is None else layer.bias.to(wide)
            out = F.linear(z.to(wide), layer.weight.to(wide), bias)
        return out.transpose(2, 3).unflatten(2, (3, self.heads, self.points))


def pixel_grid(size: tuple[int, int], like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the pixels' (x, y) in grid_sample's units, and the length of one pixel in them.

    With align_corners=False pixel p of n lies at (2p + 1) / n - 1. Shapes (2, 1, 1, h * w) and
    (2, 1, 1, 1).
    """
    height, width = size
    columns = torch.arange(width, dtype=like.dtype, device=like.device) * 2 + 1
    rows = torch.arange(height, dtype=like.dtype, device=like.device) * 2 + 1
    x = (columns * (1.0 / width) - 1.0).expand(height, width)
    y = (rows * (1.0 / height) - 1.0)[:, None].expand(height, width)
    centre = torch.stack((x, y)).reshape(2, 1, 1, height * width)
    scale = torch.stack((like.new_full((), 2.0 / width), like.new_full((), 2.0 / height)))
    return centre, scale.reshape(2, 1, 1, 1)
