"""Build TensorRT engines: from an ONNX graph to the bytes of a plan.

One code path for TensorRT 10.3 (JetPack 6) to 11, and for TensorRT-RTX, whose builder needs no
GPU: only calls that all of them have, listed in ``test/data/tensorrt_symbols.json``. Networks are
strongly typed: what is calculated in which precision says the graph itself.
"""

from collections.abc import Callable
import contextlib
import functools
import time
from typing import Any

from demt_perception.inference.engines import EngineError
from demt_perception.inference.engines.cuda_errors import of_words
from demt_perception.inference.engines.grid_sample import sample_linearly

WORKSPACE = 2 << 30
"""Bytes of scratch memory that a layer may take: a Jetson shares its memory with all else."""

EVERY = 1.0
"""Seconds between two lines of progress."""

Progress = Callable[[str], None]


def build(trt: Any, graph: bytes, shape: tuple[int, ...], exact: bool = True,
          progress: Progress | None = None,
          timing: bytes = b'') -> tuple[bytes, bytes]:
    """Return the plan, and what was learned about the speed of kernels.

    Args:
        trt: the module ``tensorrt``, or TensorRT-RTX's.
        graph: content of the ONNX file.
        shape: of its only input.
        exact: calculate f32 as such and not as TF32, which keeps 10 bits of 23.
        progress: called with a line about once a second, from any thread.
        timing: what an earlier build learned; b'' for none.

    Raises:
        BusyError: there is too little memory now.
        EngineError: TensorRT refuses the graph or finds no way to run it.
    """
    log = logger(trt)
    log.said.clear()
    builder = trt.Builder(log)
    network = builder.create_network(
        1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(graph):
        said = [parser.get_error(i).desc() for i in range(parser.num_errors)]
        raise _error(trt, 'refuses the graph', said or log.said)
    sample_linearly(trt, network, graph)
    if network.num_inputs != 1:
        raise EngineError(f'the graph has {network.num_inputs} inputs, want one, image: '
                          'export the model again')
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE)
    if exact:
        config.clear_flag(trt.BuilderFlag.TF32)
    image = network.get_input(0)
    if -1 in tuple(image.shape):
        profile = builder.create_optimization_profile()
        profile.set_shape(image.name, shape, shape, shape)
        config.add_optimization_profile(profile)
    elif tuple(image.shape) != tuple(shape):
        raise EngineError(f'the graph takes {tuple(image.shape)} only, want {tuple(shape)}: use '
                          "the card's input size, or export the model again")
    # Of another version or GPU it is refused: then this build learns from the start.
    known = config.create_timing_cache(timing)
    if known is not None and not config.set_timing_cache(known, False):
        config.set_timing_cache(config.create_timing_cache(b''), False)
    monitor = _monitor(trt, progress) if progress else None
    if monitor is not None:
        config.progress_monitor = monitor
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise _error(trt, 'cannot build the engine', log.said)
    learned = config.get_timing_cache()
    return bytes(plan), bytes(learned.serialize()) if learned is not None else b''


@functools.cache
def logger(trt: Any) -> Any:
    """Return the process's one logger: TensorRT keeps the first for ever.

    It keeps errors in ``said`` instead of printing them, the last few.
    """
    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.said: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.said = [*self.said[-4:], message]

    return Log()


def _monitor(trt: Any, progress: Progress) -> Any:
    """Return a listener to the builder: its outermost phase and how far it is."""
    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}
            self._last = 0.0

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            self._steps[name] = steps
            self._tell(name, 0)

        def step_complete(self, name: str, step: int) -> bool:
            self._tell(name, step + 1)
            return True  # False would abandon the build

        def phase_finish(self, name: str) -> None:
            self._steps.pop(name, None)

        def _tell(self, name: str, step: int) -> None:
            if time.monotonic() - self._last < EVERY:
                return
            self._last = time.monotonic()
            with contextlib.suppress(Exception):  # inside the builder it would end the process
                progress(f'TensorRT: {name}, {step} of {self._steps.get(name, step)}')

    return Monitor()


def _error(trt: Any, what: str, said: list[str]) -> EngineError:
    reasons = ' | '.join(' '.join(line.split()) for line in said[-5:]) or 'it does not say why'
    return of_words(f'TensorRT {trt.__version__} {what} ({reasons})',
                    'export the model again with --engine tensorrt, free memory of the GPU, or '
                    'use engine onnxruntime')
