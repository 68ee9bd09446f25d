"""Residual blocks that HRNet, ResNet, MTI-Net and PAD-Net share (He et al., CVPR 2016).

Key names are those of torchvision's ResNet and of the official HRNet: ``conv1``, ``bn1``,
``conv2``, ``bn2``, ``conv3``, ``bn3``, ``downsample.0``, ``downsample.1``.
"""

from torch import nn, Tensor

BN_MOMENTUM = 0.1


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """Return a convolution without bias whose output has sides ceil(size / stride)."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


def conv_bn(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, *,
            activate: bool = True, momentum: float = BN_MOMENTUM) -> nn.Sequential:
    """Return convolution ``0``, BatchNorm ``1`` and, where wanted, ReLU ``2``."""
    layers = [conv(inputs, outputs, kernel, stride), nn.BatchNorm2d(outputs, momentum=momentum)]
    return nn.Sequential(*layers, nn.ReLU()) if activate else nn.Sequential(*layers)


def _skip(inputs: int, outputs: int, stride: int, momentum: float) -> nn.Sequential | None:
    """Return the 1x1 convolution that the skip needs where the block changes the shape."""
    if stride == 1 and inputs == outputs:
        return None
    return conv_bn(inputs, outputs, 1, stride, activate=False, momentum=momentum)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a skip: (B,inputs,H,W) to (B,planes,H/stride,W/stride)."""

    expansion = 1

    def __init__(self, inputs: int, planes: int, stride: int = 1, *,
                 momentum: float = BN_MOMENTUM):
        super().__init__()
        self.conv1 = conv(inputs, planes, 3, stride)
        self.bn1 = nn.BatchNorm2d(planes, momentum=momentum)
        self.conv2 = conv(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes, momentum=momentum)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _skip(inputs, planes, stride, momentum)

    def forward(self, x: Tensor) -> Tensor:
        skip = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + skip)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 and a skip: (B,inputs,H,W) to (B,4*planes,H/stride,W/stride).

    The stride is that of the 3x3 convolution.
    """

    expansion = 4

    def __init__(self, inputs: int, planes: int, stride: int = 1, *,
                 momentum: float = BN_MOMENTUM):
        super().__init__()
        outputs = planes * self.expansion
        self.conv1 = conv(inputs, planes, 1)
        self.bn1 = nn.BatchNorm2d(planes, momentum=momentum)
        self.conv2 = conv(planes, planes, 3, stride)
        self.bn2 = nn.BatchNorm2d(planes, momentum=momentum)
        self.conv3 = conv(planes, outputs, 1)
        self.bn3 = nn.BatchNorm2d(outputs, momentum=momentum)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _skip(inputs, outputs, stride, momentum)

    def forward(self, x: Tensor) -> Tensor:
        skip = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + skip)


class ConvBNReLU(nn.Module):
    """Convolution ``conv`` without bias, BatchNorm ``bn``, ReLU: the papers' prediction block."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3):
        super().__init__()
        self.conv = conv(inputs, outputs, kernel)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x)).relu()
