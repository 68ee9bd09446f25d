"""Baselines: a shared backbone, and per task nothing but a decoder.

Sources: Multi-Task-Learning-PyTorch ('hrnet', 'aspp') and ATRC ('fcn', what DeMT's tables compare
with); spec 3. Key names are the released ones; the single task's ``decoder`` is
``decoders.<task>`` here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn, Tensor

from demt_perception.networks.aspp import DeepLabDecoder
from demt_perception.networks.blocks import ConvBNReLU
from demt_perception.networks.heads import Head
from demt_perception.networks.pyramid_decoder import concatenate, PyramidDecoder

STYLES = ('hrnet', 'fcn', 'aspp')


class MultiTaskHead(Head):
    """One decoder per task, on the same maps.

    Args:
        in_channels: channels of the four maps.
        tasks: {task: output channels}.
        style: what a decoder is.
            'hrnet': all maps at stride 4, joined by a 1x1 convolution of as many channels.
            'fcn': all maps at stride 4, a 3x3 convolution to a quarter of the channels.
            'aspp': DeepLab's head on the last map alone, meant for a dilated ResNet.

    Raises:
        ValueError: ``style`` is unknown.
    """

    def __init__(self, in_channels: Sequence[int], tasks: Mapping[str, int], *,
                 style: str = 'hrnet'):
        super().__init__(in_channels, tasks)
        if style not in STYLES:
            raise ValueError(f'style {style!r} is unknown: want one of {STYLES}')
        self.style = style
        c, total = self.in_channels, sum(self.in_channels)
        if style == 'hrnet':
            self.decoders = nn.ModuleDict({t: PyramidDecoder(c, n) for t, n in tasks.items()})
        elif style == 'aspp':
            self.decoders = nn.ModuleDict({t: DeepLabDecoder(c[-1], n) for t, n in tasks.items()})
        else:
            hidden = max(1, total // 4)
            self.bottleneck = nn.ModuleDict({t: ConvBNReLU(total, hidden) for t in tasks})
            self.final_logits = nn.ModuleDict({t: nn.Conv2d(hidden, n, 1)
                                               for t, n in tasks.items()})
            for layer in self.final_logits.values():
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.zeros_(layer.bias)

    def logits(self, maps: Sequence[Tensor], auxiliary: bool = False) -> dict[str, Any]:
        """See ``Head.logits``; there is nothing auxiliary.

        With 'aspp' the logits are on the grid of the last map, not the first: resized once from
        there they equal the released network's.
        """
        if self.style == 'aspp':
            return {task: decode(maps[-1]) for task, decode in self.decoders.items()}
        if self.style == 'hrnet':
            return {task: decode(maps) for task, decode in self.decoders.items()}
        x = concatenate(maps)
        return {task: layer(self.bottleneck[task](x))
                for task, layer in self.final_logits.items()}


class SingleTaskHead(MultiTaskHead):
    """``MultiTaskHead`` for exactly one task.

    Raises:
        ValueError: there are more tasks than one; ``style`` is unknown.
    """

    def __init__(self, in_channels: Sequence[int], tasks: Mapping[str, int], *,
                 style: str = 'hrnet'):
        if len(tasks) != 1:
            raise ValueError(f'tasks {list(tasks)}: single_task wants exactly one; '
                             'for several take multi_task')
        super().__init__(in_channels, tasks, style=style)
