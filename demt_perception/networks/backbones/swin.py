"""Swin Transformer: four maps at strides 4/8/16/32, any image size.

Source: Liu et al., Swin Transformer, ICCV 2021, in the form of mmsegmentation that DeMT uses:
its key names, its channel order in patch merging, and a LayerNorm on each of the four maps.
Tokens stay (B,H,W,C) throughout, which is what all layers but the first read.
"""

from collections.abc import Sequence

import torch
from torch import nn, Tensor
from torch.nn import functional as F

WINDOW = 7
SHIFT = WINDOW // 2
PATCH = 4
# Official code adds -100 where two tokens must not see each other, not minus infinity.
HIDDEN = -100.0


def _to_windows(x: Tensor) -> Tensor:
    """Cut (B,H,W,C) into (B*windows, 49, C); H and W are multiples of 7."""
    b, height, width, c = x.shape
    x = x.view(b, height // WINDOW, WINDOW, width // WINDOW, WINDOW, c)
    return x.transpose(2, 3).reshape(-1, WINDOW * WINDOW, c)


def _from_windows(x: Tensor, height: int, width: int) -> Tensor:
    """Undo ``_to_windows``."""
    rows, columns, c = height // WINDOW, width // WINDOW, x.shape[-1]
    x = x.view(-1, rows, columns, WINDOW, WINDOW, c)
    return x.transpose(2, 3).reshape(-1, height, width, c)


def _shift_mask(height: int, width: int, like: Tensor) -> Tensor:
    """Return (windows, 1, 49, 49): what hides tokens that only the roll made neighbours."""
    def regions(size: int) -> Tensor:
        at = torch.arange(size, device=like.device)
        return (at >= size - WINDOW).to(at.dtype) + (at >= size - SHIFT).to(at.dtype)

    labels = regions(height)[:, None] * 3 + regions(width)
    windows = _to_windows(labels[None, :, :, None])[..., 0]
    differ = windows[:, None, None, :] != windows[:, None, :, None]
    return differ.to(like.dtype) * HIDDEN


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
    """Window attention over a map (B,H,W,C), every other time over windows shifted by 3."""

    def __init__(self, dim: int, heads: int, shift: int):
        super().__init__()
        self.shift = shift
        self.w_msa = WindowAttention(dim, heads)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        height, width = x.shape[1:3]
        below, right = -height % WINDOW, -width % WINDOW
        if below or right:
            x = F.pad(x, (0, 0, 0, right, 0, below))
        if not self.shift:
            windows = self.w_msa(_to_windows(x))
        else:
            x = x.roll((-self.shift, -self.shift), (1, 2))
            windows = self.w_msa(_to_windows(x), mask)
        x = _from_windows(windows, height + below, width + right)
        if self.shift:
            x = x.roll((self.shift, self.shift), (1, 2))
        return x[:, :height, :width]


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

    def __init__(self, dim: int, heads: int, shift: int, drop_path: float):
        super().__init__()
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(dim)
        self.attn = ShiftedWindows(dim, heads, shift)
        self.norm2 = nn.LayerNorm(dim)
        self.ffn = FeedForward(dim)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = x + _drop_path(self.attn(self.norm1(x), mask), self.drop_path, self.training)
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
        if x.shape[1] % 2 or x.shape[2] % 2:
            x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        b, height, width, c = x.shape
        x = x.view(b, height // 2, 2, width // 2, 2, c).permute(0, 1, 3, 5, 2, 4)
        return self.reduction(self.norm(x.reshape(b, height // 2, width // 2, 4 * c)))


class SwinStage(nn.Module):
    """Blocks at one resolution; its ``downsample`` leads to the next."""

    def __init__(self, dim: int, heads: int, drop_paths: Sequence[float], last: bool):
        super().__init__()
        self.blocks = nn.ModuleList(
            SwinBlock(dim, heads, SHIFT if index % 2 else 0, rate)
            for index, rate in enumerate(drop_paths))
        self.downsample = None if last else PatchMerging(dim)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[1:3]
        mask = _shift_mask(height + -height % WINDOW, width + -width % WINDOW, x)
        for block in self.blocks:
            x = block(x, mask)
        return x


class PatchEmbedding(nn.Module):
    """(B,3,H,W) to tokens (B, ceil(H/4), ceil(W/4), dim); zeros beyond the right and bottom."""

    def __init__(self, dim: int):
        super().__init__()
        self.projection = nn.Conv2d(3, dim, PATCH, PATCH)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        below, right = -x.shape[2] % PATCH, -x.shape[3] % PATCH
        if below or right:
            x = F.pad(x, (0, right, 0, below))
        return self.norm(self.projection(x).permute(0, 2, 3, 1))


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
