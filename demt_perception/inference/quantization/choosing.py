"""Which layers may be in int8: those that a network stands, found on real pictures."""

from collections.abc import Callable, Mapping, Sequence
import math

import numpy as np
import onnxruntime

from demt_perception.inference.parity import compare, Figure, Outputs
from demt_perception.inference.quantization.switched import (
    LARGEST,
    switched,
    SWITCHES,
    with_ranges,
)

RANKED_ON = 2
"""Pictures for the error of each layer alone: it is only to be ordered."""


class Switchboard:
    """A graph run with any set of its layers in int8.

    Attributes:
        count: of layers that can be.
    """

    def __init__(self, graph: bytes, images: Sequence[np.ndarray], threads: int,
                 limits: Mapping[str, float]) -> None:
        """Find the ranges on the pictures, and what comes out without int8."""
        self._images, self._limits = images, limits
        exact = _session(with_ranges(graph), threads)
        self._names = [output.name for output in exact.get_outputs()][:-1]
        self._wanted: list[Outputs] = []
        largest: np.ndarray | None = None
        for image in images:
            *outputs, seen = exact.run([*self._names, LARGEST], {'image': image})
            self._wanted.append(dict(zip(self._names, outputs, strict=True)))
            largest = seen if largest is None else np.maximum(largest, seen)
        assert largest is not None
        self.count = len(largest)
        self._session = _session(switched(graph, largest.tolist()), threads)

    def figures(self, chosen: Sequence[int], pictures: int | None = None) -> list[Figure]:
        """Return how far the outputs are off with some layers in int8."""
        switches = np.zeros(self.count, np.float32)
        switches[list(chosen)] = 1
        images = self._images[:pictures]
        seen = [dict(zip(self._names, self._session.run(
            self._names, {'image': image, SWITCHES: switches}), strict=True))
            for image in images]
        return compare(self._wanted[:len(images)], seen, self._limits)


def share(figures: Sequence[Figure]) -> float:
    """Return the error of the worst output as a share of what its limit allows.

    Infinite where one cannot be compared: ``max`` of a NaN and a number depends on their order.
    """
    shares = [(1 - figure.value) / max(1 - figure.limit, 1e-9) if figure.measure.at_least
              else figure.value / max(figure.limit, 1e-9) for figure in figures]
    return math.inf if any(map(math.isnan, shares)) else max(shares)


def choose(board: Switchboard, allowed: float,
           progress: Callable[[str], None]) -> list[int]:
    """Return the layers to put into int8, the least sensitive first.

    Each is ranked by the error that it adds alone; as many as the limits stand are taken.

    Args:
        board: of the graph.
        allowed: share of the limits that may be used up.
        progress: called with a line as it goes on.
    """
    errors = []
    for layer in range(board.count):
        progress(f'error of layer {layer + 1} of {board.count} alone')
        errors.append(share(board.figures([layer], RANKED_ON)))
    order = sorted(range(board.count), key=lambda layer: errors[layer])
    low, high = 0, board.count   # low is within, above high is outside or all there are
    while low < high:
        middle = (low + high + 1) // 2
        error = share(board.figures(order[:middle]))
        progress(f'{middle} of {board.count} layers in int8 use up {error:.0%} of the limits')
        if error <= allowed:
            low = middle
        else:
            high = middle - 1
    return order[:low]


def _session(graph: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # As they stand: fused into int8 kernels, a switch would be none.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return onnxruntime.InferenceSession(graph, options, providers=['CPUExecutionProvider'])
