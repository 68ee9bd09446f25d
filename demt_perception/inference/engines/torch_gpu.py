"""What torch is told where it runs on an NVIDIA GPU: exactness, layout, and to replay its work."""

from collections.abc import Callable
import contextlib

import torch
from torch import Tensor

Call = Callable[[Tensor], tuple[Tensor, ...]]

WARM_UP = 3
"""Runs before recording: libraries allocate and choose their kernels in the first ones."""


def numerics(device: str, low: torch.dtype | None) -> contextlib.AbstractContextManager[None]:
    """Return the context to calculate in: f32 is f32; in a lower type kernels are measured.

    torch lets cuDNN take TF32 for convolutions in f32, which keeps 10 bits of 23
    (https://docs.pytorch.org/docs/stable/notes/cuda.html); for matrix products it does not. Shapes
    never change, so the fastest kernels are looked for once, before the work is recorded.

    Args:
        device: ``cpu``, where nothing changes, or ``cuda``.
        low: what convolutions and matrix products are in; None: f32.
    """
    if device != 'cuda':
        return contextlib.nullcontext()
    return torch.backends.cudnn.flags(
        enabled=True, benchmark=low is not None, allow_tf32=False,
        deterministic=torch.backends.cudnn.deterministic)


def laid_out(module: torch.nn.Module, image: Tensor) -> Tensor:
    """Put a module's weights, and an image, into the layout of a GPU's matrix units; return it.

    Else cuDNN turns every map of f16 and bf16 around before and after each convolution:
    https://docs.pytorch.org/tutorials/intermediate/memory_format_tutorial.html
    """
    module.to(memory_format=torch.channels_last)
    return image.to(memory_format=torch.channels_last)


def recorded(call: Call, image: Tensor) -> Call:
    """Record the call's kernels for this very input; return what replays them."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            call(image)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    # Frames of another engine go on meanwhile, in other threads, and may allocate.
    with torch.cuda.graph(graph, capture_error_mode='thread_local'):
        outputs = call(image)

    def replay(image: Tensor) -> tuple[Tensor, ...]:
        graph.replay()
        return outputs
    return replay
