"""Multi-modal distillation: each main task takes gated features of all other tasks.

Source: Xu et al., PAD-Net, CVPR 2018 (module C); as released in Multi-Task-Learning-PyTorch
(spec 2, 3). Shared by PAD-Net and MTI-Net, with what else the two have in common.
"""

from collections.abc import Iterable, Mapping

from torch import nn, Tensor

# Both networks list their tasks in this order, whatever the order asked for (spec 2). MTI-Net's
# feature propagation concatenates by it, so weights fit in no other.
TASK_ORDER = ('semseg', 'human_parts', 'sal', 'normals', 'edge', 'depth')


def in_order(tasks: Mapping[str, int]) -> dict[str, int]:
    """Return {task: channels} in the networks' order; unknown tasks follow as given."""
    known = {task: tasks[task] for task in TASK_ORDER if task in tasks}
    return {**known, **tasks}


def with_auxiliary(tasks: Mapping[str, int], auxiliary: Mapping[str, int] | None
                   ) -> dict[str, int]:
    """Return the auxiliary tasks in order, by default the main ones.

    Raises:
        ValueError: a main task is not among them, or with other channels: distillation refines
            the auxiliary features of each main task.
    """
    if auxiliary is None:
        return in_order(tasks)
    unlike = {t: c for t, c in tasks.items() if auxiliary.get(t) != c}
    if unlike:
        raise ValueError(f'auxiliary tasks {dict(auxiliary)} lack {unlike}: want every main task '
                         'among them, with the same channels')
    return in_order(auxiliary)


class SpatialGate(nn.Module):
    """Features times their attention, both by a 3x3 convolution: (B,C,h,w) to the same."""

    def __init__(self, channels: int):
        super().__init__()
        self.attention = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.Sigmoid())
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * self.attention(x)


class MultiModalDistillation(nn.Module):
    """Per main task its own features plus the gated features of every other auxiliary task.

    Takes {auxiliary task: (B,channels,h,w)}, returns {main task: (B,channels,h,w)}.

    Args:
        tasks: main tasks, all of them also auxiliary.
        auxiliary: tasks that features come from.
        channels: of all features.
    """

    def __init__(self, tasks: Iterable[str], auxiliary: Iterable[str], channels: int):
        super().__init__()
        sources = tuple(auxiliary)
        self.self_attention = nn.ModuleDict({
            task: nn.ModuleDict({a: SpatialGate(channels) for a in sources if a != task})
            for task in tasks})

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        refined = {}
        for task, gates in self.self_attention.items():
            x = features[task]
            for source, gate in gates.items():
                x = x + gate(features[source])
            refined[task] = x
        return refined
