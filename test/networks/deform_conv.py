"""Deformable convolution in full: kernels, groups, stride, dilation, modulation.

Source: Dai et al., Deformable Convolutional Networks, ICCV 2017 (v1) and Zhu et al., CVPR 2019
(v2, with a mask); conventions of torchvision and of the ONNX operator DeformConv. DeMT needs its
1x1 case only, for which networks/deform.py is faster; this is the meaning of the DeformConv node
that an export may write instead, in plain operators.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def deform_conv2d(x: Tensor, offset: Tensor, weight: Tensor, bias: Tensor | None = None,
                  stride: int = 1, padding: int = 0, dilation: int = 1,
                  mask: Tensor | None = None) -> Tensor:
    """Convolve (B,C,H,W) sampled at displaced taps, zero outside: (B,O,h,w).

    Args:
        x: (B, C, H, W).
        offset: (B, 2*G*K, h, w), G offset groups, K = kernel height x width: for each group and
            tap (dy, dx) in pixels.
        weight: (O, C / groups, kernel height, kernel width).
        bias: (O,).
        stride: of the output grid, in pixels.
        padding: zeros around the map, in pixels.
        dilation: distance of the taps, in pixels.
        mask: (B, G*K, h, w), the weight of each tap (v2).

    Raises:
        ValueError: channels do not fit the weight's or the offsets' groups.
    """
    batch, channels, height, width = x.shape
    out_channels, group_channels, rows, columns = weight.shape
    taps = rows * columns
    out_height, out_width = offset.shape[-2:]
    offset_groups = offset.shape[1] // (2 * taps)
    if channels % group_channels or offset.shape[1] % (2 * taps) or channels % offset_groups:
        raise ValueError(f'{channels} channels, weight {tuple(weight.shape)}, offset '
                         f"{tuple(offset.shape)}: want channels divisible by the weight's, and "
                         'two offsets for each tap of groups that divide the channels')
    offset = offset.reshape(batch, offset_groups, taps, 2, out_height, out_width)
    y, x_grid = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing='ij')
    tap_y, tap_x = (t.reshape(-1, 1, 1).to(x) * dilation - padding for t in (y, x_grid))
    base_y = torch.arange(out_height, dtype=x.dtype, device=x.device)[:, None] * stride
    base_x = torch.arange(out_width, dtype=x.dtype, device=x.device) * stride
    # align_corners=False: pixel p lies at (2p + 1) / size - 1
    grid = torch.stack(((2 * (offset[:, :, :, 1] + tap_x + base_x) + 1) / width - 1,
                        (2 * (offset[:, :, :, 0] + tap_y + base_y) + 1) / height - 1), dim=-1)
    sampled = F.grid_sample(
        x.reshape(batch * offset_groups, channels // offset_groups, height, width),
        grid.reshape(batch * offset_groups, taps * out_height, out_width, 2),
        mode='bilinear', padding_mode='zeros', align_corners=False)
    sampled = sampled.reshape(batch, offset_groups, -1, taps, out_height * out_width)
    if mask is not None:
        sampled = sampled * mask.reshape(batch, offset_groups, 1, taps, -1)
    groups = channels // group_channels
    sampled = sampled.reshape(batch, groups, group_channels * taps, -1)
    out = weight.reshape(groups, out_channels // groups, -1) @ sampled
    out = out.reshape(batch, out_channels, out_height, out_width)
    return out if bias is None else out + bias[:, None, None]
