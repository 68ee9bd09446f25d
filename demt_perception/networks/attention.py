"""Task interaction and task query of DeMT, as published: per image, so batch-independent.

Source: spec 1.4 and 1.5. With one image a GPU, as the authors trained, the interaction's
attention over the batch axis has one element and is the per-token map W_o(W_v z); the query
block attends, at each pixel, from one task's features to the T interaction features there.
"""

import math

from torch import nn, Tensor


class TaskInteraction(nn.Module):
    """Per-token map of (B, N, C) features: LN(W_s(W_o(W_v z))), all with biases."""

    def __init__(self, dim: int):
        super().__init__()
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)
        self.smlp = nn.Sequential(nn.Linear(dim, dim), nn.LayerNorm(dim))

    def forward(self, z: Tensor) -> Tensor:
        return self.smlp(self.out(self.value(z)))


class TaskQuery(nn.Module):
    """Multi-head attention of one task's pixels over all tasks' features at the same pixel.

    y = q + LN(Linear(MHA(q, z, z))), with q (B, P, C) and z (B, T, P, C).
    """

    def __init__(self, dim: int, heads: int):
        super().__init__()
        if dim % heads:
            raise ValueError(f'dim {dim} is not divisible by heads {heads}: choose a divisor')
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)
        self.smlp = nn.Sequential(nn.Linear(dim, dim), nn.LayerNorm(dim))

    def forward(self, q: Tensor, z: Tensor) -> Tensor:
        batch, tasks, pixels, dim = z.shape
        width = dim // self.heads
        query = self.query(q).reshape(batch, 1, pixels, self.heads, width)
        key = self.key(z).reshape(batch, tasks, pixels, self.heads, width)
        value = self.value(z).reshape(batch, tasks, pixels, self.heads, width)
        scores = (query * key).sum(-1, keepdim=True) / math.sqrt(width)
        mixed = (scores.softmax(dim=1) * value).sum(1).reshape(batch, pixels, dim)
        return q + self.smlp(self.out(mixed))
