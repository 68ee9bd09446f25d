"""The deployed graph: a trained network plus what turns logits into named predictions.

Activation, argmax and normalisation are inside the graph, so that every engine computes them
the same way and postprocessing gets by with resizing.
"""

from collections.abc import Callable

import torch
from torch import nn, Tensor
from torch.nn import functional as F

from demt_perception.tasks import get_tasks

STRIDE = 4
"""Of all outputs but the ids of classes, which have half of it."""
SMALLEST, GREATEST = -6.0, 0.0
"""Logarithms of the scale of depth's relative error: what is learned, and what is given."""


class Deployed(nn.Module):
    """Image (1,3,H,W) to a tuple of outputs, named by ``names``.

    By the kind of task (``tasks.Task``): classes uint8 (1, H/2, W/2), ids, and where the task
    has a confidence (1, H/4, W/4), the highest class probability; scalar (1, H/4, W/4), depth in
    metres at the card's focal length, and where the network has it (1, H/4, W/4), by how many
    metres that is expected to be off; vector (1, 3, H/4, W/4), of length one; probability
    (1, H/4, W/4). Confidence is a quarter of the image high: softmax at the size of the ids
    takes four times as long, and what is unsure is so in a neighbourhood. `demt calibrate` puts
    temperature and factor into the finished graph.

    Args:
        model: a ``MultiTaskModel`` or its fused form.
        tasks: names, in the order of the outputs.
        max_depth: greatest depth in metres of ``log``.
        depth: what the network gives: ``log`` (see ``depth_from_logits``, our own networks) or
            ``linear`` (metres, as the networks of the papers do; below zero counts as zero).
        uncertainty: the network gives it, as ``log`` of log depth, and the graph shall.
        stride: of the network's logits, 4 or a multiple; see ``logit_stride``.
    """

    def __init__(self, model: nn.Module, tasks: tuple[str, ...], max_depth: float,
                 depth: str = 'log', uncertainty: bool = False, stride: int = STRIDE):
        super().__init__()
        if depth not in ('log', 'linear'):
            raise ValueError(f"depth is {depth!r}, want 'log' or 'linear'")
        self.model, self.stride = model, stride
        self.max_depth = max_depth
        self.linear = depth == 'linear'
        self.tasks = get_tasks(tasks)
        self.uncertainties = {task.name: task.uncertainty for task in self.tasks
                              if uncertainty and task.uncertainty}
        self.names = tuple(
            name for task in self.tasks
            for name in (*task.outputs, *filter(None, [self.uncertainties.get(task.name)])))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        logits = self.model.logits(image)
        outputs: list[Tensor] = []
        for task in self.tasks:
            quarter = self.enlarged(logits[task.name], STRIDE)
            outputs.append(self.classes(logits[task.name]) if task.kind == 'classes'
                           else ACTIVATIONS[task.kind](self, quarter))
            if task.confidence:
                outputs.append(quarter.softmax(1).amax(1))
            if task.name in self.uncertainties:
                log_scale = self.enlarged(logits[task.uncertainty], STRIDE)[:, 0].clamp(
                    SMALLEST, GREATEST)
                # An error of log depth is a share of depth: so, in metres, to first order.
                outputs.append(torch.exp(log_scale) * outputs[-1])
        return tuple(outputs)

    def enlarged(self, logits: Tensor, stride: int) -> Tensor:
        """Return logits at a stride, resized once."""
        if self.stride == stride:
            return logits
        return F.interpolate(logits, scale_factor=self.stride / stride, mode='bilinear',
                             align_corners=False)

    def classes(self, logits: Tensor) -> Tensor:
        """Return ids at half the image's size: borders between classes are what one looks at."""
        return self.enlarged(logits, STRIDE // 2).argmax(1).to(torch.uint8)

    def scalar(self, logits: Tensor) -> Tensor:
        """Return metres."""
        if self.linear:
            return logits[:, 0].clamp(min=0)
        return depth_from_logits(logits, self.max_depth)

    def vector(self, logits: Tensor) -> Tensor:
        """Return vectors of length one."""
        return F.normalize(logits, dim=1, eps=1e-6)

    def probability(self, logits: Tensor) -> Tensor:
        """Return the probability of the second of two channels, or of the only one."""
        if logits.shape[1] == 2:
            return logits.softmax(1)[:, 1]
        return torch.sigmoid(logits[:, 0])


ACTIVATIONS: dict[str, Callable[[Deployed, Tensor], Tensor]] = {
    'scalar': Deployed.scalar, 'vector': Deployed.vector,
    'probability': Deployed.probability}


@torch.no_grad()
def logit_stride(model: nn.Module) -> int:
    """Return by how much a network's logits are smaller than the image.

    4 of all but a baseline on the last map of a dilated ResNet, with 8.
    """
    image = next(model.parameters()).new_zeros(1, 3, 64, 96)
    return round(image.shape[-1] / next(iter(model.logits(image).values())).shape[-1])


LOG_MIDDLE, LOG_NEAREST = 2.5, -2.0
"""Logarithms of metres: of a logit of 0, and of the nearest depth there is."""


def depth_from_logits(logits: Tensor, max_depth: float) -> Tensor:
    """Turn depth logits (B,1,h,w) into metres (B,h,w): exp(x + 2.5), at most ``max_depth``.

    The constant puts an untrained network at 12 m, the middle of a street in log scale.
    """
    limit = float(torch.log(torch.tensor(max_depth)))
    return torch.exp(torch.clamp(logits[:, 0] + LOG_MIDDLE, LOG_NEAREST, limit))
