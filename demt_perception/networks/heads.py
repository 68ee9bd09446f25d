"""What all heads share: feature maps in, logits of every task out, resized at the very end."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn, Tensor
from torch.nn import functional as F

STRIDE = 4  # of the first feature map, and so of all logits before resizing


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (B,C,h,w) bilinearly (align_corners=False), or return it where it fits already."""
    if x.shape[-2:] == size:
        return x
    return F.interpolate(x, size=size, mode='bilinear', align_corners=False)


class Head(nn.Module):
    """Base class: feature maps at strides 4/8/16/32 to logits of every task.

    Subclasses implement ``logits``. Heads work alone, on any feature maps.

    Args:
        in_channels: channels of the four maps.
        tasks: {task: output channels}.
    """

    def __init__(self, in_channels: Sequence[int], tasks: Mapping[str, int]):
        super().__init__()
        if len(in_channels) != 4 or not tasks:
            raise ValueError(f'in_channels {tuple(in_channels)} and tasks {dict(tasks)}: want the '
                             'channels of four maps, strides 4/8/16/32, and at least one task')
        self.in_channels = tuple(in_channels)
        self.tasks = dict(tasks)

    def logits(self, maps: Sequence[Tensor], auxiliary: bool = False) -> dict[str, Any]:
        """Return {task: (B, channels, h, w)} on the grid of the first map.

        With ``auxiliary`` also what deep supervision needs, named as in the released code; with
        an uncertainty also that, (B, 1, h, w), named as in the table of tasks.
        """
        raise NotImplementedError

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int] | None = None,
                auxiliary: bool | None = None) -> dict[str, Any]:
        """Return {task: (B, channels, *size)}; what is auxiliary keeps its own size.

        Args:
            maps: four maps at strides 4/8/16/32, (B, in_channels[i], h_i, w_i).
            size: (height, width) of the image; default four times the first map.
            auxiliary: see ``logits``; default while training.
        """
        if len(maps) != 4 or any(
                m.shape[1] != c for m, c in zip(maps, self.in_channels, strict=True)):
            raise ValueError(f'feature maps have channels {[m.shape[1] for m in maps]}, '
                             f'this head wants {list(self.in_channels)}')
        if size is None:
            size = (maps[0].shape[-2] * STRIDE, maps[0].shape[-1] * STRIDE)
        out = self.logits(maps, self.training if auxiliary is None else auxiliary)
        return {name: resize(value, size) if name in self.tasks else value
                for name, value in out.items()}
