"""DeMT for driving: the deformable mixer and task-aware transformer, made light.

Source: Xu et al., DeMT: Deformable Mixer Transformer for Multi-Task Learning of Dense
Prediction, AAAI 2023. Mixer, interaction and query are the published ones at reduced width; the
token grid lies at stride 8 instead of 4 and the heads add stride-4 detail (detail_head.py).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import nn, Tensor
from torch.nn import functional as F

from demt_perception.networks.detail_head import DetailHead, UncertaintyHead
from demt_perception.networks.heads import Head, resize
from demt_perception.networks.interaction.published import LinearInteraction
from demt_perception.networks.mixer import DeformableMixer
from demt_perception.networks.query import TaskQuery
from demt_perception.networks.tokens import to_map, to_tokens
from demt_perception.tasks import TASKS


class DeMTLightHead(Head):
    """Four maps to logits of every task at stride 4.

    Args:
        in_channels, tasks: see ``Head``.
        dim: width of the decoder.
        heads: attention heads.
        hidden: width of the prediction heads.
        offset_std: see ``DeformableConv1x1``.
        uncertainty: also predict how far off depth is, see ``Head.logits``.
    """

    def __init__(self, in_channels: Sequence[int], tasks: Mapping[str, int], *, dim: int = 64,
                 heads: int = 4, hidden: int = 48, offset_std: float | None = 0.002,
                 uncertainty: bool = False):
        super().__init__(in_channels, tasks)
        # One projection per map before resizing: equal to projecting the concatenation,
        # since a 1x1 convolution and bilinear resizing commute, and much cheaper.
        self.project = nn.ModuleList(
            nn.Conv2d(c, dim, 1, bias=i == 0) for i, c in enumerate(in_channels))
        self.norm = nn.LayerNorm(dim)
        self.mixers = nn.ModuleDict({t: DeformableMixer(dim, offset_std) for t in tasks})
        self.interaction = LinearInteraction(dim)
        self.queries = nn.ModuleDict({t: TaskQuery(dim, heads) for t in tasks})
        self.heads = nn.ModuleDict({
            t: DetailHead(dim, in_channels[0], hidden, c) for t, c in tasks.items()})
        # Last, so that all other random weights are those of a network without it.
        self.uncertainty = nn.ModuleDict({
            t: UncertaintyHead(hidden) for t in tasks
            if uncertainty and t in TASKS and TASKS[t].uncertainty})
        if uncertainty and not self.uncertainty:
            raise ValueError(f'uncertainty of the tasks {", ".join(tasks)}: want one that can '
                             'have it, depth')

    def aggregate(self, maps: Sequence[Tensor]) -> Tensor:
        """Sum the projected maps on the stride-8 grid and normalise: (B, dim, H/8, W/8)."""
        height, width = maps[1].shape[-2:]
        total = self.project[1](maps[1])
        total = total + F.avg_pool2d(
            self.project[0](maps[0]), 2, ceil_mode=True, count_include_pad=False)
        for index in (2, 3):
            total = total + resize(self.project[index](maps[index]), (height, width))
        return self.normalise(total)

    def normalise(self, x: Tensor) -> Tensor:
        """Return the LayerNorm of maps over their channels."""
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def attend(self, mixed: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Let every task ask all tasks: maps (B, dim, h, w) of all tasks to such maps."""
        tokens = {task: to_tokens(x) for task, x in mixed.items()}
        z = self.interaction(torch.stack(tuple(tokens.values()), dim=1))
        return {task: to_map(query(tokens[task], z), mixed[task].shape[-2:])
                for task, query in self.queries.items()}

    def logits(self, maps: Sequence[Tensor], auxiliary: bool = False) -> dict[str, Tensor]:
        x = self.aggregate(maps)
        asked = self.attend({task: mixer(x) for task, mixer in self.mixers.items()})
        logits = {}
        for task, y in asked.items():
            features = self.heads[task].features(y, maps[0])
            logits[task] = self.heads[task].predict(features)
            if task in self.uncertainty:
                logits[TASKS[task].uncertainty] = self.uncertainty[task](features)
        return logits
