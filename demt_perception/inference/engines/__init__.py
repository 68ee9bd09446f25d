"""Engines: each runs the same ONNX graph, behind one small protocol."""

import importlib
from typing import Protocol

import numpy as np

from demt_perception.inference.cpu import default_threads

INSTALL = {
    'openvino': 'pip install openvino',
    'onnxruntime': 'pip install onnxruntime',
}
ENGINES = tuple(INSTALL)
"""Engine names in the order in which ``auto`` tries them: OpenVINO measured fastest on CPUs."""


class EngineError(RuntimeError):
    """An engine is missing, refuses the graph, or failed on a frame; the text says the remedy."""


class Engine(Protocol):
    """A loaded graph, ready to run. One run at a time.

    Attributes:
        name: one of ``ENGINES``.
        device: the hardware's own name, e.g. of the processor.
        precision: ``f32`` or ``bf16``: the type that it calculates in.
        reason: one line, why this engine, precision and number of threads.
    """

    name: str
    device: str
    precision: str
    reason: str

    def run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Run the graph on a float32 1x3xHxW image; return fresh arrays by output name.

        Raises:
            EngineError: the engine failed.
        """

    def close(self) -> None:
        """Free the graph; no run may follow."""


def create_engine(
    name: str, graph: bytes, shape: tuple[int, int, int, int], threads: int = 0,
) -> Engine:
    """Load a graph into an engine.

    Args:
        name: one of ``ENGINES``, or ``auto`` for the first that works.
        graph: content of the ONNX file, which holds all its weights: see ``external_data.py``.
        shape: the one input shape that will be run, 1x3xHxW.
        threads: CPU threads; 0 chooses by ``default_threads``.

    Raises:
        EngineError: the name or the number of threads is not valid, the engine is not installed,
            or it refuses the graph.
    """
    if name != 'auto' and name not in ENGINES:
        raise EngineError(f'engine is {name!r}, want auto or one of {", ".join(ENGINES)}')
    if not 0 <= threads <= 1024:
        raise EngineError(f'threads is {threads}, want 0 (choose for me) to 1024')
    threads = threads or default_threads()
    if name != 'auto':
        return _load(name, graph, shape, threads, 'asked for by name')
    failures: list[str] = []
    for candidate in ENGINES:
        why = '; '.join(['fastest that works', *failures])
        try:
            return _load(candidate, graph, shape, threads, why)
        except EngineError as error:
            failures.append(f'not {candidate}: {error}')
    raise EngineError('no engine works: ' + '; '.join(failures))


def _load(
    name: str, graph: bytes, shape: tuple[int, int, int, int], threads: int, why: str,
) -> Engine:
    try:
        module = importlib.import_module(f'{__name__}.{name}')
    except Exception as error:  # a damaged or very old one raises whatever it likes
        raise EngineError(f'{name} cannot be imported ({error}): {INSTALL[name]}') from error
    engine: Engine = module.load(graph, shape, threads, why)
    return engine
