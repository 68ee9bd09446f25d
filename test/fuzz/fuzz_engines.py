"""Targets: ONNX graphs as an engine gets them. The card's SHA-256 keeps other ones from it."""

from contextlib import suppress
from pathlib import Path

from fuzz_target import Target
import numpy as np

from demt_perception.inference.engines import create_engine, EngineError

TINY = Path(__file__).parents[1] / 'data' / 'tiny_model'
SHAPE = (1, 3, 32, 32)


def onnxruntime(data: bytes) -> None:
    """A damaged graph is refused, or runs, or fails on a frame with the engine's error."""
    with suppress(EngineError):
        engine = create_engine('onnxruntime', data, SHAPE, threads=1)
        engine.run(np.zeros(SHAPE, np.float32))
        engine.close()


TARGETS = {'ONNX graph in onnxruntime': Target(
    onnxruntime, lambda: [(TINY / 'model.onnx').read_bytes()], 2048)}
