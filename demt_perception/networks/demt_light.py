"""DeMT for driving: the deformable mixer and task-aware transformer on a light encoder.

Source: Xu et al., DeMT: Deformable Mixer Transformer for Multi-Task Learning of Dense
Prediction, AAAI 2023. Mixer, interaction and query are the published ones at reduced width; the
token grid lies at stride 8 instead of 4 and the heads add stride-4 detail (heads.py).
"""

from collections.abc import Mapping

import torch
from torch import nn, Tensor
from torch.nn import functional as F

from demt_perception.networks.attention import TaskInteraction, TaskQuery
from demt_perception.networks.backbones.efficientnet_lite import EfficientNetLite0
from demt_perception.networks.detail_head import DetailHead
from demt_perception.networks.mixer import DeformableMixer


class DeMTLight(nn.Module):
    """Image (B,3,H,W) to logits of every task at stride 4, {task: (B, channels, H/4, W/4)}.

    Args:
        backbone: module giving maps at strides 4/8/16/32, with attribute ``channels``.
        outputs: {task name: output channels}; the order is the order of the tasks.
        dim: width of the decoder.
        heads: attention heads.
        hidden: width of the prediction heads.
        offset_std: see ``DeformableConv1x1``.
    """

    def __init__(self, backbone: EfficientNetLite0, outputs: Mapping[str, int], dim: int = 64,
                 heads: int = 4, hidden: int = 48, offset_std: float | None = 0.002):
        super().__init__()
        self.backbone = backbone
        # One projection per map before resizing: equal to projecting the concatenation,
        # since a 1x1 convolution and bilinear resizing commute, and much cheaper.
        self.project = nn.ModuleList(
            nn.Conv2d(c, dim, 1, bias=i == 0) for i, c in enumerate(backbone.channels))
        self.norm = nn.LayerNorm(dim)
        self.mixers = nn.ModuleDict({t: DeformableMixer(dim, offset_std) for t in outputs})
        self.interaction = TaskInteraction(dim)
        self.queries = nn.ModuleDict({t: TaskQuery(dim, heads) for t in outputs})
        self.heads = nn.ModuleDict({
            t: DetailHead(dim, backbone.channels[0], hidden, c) for t, c in outputs.items()})

    def aggregate(self, maps: list[Tensor]) -> Tensor:
        """Sum the projected maps on the stride-8 grid and normalise: (B, dim, H/8, W/8)."""
        size = maps[1].shape[-2:]
        total = self.project[1](maps[1])
        total = total + F.avg_pool2d(
            self.project[0](maps[0]), 2, ceil_mode=True, count_include_pad=False)
        for index in (2, 3):
            total = total + F.interpolate(
                self.project[index](maps[index]), size=size, mode='bilinear', align_corners=False)
        return self.norm(total.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        maps = self.backbone(image)
        x = self.aggregate(maps)
        batch, dim, height, width = x.shape
        mixed = {task: mixer(x).flatten(2).transpose(1, 2) for task, mixer in self.mixers.items()}
        z = self.interaction(torch.stack(tuple(mixed.values()), dim=1))
        logits = {}
        for task, query in self.queries.items():
            y = query(mixed[task], z).transpose(1, 2).reshape(batch, dim, height, width)
            logits[task] = self.heads[task](y, maps[0])
        return logits
