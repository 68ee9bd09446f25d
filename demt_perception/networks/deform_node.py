"""The deformable step as one ONNX node, for the engine that runs it faster than GridSample.

``as_deform_conv`` prepares a network for such an export. GridSample runs in every engine;
DeformConv (opset 19) in ONNX Runtime, and in others by plugin only.
"""

import copy
from typing import Any, TypeVar

import torch
from torch import nn, Tensor
from torch.nn import functional as F

from demt_perception.networks.deform import sample_per_channel
from demt_perception.networks.fusing.deform import GridDeform
from demt_perception.networks.mixer import coordinates, DeformableConv1x1

M = TypeVar('M', bound=nn.Module)


@torch.library.custom_op('demt::deform_conv1x1', mutates_args=())
def deform_conv1x1(x: Tensor, offsets: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """1x1 deformable convolution of (B,C,H,W), offsets (B,2C,H,W): see ``deform.py``."""
    return F.conv2d(sample_per_channel(x, offsets), weight, bias)


@deform_conv1x1.register_fake
def _(x: Tensor, offsets: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], weight.shape[0], x.shape[2], x.shape[3])


class DeformNode(nn.Module):
    """``DeformableConv1x1`` that is exported as one DeformConv node."""

    def __init__(self, source: DeformableConv1x1 | GridDeform):
        super().__init__()
        self.p_conv, self.opt = source.p_conv, source.opt
        self.weight, self.bias = source.weight, source.bias

    def forward(self, x: Tensor) -> Tensor:
        offsets = self.opt(self.p_conv(x) + coordinates(x))
        return deform_conv1x1(x, offsets, self.weight, self.bias)


def as_deform_conv(model: M) -> M:
    """Return a copy whose deformable steps are exported as DeformConv; same numbers."""
    model = copy.deepcopy(model)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, DeformableConv1x1 | GridDeform):
                setattr(parent, name, DeformNode(child))
    return model


def onnx_translation() -> dict[Any, Any]:
    """Return ``custom_translation_table`` for ``torch.onnx.export``.

    Raises:
        ImportError: onnxscript is missing.
    """
    from onnxscript import opset19

    # The exporter reads the signature, so it has to be spelled out. opset22's node would force
    # the whole graph to 22, which TensorRT 10.3 does not read.
    def to_node(x: Any, offsets: Any, weight: Any, bias: Any) -> Any:
        return opset19.DeformConv(x, weight, offsets, bias, kernel_shape=[1, 1],
                                  offset_group=weight.shape[1])

    return {torch.ops.demt.deform_conv1x1.default: to_node}
