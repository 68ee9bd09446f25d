"""From a sample to the network's tensors, for the driving model and for the papers' protocols."""

from demt_perception.training.transforms.driving import (
    Driving,
    driving,
    photometric,
    random_view,
    to_tensors,
    View,
)
from demt_perception.training.transforms.released import PROTOCOLS, to_released

__all__ = ['PROTOCOLS', 'Driving', 'View', 'driving', 'photometric', 'random_view',
           'to_released', 'to_tensors']
