"""Task interaction as released: attention over the batch axis, so per image a linear map.

Source: spec 1.4. The released code hands (batch, tokens, channels) to an attention layer that
takes its first axis for the sequence. With one image a GPU, as the authors trained, the softmax
has a single element and query and key have no influence; neither do they here, unless the
attention over the batch is asked for.
"""

import math

from torch import nn, Tensor

from demt_perception.networks.attention_start import start_inner, start_outer


class LinearInteraction(nn.Module):
    """Per-token map LN(W_s(W_o(W_v z))), all with biases: (B, T, P, C) to the same."""

    def __init__(self, dim: int):
        super().__init__()
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)
        self.smlp = nn.Sequential(nn.Linear(dim, dim), nn.LayerNorm(dim))
        start_inner(self.value)
        start_outer(self.out)

    def forward(self, z: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        return self.smlp(self.out(self.value(z)))


class PublishedInteraction(LinearInteraction):
    """``LinearInteraction`` with the released block's query and key, dead with one image.

    Args:
        dim: channels.
        heads: attention heads; they matter for ``batch_attention`` only.
        batch_attention: attend over the images of the batch as the released code does, so that
            images influence each other; by default every image is treated alone, which is what
            the published results were made with.
    """

    def __init__(self, dim: int, heads: int, batch_attention: bool = False):
        super().__init__(dim)
        if dim % heads:
            raise ValueError(f'dim {dim} is not divisible by heads {heads}: choose a divisor')
        self.heads = heads
        self.batch_attention = batch_attention
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        start_inner(self.query, self.key)

    def forward(self, z: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        if not self.batch_attention:
            return super().forward(z)
        batch, tasks, pixels, dim = z.shape
        width = dim // self.heads

        def split(x: Tensor) -> Tensor:  # to (T*P, heads, B, width)
            return x.reshape(batch, tasks * pixels, self.heads, width).permute(1, 2, 0, 3)

        query, key, value = (split(layer(z)) for layer in (self.query, self.key, self.value))
        weights = (query @ key.transpose(2, 3) / math.sqrt(width)).softmax(dim=-1)
        mixed = (weights @ value).permute(2, 0, 1, 3).reshape(z.shape)
        return self.smlp(self.out(mixed))
