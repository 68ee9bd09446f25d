"""Backbones: image to four feature maps at strides 4/8/16/32."""

from torch import nn

from demt_perception.networks.backbones.efficientnet_lite import (
    EfficientNetLite0,
    imagenet_weights,
)


def list_backbones() -> tuple[str, ...]:
    """Return the names that ``create_backbone`` knows."""
    return ('efficientnet_lite0',)


def create_backbone(name: str, pretrained: bool = False) -> nn.Module:
    """Build a backbone by name."""
    if name != 'efficientnet_lite0':
        raise ValueError(f'backbone {name!r} is unknown: want one of {list_backbones()}')
    encoder = EfficientNetLite0()
    if pretrained:
        encoder.load_imagenet(imagenet_weights())
    return encoder
