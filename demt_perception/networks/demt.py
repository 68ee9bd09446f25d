"""DeMT and DeMTG: deformable mixer encoder, task-aware transformer decoder.

Source: Xu et al., DeMT: Deformable Mixer Transformer for Multi-Task Learning of Dense
Prediction, AAAI 2023; DeMTG, its successor with a gate. Layers as released: spec 1.2 to 1.7.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn, Tensor

from demt_perception.networks.aggregation import create_aggregation
from demt_perception.networks.blocks import ConvBNReLU
from demt_perception.networks.gate import TaskGate
from demt_perception.networks.heads import Head
from demt_perception.networks.interaction import create_interaction
from demt_perception.networks.mixer import create_mixer
from demt_perception.networks.query import TaskQuery
from demt_perception.networks.tokens import to_map, to_tokens


class DeMTHead(Head):
    """Four maps to logits of every task: aggregate, mix, interact, query, predict.

    Args:
        in_channels, tasks: see ``Head``.
        dim: channels of the decoder (released code: 256; its HRNet-18 table: 128).
        heads: attention heads.
        depth: mixer blocks per task.
        hidden: channels of the 3x3 convolution before the logits; default sum(in_channels) // 8.
        mixer: ``current`` (channel mixing, then deformable; since 2023-03-07), ``first_release``
            (the opposite order) or ``none``.
        aggregation: ``concat`` (released), ``fpn`` or ``bifpn``.
        interaction: ``published``, ``linear``, ``spatial``, ``deformable`` or ``none``; see
            ``create_interaction``.
        interaction_options: of that interaction's class, e.g. {'window': 8}.
        query: False leaves the task query out: the task's own interaction features are added to
            its mixer features instead.
        gate: the gate of DeMTG.
        batch_attention: the released code's attention over the batch, in interaction and query:
            for parity only, images of a batch then influence each other.
    """

    def __init__(self, in_channels: Sequence[int], tasks: Mapping[str, int], *, dim: int = 256,
                 heads: int = 4, depth: int = 1, hidden: int | None = None,
                 mixer: str = 'current', aggregation: str = 'concat',
                 interaction: str = 'published',
                 interaction_options: Mapping[str, Any] | None = None, query: bool = True,
                 gate: bool = False, batch_attention: bool = False):
        super().__init__(in_channels, tasks)
        if hidden is None:
            hidden = max(1, sum(in_channels) // 8)
        if min(dim, heads, hidden) < 1:
            raise ValueError(f'dim {dim}, heads {heads}, hidden {hidden}: want 1 or more of each')
        options = dict(interaction_options or {})
        if batch_attention:
            if interaction != 'published':
                raise ValueError(f'batch_attention with interaction {interaction!r}: it exists '
                                 "for parity with the released code, want 'published'")
            options['batch_attention'] = True
        self.aggregation = create_aggregation(aggregation, in_channels, dim)
        self.mixers = nn.ModuleDict({t: create_mixer(mixer, dim, depth) for t in tasks})
        self.interaction = create_interaction(interaction, dim, heads, **options)
        self.queries = nn.ModuleDict({t: TaskQuery(dim, heads, batch_attention) for t in tasks}
                                     if query else {})
        self.gate = TaskGate(dim) if gate else None
        self.bottleneck = nn.ModuleDict({t: ConvBNReLU(dim, hidden, 3) for t in tasks})
        self.final_logits = nn.ModuleDict({t: nn.Conv2d(hidden, c, 1) for t, c in tasks.items()})
        for layer in self.final_logits.values():
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def logits(self, maps: Sequence[Tensor], auxiliary: bool = False) -> dict[str, Tensor]:
        x = self.aggregation(maps)
        height, width = x.shape[-2:]
        tokens = [to_tokens(self.mixers[task](x)) for task in self.tasks]
        mixed = torch.stack(tokens, dim=1)
        z = mixed if self.interaction is None else self.interaction(mixed, (height, width))
        out = {}
        for index, task in enumerate(self.tasks):
            if len(self.queries):
                y = self.queries[task](mixed[:, index], z)
            else:
                y = mixed[:, index] if self.interaction is None else mixed[:, index] + z[:, index]
            if self.gate is not None:
                y = self.gate(y)
            y = to_map(y, (height, width))
            out[task] = self.final_logits[task](self.bottleneck[task](y))
        return out


class DeMTGHead(DeMTHead):
    """DeMTG: two mixer blocks, two attention heads and a gate (spec 1.7)."""

    def __init__(self, in_channels: Sequence[int], tasks: Mapping[str, int], *, heads: int = 2,
                 depth: int = 2, gate: bool = True, **options: Any):
        super().__init__(in_channels, tasks, heads=heads, depth=depth, gate=gate, **options)
