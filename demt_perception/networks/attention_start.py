"""How the attention of the released code starts: as torch's ``nn.MultiheadAttention``."""

import math

from torch import nn


def start_inner(*layers: nn.Linear) -> None:
    """Initialise query, key or value: Xavier over the three of them stacked, biases 0."""
    for layer in layers:
        bound = math.sqrt(6 / (3 * layer.out_features + layer.in_features))
        nn.init.uniform_(layer.weight, -bound, bound)
        nn.init.zeros_(layer.bias)


def start_outer(layer: nn.Linear) -> None:
    """Initialise what follows the attention: weights as torch's default, biases 0."""
    nn.init.zeros_(layer.bias)
