"""Task interaction of DeMT as the paper's text describes it, made affordable.

Source: Xu et al., DeMT, AAAI 2023: multi-head self-attention over the concatenated tokens of all
tasks, LayerNorm before, residual around, then the small MLP (Linear, LayerNorm). The released
code computes something else (spec 1.4 and 1.12), so there are no official numbers for this. What
is kept of the released code: nothing follows the small MLP's LayerNorm, so that the query blocks
get keys and values in the range they get with the published interaction.

Attention of all T*P tokens to each other costs (T*P)^2: at stride 4 of a 448x576 image 1065 GMAC
a layer for the scores alone. Two ways out, both from vision transformers:
  reduced   keys and values come from maps averaged over r x r pixels, as in the spatial-reduction
            attention of PVT (Wang et al., ICCV 2021) and SegFormer (Xie et al., NeurIPS 2021), in
            the pooling form of PVT v2 (Wang et al., 2022): it has no weights and takes any size.
            Every pixel still sees the whole image and all tasks.
  windowed  attention inside windows of w x w pixels, over all tasks, as in Swin (Liu et al.,
            ICCV 2021) without its shift: cost grows with P only, but nothing crosses a border.
No position is added: the mixers before this block work with absolute coordinates (spec 1.3), so
their features carry it.
"""

import torch
from torch import nn, Tensor
from torch.nn import functional as F


class SpatialInteraction(nn.Module):
    """Self-attention over the tokens of all tasks of an image: LN(Linear(z + MHA(LN(z)))).

    Takes z (B, T, P, C) and size (h, w) with h * w = P, any h, w >= 1; returns (B, T, P, C).

    Args:
        dim: width C of the tokens.
        heads: attention heads.
        reduction: keys and values are averages over this many pixels in each direction; 1 is
            the full attention. PVT and SegFormer use 8 at stride 4.
        window: attend inside windows of this many pixels in each direction instead, at full
            resolution; ``reduction`` is then unused.

    Raises:
        ValueError: heads do not divide dim, or reduction or window is below 1.
    """

    def __init__(self, dim: int, heads: int, reduction: int = 8, window: int | None = None):
        super().__init__()
        if dim % heads:
            raise ValueError(f'dim {dim} is not divisible by heads {heads}: choose a divisor')
        if reduction < 1 or (window is not None and window < 1):
            raise ValueError(f'reduction {reduction}, window {window}: want 1 or more pixels')
        self.heads = heads
        self.reduction = reduction
        self.window = window
        self.norm = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim)
        # A bias here would shift all scores of a query alike, which the softmax does not see.
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)
        self.smlp = nn.Sequential(nn.Linear(dim, dim), nn.LayerNorm(dim))

    def forward(self, z: Tensor, size: tuple[int, int]) -> Tensor:
        normed = self.norm(z)
        if self.window is None:
            mixed = self._reduced(normed, size)
        else:
            mixed = self._windowed(normed, size, self.window)
        return self.smlp(z + self.out(mixed))

    def _split(self, tokens: Tensor) -> Tensor:
        """(N, L, C) to (N, heads, L, C / heads)."""
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor,
                seen: Tensor | None = None) -> Tensor:
        mixed = F.scaled_dot_product_attention(
            self._split(queries), keys, values, attn_mask=seen)
        return mixed.transpose(1, 2).flatten(2)

    def _reduced(self, z: Tensor, size: tuple[int, int]) -> Tensor:
        maps = z.flatten(0, 1).transpose(1, 2).unflatten(2, size)
        # The last row and column average what is left of the map there.
        coarse = F.avg_pool2d(maps, self.reduction, ceil_mode=True, count_include_pad=False)
        tokens = coarse.flatten(2).transpose(1, 2).reshape(z.shape[0], -1, z.shape[-1])
        keys, values = self._split(self.key(tokens)), self._split(self.value(tokens))
        # One task's queries after the other: engines without fused attention hold all scores of
        # a call in memory, and this divides them by the number of tasks.
        return torch.stack([self._attend(queries, keys, values)
                            for queries in self.query(z).unbind(1)], dim=1)

    def _windowed(self, z: Tensor, size: tuple[int, int], side: int) -> Tensor:
        batch, tasks, pixels, dim = z.shape
        height, width = size
        # Not -(-n // side): exported, that division would round towards zero.
        rows, columns = (height + side - 1) // side, (width + side - 1) // side
        padding = (0, 0, 0, columns * side - width, 0, rows * side - height)
        grid = (rows, side, columns, side)

        padded = F.pad(z.unflatten(2, size), padding).reshape(batch, tasks, *grid, dim)
        tokens = padded.permute(0, 2, 4, 1, 3, 5, 6).reshape(
            batch * rows * columns, tasks * side * side, dim)
        inside = F.pad(z.new_ones(height, width, 1), padding).reshape(grid) > 0
        seen = inside.transpose(1, 2).reshape(1, rows * columns, 1, 1, 1, side * side).expand(
            batch, -1, -1, -1, tasks, -1).reshape(batch * rows * columns, 1, 1, -1)
        mixed = self._attend(self.query(tokens), self._split(self.key(tokens)),
                             self._split(self.value(tokens)), seen)
        mixed = mixed.reshape(batch, rows, columns, tasks, side, side, dim).permute(
            0, 3, 1, 4, 2, 5, 6).reshape(batch, tasks, rows * side, columns * side, dim)
        return mixed[:, :, :height, :width].reshape(batch, tasks, pixels, dim)
