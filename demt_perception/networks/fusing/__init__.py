"""Inference form: an equivalent network with fewer operations."""

from collections.abc import Callable
import copy
from typing import Any, TypeVar

import torch
from torch import nn

from demt_perception.networks.aggregation import ConcatAggregation
from demt_perception.networks.demt_light import DeMTLightHead
from demt_perception.networks.fusing.aggregation import fuse_concat
from demt_perception.networks.fusing.attention import AbsorbedQuery, fuse_interaction
from demt_perception.networks.fusing.deform import GridDeform
from demt_perception.networks.fusing.maps import MapLightHead
from demt_perception.networks.fusing.norms import fold_batch_norms
from demt_perception.networks.fusing.pyramid import FUSED as FUSED_HEADS
from demt_perception.networks.heads import Head
from demt_perception.networks.interaction.published import LinearInteraction, PublishedInteraction
from demt_perception.networks.mixer import DeformableConv1x1
from demt_perception.networks.model import MultiTaskModel
from demt_perception.networks.query import TaskQuery

# What replaces a module of exactly this class. BatchNorms are folded before.
REPLACEMENTS: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    ConcatAggregation: fuse_concat, DeformableConv1x1: GridDeform,
    LinearInteraction: fuse_interaction, PublishedInteraction: fuse_interaction,
    TaskQuery: AbsorbedQuery, **FUSED_HEADS}
M = TypeVar('M', bound=nn.Module)


@torch.no_grad()
def fuse(model: M, size: tuple[int, int] | None = None) -> M:
    """Return an equivalent module with fewer operations, for inference only.

    Folds BatchNorms; DeMT: folds the published interaction into one matrix, absorbs key and value
    projections of the task queries, projects before resizing, scales offsets to grid units; the
    light DeMT: works on maps instead of tokens;
    pyramid heads: convolve before resizing. See docs/networks.md.

    Args:
        model: a ``MultiTaskModel`` or a ``Head``, trained; it stays as it is.
        size: (height, width) of the images, if fixed: constants of that size are precomputed.
            Other sizes still work.

    Raises:
        ValueError: the model computes something that has no fused form (``batch_attention``).
    """
    fused = copy.deepcopy(model).eval()
    for parameter in fused.parameters():
        parameter.requires_grad_(False)
    fold_batch_norms(fused)
    fused = _replace(fused).eval()   # also what has been made anew
    for parameter in fused.parameters():
        parameter.requires_grad_(False)
    if size is not None:
        _fix(fused, size)
    return fused


def _replace(module: Any) -> Any:
    """Replace a module, or else its children, by their inference forms."""
    if type(module) is DeMTLightHead:   # whose parts are replaced, and it, too
        return MapLightHead(module, _replace(module.mixers))
    make = REPLACEMENTS.get(type(module))
    if make is not None:
        return make(module)
    for name, child in list(module.named_children()):
        setattr(module, name, _replace(child))
    return module


def _fix(module: nn.Module, size: tuple[int, int]) -> None:
    """Let every deformable step keep the constants of one image size."""
    steps = [m for m in module.modules() if isinstance(m, GridDeform)]
    like = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(()))
    for step in steps:
        step.fixing = True
    if isinstance(module, MultiTaskModel):
        module.logits(like.new_zeros(1, 3, *size))
    elif isinstance(module, Head):
        module.logits([like.new_zeros(1, c, -(-size[0] // s), -(-size[1] // s))
                       for c, s in zip(module.in_channels, (4, 8, 16, 32), strict=True)])
    for step in steps:
        step.fixing = False
