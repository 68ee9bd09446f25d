"""DeepLabv3's head: atrous spatial pyramid pooling on the last map.

Source: Chen et al., Rethinking Atrous Convolution, 2017, with the settings and key names of
Multi-Task-Learning-PyTorch (spec 3), which are torchvision's.
"""

import torch
from torch import nn, Tensor

from demt_perception.networks.blocks import conv_bn

WIDTH = 256
RATES = (12, 24, 36)
DROPOUT = 0.5


class ASPP(nn.Module):
    """1x1, three dilated 3x3 and global mean, joined: (B,inputs,h,w) to (B,256,h,w)."""

    def __init__(self, inputs: int):
        super().__init__()
        self.convs = nn.ModuleList([
            conv_bn(inputs, WIDTH, 1),
            *(_dilated(inputs, rate) for rate in RATES),
            nn.Sequential(nn.AdaptiveAvgPool2d(1), *conv_bn(inputs, WIDTH, 1))])
        self.project = nn.Sequential(*conv_bn(len(self.convs) * WIDTH, WIDTH, 1),
                                     nn.Dropout(DROPOUT))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        # Only the pooled branch changes size; resized, one pixel is the same everywhere.
        return self.project(torch.cat(
            [conv(x).expand(-1, -1, height, width) for conv in self.convs], dim=1))


class DeepLabDecoder(nn.Sequential):
    """ASPP, 3x3, 1x1: (B,inputs,h,w) to (B,outputs,h,w).

    Training needs 2 images or more: the pooled branch normalises one pixel per image.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__(ASPP(inputs), *conv_bn(WIDTH, WIDTH, 3), nn.Conv2d(WIDTH, outputs, 1))


def _dilated(inputs: int, rate: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, WIDTH, 3, padding=rate, dilation=rate, bias=False),
        nn.BatchNorm2d(WIDTH), nn.ReLU())
