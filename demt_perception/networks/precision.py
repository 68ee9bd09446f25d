"""Where sampling positions are computed: never in half precision, under autocast.

bf16 has 8 digits: a position beyond the 128th pixel misses by half a pixel. With the released
initialisation, whose offsets are tens of pixels, a deformable step under bf16 autocast would be
off by a tenth.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def wide_type(x: Tensor) -> torch.dtype:
    """Return the type of a tensor, float32 at least."""
    return torch.promote_types(x.dtype, torch.float32)


def without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """Return a context in which operations on tensors like this one keep their type."""
    kind = x.device.type
    # A context that is not needed would still show in an exported graph; meta knows none.
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return nullcontext()
