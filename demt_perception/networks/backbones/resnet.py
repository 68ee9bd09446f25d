"""ResNet-18 and -50: strides 4/8/16/32, or 4/8/8/8 with dilated convolutions.

Source: He et al., Deep Residual Learning, CVPR 2016; dilation as in the baselines of
Multi-Task-Learning-PyTorch. Key names are torchvision's.
"""

from collections.abc import Sequence

from torch import nn, Tensor

from demt_perception.networks.blocks import BasicBlock, Bottleneck

PLANES = (64, 128, 256, 512)


def _dilate(layer: nn.Module, rate: int) -> None:
    """Trade the stride of 2 in a layer for dilation; its 3x3 convolutions see as far as before."""
    for module in layer.modules():
        if isinstance(module, nn.Conv2d):
            # What had the stride reads the still undilated grid of the layer before.
            dilation = rate // 2 if module.stride == (2, 2) else rate
            module.stride = (1, 1)
            if module.kernel_size == (3, 3):
                module.dilation = module.padding = (dilation, dilation)


class ResNet(nn.Module):
    """Image (B,3,H,W) to the maps of layers 1 to 4; sides ceil(H/stride).

    Args:
        block: ``BasicBlock`` or ``Bottleneck``.
        depths: blocks of the four layers.
        dilated: keep layers 3 and 4 at stride 8, with dilation 2 and 4.
    """

    def __init__(self, block: type[BasicBlock] | type[Bottleneck] = BasicBlock,
                 depths: Sequence[int] = (2, 2, 2, 2), *, dilated: bool = False):
        super().__init__()
        a, b, c, d = (planes * block.expansion for planes in PLANES)
        self.channels = (a, b, c, d)
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = 64
        for index, (planes, depth) in enumerate(zip(PLANES, depths, strict=True)):
            blocks: list[nn.Module] = [block(inputs, planes, 1 if index == 0 else 2)]
            inputs = planes * block.expansion
            blocks += [block(inputs, planes) for _ in range(depth - 1)]
            setattr(self, f'layer{index + 1}', nn.Sequential(*blocks))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
        if dilated:
            _dilate(self.layer3, 2)
            _dilate(self.layer4, 4)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        maps = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            maps.append(x)
        return maps
