"""From a sample to the network's tensors, for the driving model and for the papers' protocols."""

from demt_perception.training.transforms.driving import (
    photometric,
    random_view,
    to_tensors,
    View,
)

__all__ = ['View', 'photometric', 'random_view', 'to_tensors']
