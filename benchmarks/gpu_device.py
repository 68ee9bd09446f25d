"""What a device is and reaches, and the bytes that operators move: for gpu_check.py."""

from collections.abc import Callable, Iterator
import contextlib
import platform
import time
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from demt_perception.inference.cpu import cpu_name

TYPES = {'f32': torch.float32, 'bf16': torch.bfloat16, 'f16': torch.float16}


class Traffic(TorchDispatchMode):
    """Adds up the bytes that operators read and write, each on its own: what fusing saves from."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (),
                           kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        read = {one.data_ptr(): one for one in flat(args)}
        written = {one.data_ptr(): one for one in flat([result])}
        if not set(written) <= set(read):  # else a view: nothing moves
            self.bytes += sum(one.numel() * one.element_size()
                              for one in (*read.values(), *written.values()))
        return result


def flat(values: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in lists of lists."""
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from flat(value)


def limits(device: str) -> dict[str, float]:
    """Measure what the device reaches: matrix products by precision, copies of its memory."""
    side = 4096 if device == 'cuda' else 128
    found = {}
    for name, dtype in TYPES.items():
        a = torch.randn(side, side, device=device).to(dtype)
        found[f'{name}_tflops'] = significant(2e-12 * side**3 / best(lambda a=a: a @ a, device))
    size = (256 if device == 'cuda' else 16) << 20
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    found['gb_per_s'] = significant(2e-9 * size / best(lambda: target.copy_(source), device))
    return found


def significant(value: float) -> float:
    """Return a number with four digits that count: none becomes 0, shares are taken of them."""
    return float(f'{value:.4g}')


def best(function: Callable[[], Any], device: str) -> float:
    """Return the seconds of the fastest of some runs."""
    times = []
    for _ in range(20 if device == 'cuda' else 5):
        synchronise(device)
        start = time.perf_counter()
        for _ in range(4):
            function()
        synchronise(device)
        times.append((time.perf_counter() - start) / 4)
    return min(times)


def synchronise(device: str) -> None:
    """Wait for the GPU."""
    if device == 'cuda':
        torch.cuda.synchronize()


def host(device: str) -> dict[str, Any]:
    """Return what the figures depend on."""
    found: dict[str, Any] = {
        'device': cpu_name(), 'cpu': cpu_name(), 'python': platform.python_version(),
        'torch': torch.__version__, 'cuda': torch.version.cuda}
    if device == 'cuda':
        properties = torch.cuda.get_device_properties(0)
        found.update(
            device=properties.name, memory_gib=round(properties.total_memory / 2**30, 1),
            multiprocessors=properties.multi_processor_count,
            capability=f'{properties.major}.{properties.minor}')
    for name in ('onnxruntime', 'tensorrt', 'onnx'):
        with contextlib.suppress(Exception):  # what a broken one raises is its own matter
            found[name] = __import__(name).__version__
    return found
