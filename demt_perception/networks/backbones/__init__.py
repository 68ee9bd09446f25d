"""Backbones: image (B,3,H,W) to four feature maps, finest first, at strides 4/8/16/32."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from demt_perception.networks.backbones.efficientnet_lite import (
    EfficientNetLite,
    imagenet_weights,
)
from demt_perception.networks.backbones.hrnet import HRNet
from demt_perception.networks.backbones.resnet import ResNet
from demt_perception.networks.backbones.swin import Swin
from demt_perception.networks.backbones.timm import TimmBackbone
from demt_perception.networks.backbones.weights import load_backbone
from demt_perception.networks.blocks import BasicBlock, Bottleneck

BACKBONES: dict[str, Callable[..., nn.Module]] = {
    'efficientnet_lite0': EfficientNetLite,
    'efficientnet_lite1': partial(EfficientNetLite, 1),
    'efficientnet_lite2': partial(EfficientNetLite, 2),
    'hrnet18': HRNet,
    'hrnet48': partial(HRNet, 48, (1, 4, 3), 4, 4),
    'resnet18': partial(ResNet, BasicBlock, (2, 2, 2, 2)),
    'resnet50': partial(ResNet, Bottleneck, (3, 4, 6, 3)),
    'swin_t': Swin,
    'swin_s': partial(Swin, 96, (2, 2, 18, 2)),
    'swin_b': partial(Swin, 128, (2, 2, 18, 2)),
    'swin_l': partial(Swin, 192, (2, 2, 18, 2)),
}
ALIASES = {'hrnet18_small_v2': 'hrnet18', 'hrnet_w18_small_v2': 'hrnet18', 'hrnet_w48': 'hrnet48'}
TIMM = 'timm/'


def list_backbones() -> tuple[str, ...]:
    """Return the names that ``create_backbone`` knows, ``timm/<name>`` and aliases aside."""
    return tuple(BACKBONES)


def create_backbone(name: str, pretrained: bool | str | Path = False,
                    **options: Any) -> nn.Module:
    """Build a backbone: image (B,3,H,W), H and W at least 32, to a list of four maps.

    Args:
        name: one of ``list_backbones()``, or ``timm/<name>`` where timm is installed.
        pretrained: a ``.safetensors`` file that ``demt import-backbone`` wrote; or True where
            the weights come in a package: ``efficientnet_lite<0..2>`` and ``timm/<name>``.
        options: of the backbone's class, e.g. ``dilated=True`` of ResNet.

    Raises:
        ValueError: the name is unknown, no package has its weights, or the file does not fit.
        TypeError: the backbone has no such option.
        ImportError: the package of the weights, or timm, is missing.
    """
    if name.startswith(TIMM):
        from_package = pretrained is True
        backbone: nn.Module = TimmBackbone(name[len(TIMM):], from_package, **options)
    else:
        name = ALIASES.get(name, name)
        if name not in BACKBONES:
            raise ValueError(f'backbone {name!r} is unknown: want one of {list(BACKBONES)} '
                             "or 'timm/<name>'")
        backbone = BACKBONES[name](**options)
        from_package = pretrained is True and isinstance(backbone, EfficientNetLite)
        if isinstance(backbone, EfficientNetLite) and from_package:
            backbone.load_imagenet(imagenet_weights(backbone.size))
    if pretrained is True and not from_package:
        raise ValueError(
            f'no package holds pretrained weights of {name}: download a checkpoint, convert it '
            f'with `demt import-backbone FILE --out {name}.safetensors` and give '
            f"pretrained='{name}.safetensors'")
    if isinstance(pretrained, (str, Path)):
        load_backbone(backbone, pretrained)
    return backbone
