"""Task query of DeMT: every task asks all tasks' interaction features at the same pixel.

Source: spec 1.5.
"""

import math

from torch import nn, Tensor

from demt_perception.networks.attention_start import start_inner, start_outer


class TaskQuery(nn.Module):
    """Multi-head attention of one task's pixels over all tasks' features at the same pixel.

    y = q + LN(Linear(MHA(q, z, z))), with q (B, P, C) and z (B, T, P, C); returns (B, P, C).

    Args:
        dim: channels.
        heads: attention heads.
        batch_attention: let every image ask the features of all images of the batch, as the
            released code does; by default only its own.
    """

    def __init__(self, dim: int, heads: int, batch_attention: bool = False):
        super().__init__()
        if dim % heads:
            raise ValueError(f'dim {dim} is not divisible by heads {heads}: choose a divisor')
        self.heads = heads
        self.batch_attention = batch_attention
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)
        self.smlp = nn.Sequential(nn.Linear(dim, dim), nn.LayerNorm(dim))
        start_inner(self.query, self.key, self.value)
        start_outer(self.out)

    def forward(self, q: Tensor, z: Tensor) -> Tensor:
        batch, tasks, pixels, dim = z.shape
        width = dim // self.heads
        query = self.query(q).reshape(batch, 1, pixels, self.heads, width)
        key = self.key(z).reshape(batch, tasks, pixels, self.heads, width)
        value = self.value(z).reshape(batch, tasks, pixels, self.heads, width)
        if self.batch_attention:  # all B*T tokens of a pixel, for the query of each image
            key, value = (x.reshape(1, batch * tasks, *x.shape[2:]) for x in (key, value))
        scores = (query * key).sum(-1, keepdim=True) / math.sqrt(width)
        mixed = (scores.softmax(dim=1) * value).sum(1).reshape(batch, pixels, dim)
        return q + self.smlp(self.out(mixed))
