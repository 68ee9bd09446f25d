"""Swin Transformer: four maps at strides 4/8/16/32, any image size.

Source: Liu et al., Swin Transformer, ICCV 2021, in the form of mmsegmentation that DeMT uses:
its key names, its channel order in patch merging, and a LayerNorm on each of the four maps.
Tokens stay (B,H,W,C) throughout, which is what all layers but the first read.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn, Tensor
from torch.nn import functional as F

WINDOW = 7
SHIFT = WINDOW // 2
PATCH = 4
# Official code adds -100 where two tokens must not see each other, not minus infinity.
HIDDEN = -100.0


def _padded(x: Tensor, multiple: int, axis: int) -> Tensor:
    """Append zeros to an axis and the next one, up to multiples of a number."""
    below, right = ((multiple - side % multiple) % multiple for side in x.shape[axis:axis + 2])
    if not below and not right:
        return x
    return F.pad(x, (*(0,) * (2 * (x.ndim - axis - 2)), 0, right, 0, below))


class Windows(NamedTuple):
    """How the tokens of a map go into windows and back: plain or shifted right and down.

    Moving each token once by its number is cheaper than padding, rolling and cutting the map.
    """

    cut: Tensor  # (B*windows*49,) number of the token, in the padded map, at each place
    paste: Tensor  # (B*H*W,) place of each token of the map
    mask: Tensor | None  # (windows, 1, 49, 49) what hides neighbours that the shift made


def _windows(batch: int, height: int, width: int, shift: int, like: Tensor) -> Windows:
    rows, columns = (height + WINDOW - 1) // WINDOW, (width + WINDOW - 1) // WINDOW
    full_height, full_width = rows * WINDOW, columns * WINDOW
    count = full_height * full_width

    def in_windows(x: Tensor) -> Tensor:
        return x.reshape(rows, WINDOW, columns, WINDOW).transpose(1, 2).reshape(-1)

    numbers = torch.arange(count, device=like.device)
    cut = in_windows(numbers.view(full_height, full_width).roll((-shift, -shift), (0, 1)))
    places = numbers.view(rows, columns, WINDOW, WINDOW).transpose(1, 2).reshape(
        full_height, full_width)
    paste = places.roll((shift, shift), (0, 1))[:height, :width].reshape(-1)
    if batch > 1:
        images = torch.arange(batch, device=like.device)[:, None] * count
        cut, paste = ((images + index).view(-1) for index in (cut, paste))
    if not shift:
        return Windows(cut, paste, None)

    def regions(size: int) -> Tensor:
        at = torch.arange(size, device=like.device)
        return (at >= size - WINDOW).to(at.dtype) + (at >= size - shift).to(at.dtype)

    labels = in_windows(regions(full_height)[:, None] * 3 + regions(full_width))
    labels = labels.view(-1, 1, 1, WINDOW * WINDOW)
    return Windows(cut, paste, (labels != labels.transpose(2, 3)).to(like.dtype) * HIDDEN)


def _position_index() -> Tensor:
    """Return (49, 49): row of the bias table for each pair of positions in a window."""
    at = torch.arange(WINDOW)
    y, x = (axis.reshape(-1) for axis in torch.meshgrid(at, at, indexing='ij'))
    rows, columns = (axis[:, None] - axis + WINDOW - 1 for axis in (y, x))
    return rows * (2 * WINDOW - 1) + columns


def _drop_path(x: Tensor, rate: float, training: bool) -> Tensor:
    """Stochastic depth: drop a residual branch of some images, scale it for the others."""
    if not training or rate == 0.0:
        return x
    keep = torch.rand((x.shape[0],) + (1,) * (x.ndim - 1), device=x.device) < 1 - rate
    return x * keep.to(x.dtype) / (1 - rate)


def _attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Attention of q, k, v (N, heads, tokens, dim) with a bias added to the scores."""
    if not torch.compiler.is_exporting():
        return F.scaled_dot_product_attention(q, k, v, bias)
    # Exported, the fused kernel is decomposed to something with another memory layout than its
    # own, which breaks the reshaping that follows.
    return (q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1) + bias).softmax(-1) @ v


class WindowAttention(nn.Module):
    """Multi-head self-attention inside each window, with a learned bias per relative position."""

    relative_position_index: Tensor

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(
            nn.init.trunc_normal_(torch.empty((2 * WINDOW - 1) ** 2, heads), std=0.02))
        self.register_buffer('relative_position_index', _position_index())
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        count, tokens, dim = x.shape
        bias = self.relative_position_bias_table[self.relative_position_index.view(-1)]
        bias = bias.view(1, tokens, tokens, self.heads).permute(0, 3, 1, 2)
        if mask is not None:
            bias = bias + mask
            if count != mask.shape[0]:  # several images
                bias = bias.repeat(count // mask.shape[0], 1, 1, 1)
        q, k, v = self.qkv(x).view(
            count, tokens, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        x = _attend(q, k, v, bias)
        return self.proj(x.transpose(1, 2).reshape(count, tokens, dim))


class ShiftedWindows(nn.Module):
    """Window attention over the tokens of a map, (B,H,W,C)."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.w_msa = WindowAttention(dim, heads)

    def forward(self, x: Tensor, windows: Windows) -> Tensor:
        dim = x.shape[-1]
        tokens = _padded(x, WINDOW, 1).reshape(-1, dim).index_select(0, windows.cut)
        tokens = self.w_msa(tokens.view(-1, WINDOW * WINDOW, dim), windows.mask)
        return tokens.view(-1, dim).index_select(0, windows.paste).view(x.shape)


class FeedForward(nn.Module):
    """Linear, exact GELU, Linear; nested as in mmcv, for its key names."""

    def __init__(self, dim: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU()), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class SwinBlock(nn.Module):
    """Pre-norm attention and feed-forward, both residual and under stochastic depth."""

    def __init__(self, dim: int, heads: int, drop_path: float):
        super().__init__()
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(dim)
        self.attn = ShiftedWindows(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.ffn = FeedForward(dim)

    def forward(self, x: Tensor, windows: Windows) -> Tensor:
        x = x + _drop_path(self.attn(self.norm1(x), windows), self.drop_path, self.training)
        return x + _drop_path(self.ffn(self.norm2(x)), self.drop_path, self.training)


class PatchMerging(nn.Module):
    """(B,H,W,C) to (B, ceil(H/2), ceil(W/2), 2C): each 2x2 patch becomes one token.

    A patch is read channel by channel (c, row, column) as by ``nn.Unfold``.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = _padded(x, 2, 1)
        b, height, width, c = x.shape
        x = x.reshape(b, height // 2, 2, width // 2, 2, c).permute(0, 1, 3, 5, 2, 4)
        return self.reduction(self.norm(x.reshape(b, height // 2, width // 2, 4 * c)))


class SwinStage(nn.Module):
    """Blocks at one resolution; its ``downsample`` leads to the next."""

    def __init__(self, dim: int, heads: int, drop_paths: Sequence[float], last: bool):
        super().__init__()
        self.blocks = nn.ModuleList(SwinBlock(dim, heads, rate) for rate in drop_paths)
        self.downsample = None if last else PatchMerging(dim)

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width = x.shape[:3]
        plain, shifted = (_windows(batch, height, width, shift, x) for shift in (0, SHIFT))
        for index, block in enumerate(self.blocks):
            x = block(x, shifted if index % 2 else plain)
        return x


class PatchEmbedding(nn.Module):
    """(B,3,H,W) to tokens (B, ceil(H/4), ceil(W/4), dim); zeros beyond the right and bottom."""

    def __init__(self, dim: int):
        super().__init__()
        self.projection = nn.Conv2d(3, dim, PATCH, PATCH)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.projection(_padded(x, PATCH, 2)).permute(0, 2, 3, 1))


class Swin(nn.Module):
    """Image (B,3,H,W) to four maps of dim, 2*, 4* and 8*dim channels; sides ceil(H/stride).

    Args:
        dim: channels of the first map; 32 per attention head.
        depths: blocks of the four stages.
        drop_path: stochastic depth of the last block; the first has none, linear between.
    """

    def __init__(self, dim: int = 96, depths: Sequence[int] = (2, 2, 6, 2), *,
                 drop_path: float = 0.1):
        super().__init__()
        self.channels = (dim, 2 * dim, 4 * dim, 8 * dim)
        self.patch_embed = PatchEmbedding(dim)
        rates = [drop_path * index / (sum(depths) - 1) for index in range(sum(depths))]
        stages, first = [], 0
        for index, (channels, depth) in enumerate(zip(self.channels, depths, strict=True)):
            stages.append(SwinStage(channels, channels // 32, rates[first:first + depth],
                                    index == len(depths) - 1))
            first += depth
        self.stages = nn.ModuleList(stages)
        for index, channels in enumerate(self.channels):
            self.add_module(f'norm{index}', nn.LayerNorm(channels))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.patch_embed(x)
        maps = []
        norms = (self.norm0, self.norm1, self.norm2, self.norm3)
        for stage, norm in zip(self.stages, norms, strict=True):
            x = stage(x)
            maps.append(norm(x).permute(0, 3, 1, 2).contiguous())
            if stage.downsample is not None:
                x = stage.downsample(x)
        return maps
