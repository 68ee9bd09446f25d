"""Task interaction: what the features of all tasks tell each other before the task query."""

from typing import Any

from torch import nn

from demt_perception.networks.interaction.flexible import DeformableInteraction
from demt_perception.networks.interaction.published import LinearInteraction, PublishedInteraction
from demt_perception.networks.interaction.spatial import SpatialInteraction

INTERACTIONS = ('published', 'linear', 'spatial', 'deformable', 'none')


def create_interaction(name: str, dim: int, heads: int, **options: Any) -> nn.Module | None:
    """Build a module that maps (z (B,T,P,C), (h, w)) to (B,T,P,C); None for ``none``.

    Args:
        name: ``published`` (the released code: per image a linear map), ``linear`` (the same
            without the dead query and key), ``spatial`` (the paper's text: self-attention over
            the tokens of all tasks), ``deformable`` (each token attends to a few learned points
            of all tasks) or ``none``.
        dim: channels.
        heads: attention heads.
        options: of the class chosen.

    Raises:
        ValueError: unknown name, or options of no interaction.
        TypeError: the class has no such option.
    """
    if name == 'published':
        return PublishedInteraction(dim, heads, **options)
    if name == 'linear':
        return LinearInteraction(dim, **options)
    if name == 'spatial':
        return SpatialInteraction(dim, heads, **options)
    if name == 'deformable':
        return DeformableInteraction(dim, heads, **options)
    if name == 'none':
        if options:
            raise ValueError(f'interaction {name!r} with options {options}: want none of them, or '
                             'an interaction that has them')
        return None
    raise ValueError(f'interaction {name!r} is unknown: want one of {list(INTERACTIONS)}')
