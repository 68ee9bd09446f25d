"""Encoders of timm by name, where timm is installed: ``create_backbone('timm/resnet34')``."""

from typing import Any

from torch import nn, Tensor
from torch.nn import functional as F

STRIDES = (4, 8, 16, 32)


class TimmBackbone(nn.Module):
    """Image (B,3,H,W) to four maps at strides 4/8/16/32; sides ceil(H/stride).

    Args:
        name: of a timm model that gives feature maps at these strides.
        pretrained: let timm download its default weights.
        options: of ``timm.create_model``.

    Raises:
        ImportError: timm is not installed; the text names the command.
        ValueError: timm does not know the name, or the model lacks a stride.
    """

    def __init__(self, name: str, pretrained: bool = False, **options: Any):
        super().__init__()
        try:
            import timm
        except ImportError as error:
            raise ImportError(f'backbone timm/{name} needs timm, which does not import here '
                              f'({error}): pip install timm') from error
        if not timm.is_model(name):
            raise ValueError(f'timm {timm.__version__} knows no model {name!r}: want a name of '
                             'timm.list_models()')
        self.encoder = timm.create_model(name, pretrained=pretrained, features_only=True,
                                         **options)
        reductions = list(self.encoder.feature_info.reduction())
        missing = [stride for stride in STRIDES if stride not in reductions]
        if missing:
            raise ValueError(f'timm model {name!r} gives strides {reductions}, without {missing}: '
                             f'want a hierarchical encoder with {list(STRIDES)}')
        self.indices = [reductions.index(stride) for stride in STRIDES]
        all_channels = list(self.encoder.feature_info.channels())
        a, b, c, d = (int(all_channels[index]) for index in self.indices)
        self.channels = (a, b, c, d)

    def forward(self, x: Tensor) -> list[Tensor]:
        height, width = x.shape[-2:]
        # Some encoders refuse sizes that the coarsest stride does not divide.
        below, right = -height % STRIDES[-1], -width % STRIDES[-1]
        if below or right:
            x = F.pad(x, (0, right, 0, below))
        features = self.encoder(x)
        given = [features[index] for index in self.indices]
        # Swin and its kin give (B,h,w,C). One of their maps may be as high as it has channels.
        if any(y.shape[1] != channels for y, channels in zip(given, self.channels, strict=True)):
            given = [y.permute(0, 3, 1, 2) for y in given]
        maps = []
        for y, stride in zip(given, STRIDES, strict=True):
            maps.append(y[:, :, :-(-height // stride), :-(-width // stride)].contiguous())
        return maps
