"""Between maps and tokens, by way of channels-last: the gradients depend on it.

With one image, `flatten(2).transpose(1, 2)` leaves the gradient of the map with a stride of its
batch axis that fits no memory format. The backward of BatchNorm on CPU (torch 2.13)
then takes the gradient for channels-first without an error, and everything before it learns
noise. The same reshape written over (B,H,W,C) has plain strides in both directions.
"""

from torch import Tensor


def to_tokens(x: Tensor) -> Tensor:
    """Return the pixels of a map as tokens: (B,C,H,W) to (B,H*W,C)."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def to_map(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """Return tokens as the map that they are the pixels of: (B,H*W,C) to (B,C,H,W)."""
    return tokens.unflatten(1, size).permute(0, 3, 1, 2)
