"""Plain against fused in eager torch: paired latencies, and peak memory of each alone."""

from collections.abc import Callable
import ctypes
from dataclasses import dataclass
import gc
import multiprocessing
from pathlib import Path
import re
import statistics
import time
from typing import Any

import torch

from demt_perception.child import guard_multiprocessing
from demt_perception.networks import create_model, fuse
from demt_perception.networks.counting import Row


@dataclass(frozen=True)
class Timing:
    """Seconds of each pair, peak memory in MiB, greatest relative difference of the outputs."""

    plain: list[float]
    fused: list[float]
    plain_memory: float
    fused_memory: float
    difference: float

    @property
    def speedup(self) -> float:
        """Median of the pairs' ratios: what disturbs both runs of a pair cancels."""
        return statistics.median(p / f for p, f in zip(self.plain, self.fused, strict=True))


def time_pair(row: Row, pairs: int = 7, threads: int = 1) -> Timing:
    """Time a network of the table, with random weights, one image, in both forms."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = create_model(row.name, row.backbone, row.tasks, **row.options).eval()
    fused = fuse(model, row.size)
    image = torch.randn(1, 3, *row.size)
    with torch.inference_mode():
        wanted, seen = model(image), fused(image)
        difference = max(float((seen[t] - wanted[t]).abs().max() / wanted[t].abs().max())
                         for t in wanted)
        plain_seconds, fused_seconds = [], []
        for _ in range(pairs):
            plain_seconds.append(_seconds(model, image))
            fused_seconds.append(_seconds(fused, image))
    guard_multiprocessing()
    with multiprocessing.get_context('spawn').Pool(1, maxtasksperchild=1) as pool:
        plain_memory, fused_memory = (
            pool.apply(_peak_memory, (row, form, threads)) for form in (False, True))
    return Timing(plain_seconds, fused_seconds, plain_memory, fused_memory, difference)


def _seconds(function: Callable[[Any], Any], image: torch.Tensor) -> float:
    start = time.perf_counter()
    function(image)
    return time.perf_counter() - start


def _peak_memory(row: Row, use_fused: bool, threads: int) -> float:
    """Return the greatest resident memory of this process during one image, MiB (Linux)."""
    torch.set_num_threads(threads)
    model = create_model(row.name, row.backbone, row.tasks, **row.options).eval()
    if use_fused:
        model = fuse(model, row.size)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path('/proc/self/clear_refs').write_text('5')  # forget the peak of building it
    with torch.inference_mode():
        model(torch.randn(1, 3, *row.size))
    match = re.search(r'VmHWM:\s+(\d+) kB', Path('/proc/self/status').read_text())
    assert match is not None
    return int(match[1]) / 1024
