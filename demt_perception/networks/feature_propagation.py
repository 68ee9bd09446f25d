"""Feature propagation between scales: what all tasks found at one, handed to the next finer.

Source: Vandenhende et al., MTI-Net, ECCV 2020, section 3.3; as released (spec 2).
"""

from collections.abc import Iterable, Mapping

import torch
from torch import nn, Tensor

from demt_perception.networks.blocks import BasicBlock

SQUEEZE = 16  # channels per hidden unit of squeeze-and-excitation
SOFTMAXES = ('channel_view', 'task')


class SqueezeExcite(nn.Module):
    """Channel gates (B,C,1,1) in 0..1 from channel means (B,C)."""

    def __init__(self, channels: int):
        super().__init__()
        hidden = max(1, channels // SQUEEZE)
        self.squeeze = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(),
                                     nn.Linear(hidden, channels), nn.Sigmoid())

    def forward(self, means: Tensor) -> Tensor:
        return self.squeeze(means)[:, :, None, None]


class FeaturePropagation(nn.Module):
    """Mix the features of N tasks and give each its share: {task: (B,C,h,w)} to the same.

    Args:
        tasks: auxiliary tasks, in the network's order.
        channels: C, of each task's features.
        softmax: which of the N*C channels, concatenated task by task, compete for attention.
            'channel_view', the released code: each N neighbours, so mostly channels of one and
            the same task. 'task', the paper: the same channel of all N tasks.

    Raises:
        ValueError: ``softmax`` is unknown.
    """

    def __init__(self, tasks: Iterable[str], channels: int, softmax: str = 'channel_view'):
        super().__init__()
        if softmax not in SOFTMAXES:
            raise ValueError(f'fpm_softmax {softmax!r} is unknown: want one of {SOFTMAXES}')
        tasks = tuple(tasks)
        shared = len(tasks) * channels
        self.softmax = softmax
        self.non_linear = nn.Sequential(
            BasicBlock(shared, max(1, shared // 4)),
            BasicBlock(max(1, shared // 4), max(1, shared // 4)),
            nn.Conv2d(max(1, shared // 4), shared, 1))
        self.dimensionality_reduction = BasicBlock(shared, channels)
        self.se = nn.ModuleDict({task: SqueezeExcite(channels) for task in tasks})

    def attention(self, scores: Tensor) -> Tensor:
        """Return the softmax of (B,N*C,h,w), in groups of N channels that sum to one."""
        n, (height, width) = len(self.se), scores.shape[-2:]
        if self.softmax == 'task':
            grouped = scores.reshape(-1, n, scores.shape[1] // n, height, width).softmax(1)
        else:
            grouped = scores.reshape(-1, scores.shape[1] // n, n, height, width).softmax(2)
        return grouped.reshape(-1, scores.shape[1], height, width)

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        concatenated = torch.cat([features[task] for task in self.se], dim=1)
        mixed = self.dimensionality_reduction(
            self.attention(self.non_linear(concatenated)) * concatenated)
        means = mixed.mean((2, 3))
        return {task: mixed * gate(means) + features[task] for task, gate in self.se.items()}
