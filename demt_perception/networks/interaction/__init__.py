"""Task interaction with spatial mixing: DeMT as its text describes it, and beyond it.

All take z (B, T, P, C), the features of T tasks at P pixels, and size (h, w) with h * w = P, and
return the same shape. The published interaction, which mixes no pixels, is in attention.py.
"""

from demt_perception.networks.interaction.flexible import DeformableInteraction
from demt_perception.networks.interaction.spatial import SpatialInteraction

__all__ = ['DeformableInteraction', 'SpatialInteraction']
