"""The deployed graph: a trained network plus what turns logits into named predictions.

Activation, argmax and normalisation are inside the graph, so that every engine computes them
the same way and postprocessing gets by with resizing.
"""

import torch
from torch import nn, Tensor
from torch.nn import functional as F


class Deployed(nn.Module):
    """Image (1,3,H,W) to a tuple of outputs, named by ``names``.

    semantic uint8 (1, H/2, W/2), class ids; confidence (1, H/4, W/4), highest class
    probability; depth (1, H/4, W/4), metres at the card's focal length; normals (1, 3, H/4,
    W/4), unit vectors in the optical frame; boundary (1, H/4, W/4), probability.
    """

    def __init__(self, model: nn.Module, tasks: tuple[str, ...], max_depth: float):
        super().__init__()
        self.model = model
        self.max_depth = max_depth
        self.tasks = tasks
        self.names = tuple(name for task in tasks for name in OUTPUTS[task])

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        logits = self.model(image)
        outputs: list[Tensor] = []
        for task in self.tasks:
            outputs += ACTIVATIONS[task](logits[task], self.max_depth)
        return tuple(outputs)


def depth_from_logits(logits: Tensor, max_depth: float) -> Tensor:
    """Turn depth logits (B,1,h,w) into metres (B,h,w): exp(x + 2.5), at most ``max_depth``.

    The constant puts an untrained network at 12 m, the middle of a street in log scale.
    """
    limit = float(torch.log(torch.tensor(max_depth)))
    return torch.exp(torch.clamp(logits[:, 0] + 2.5, -2.0, limit))


def _semantic(logits: Tensor, _: float) -> list[Tensor]:
    fine = F.interpolate(logits, scale_factor=2.0, mode='bilinear', align_corners=False)
    return [fine.argmax(1).to(torch.uint8), logits.softmax(1).amax(1)]


def _depth(logits: Tensor, max_depth: float) -> list[Tensor]:
    return [depth_from_logits(logits, max_depth)]


def _normals(logits: Tensor, _: float) -> list[Tensor]:
    return [F.normalize(logits, dim=1, eps=1e-6)]


def _boundary(logits: Tensor, _: float) -> list[Tensor]:
    return [torch.sigmoid(logits[:, 0])]


OUTPUTS = {'semseg': ('semantic', 'confidence'), 'depth': ('depth',), 'normals': ('normals',),
           'edge': ('boundary',)}
ACTIVATIONS = {'semseg': _semantic, 'depth': _depth, 'normals': _normals, 'edge': _boundary}
