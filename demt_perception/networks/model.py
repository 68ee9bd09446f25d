"""A network: a backbone that gives feature maps and a head that turns them into predictions."""

from typing import Any

from torch import nn, Tensor

from demt_perception.networks.heads import Head


class MultiTaskModel(nn.Module):
    """Image (B,3,H,W) to {task: logits (B, channels, H, W)}.

    Args:
        backbone: module giving maps at strides 4/8/16/32, with attribute ``channels``.
        head: any ``Head`` for maps of these channels.
    """

    def __init__(self, backbone: nn.Module, head: Head):
        super().__init__()
        self.backbone = backbone
        self.head = head

    @property
    def tasks(self) -> dict[str, int]:
        """Output channels of each task, in the order of the network."""
        return self.head.tasks

    def logits(self, image: Tensor, auxiliary: bool = False) -> dict[str, Any]:
        """Return the logits on the grid of the first feature map (stride 4), not resized."""
        return self.head.logits(self.backbone(image), auxiliary)

    def forward(self, image: Tensor, auxiliary: bool | None = None) -> dict[str, Any]:
        """Return the logits at the image's size; for ``auxiliary`` see ``Head.forward``."""
        height, width = image.shape[-2:]
        return self.head(self.backbone(image), (height, width), auxiliary)
