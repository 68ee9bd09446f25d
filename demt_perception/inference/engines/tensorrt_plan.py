"""TensorRT plans: from the cache, or built and kept there."""

import hashlib
from typing import Any, NamedTuple

from demt_perception.inference.cache import cached, EngineKey
from demt_perception.inference.engines import BusyError, NotBuiltError
from demt_perception.inference.engines.building import Build
from demt_perception.inference.engines.cuda import Device
from demt_perception.inference.engines.cuda_errors import of_words
from demt_perception.inference.engines.precision import PATIENCE
from demt_perception.inference.engines.tensorrt_build import build, logger, WORKSPACE
from demt_perception.inference.engines.tensorrt_timing import keep_timing, known_timing


class Built(NamedTuple):
    """A plan that is loaded, and what it was loaded from."""

    runtime: Any  # which the engine needs as long as it lives
    engine: Any
    plan: bytes


def load_plan(trt: Any, device: Device, graph: bytes, shape: tuple[int, ...], precision: str,
              order: Build) -> tuple[Built, str]:
    """Return the plan of a graph, and one line: where it came from.

    Args:
        trt: the module ``tensorrt``.
        device: where it is to run.
        graph: content of the ONNX file, in the precision that is wanted.
        shape: of its only input.
        precision: what the graph is in.
        order: how it is built.

    Raises:
        NotBuiltError: only what the cache has was asked for, and it has none.
        BusyError: it might be had at another time.
        EngineError: TensorRT refuses the graph.
    """
    key = EngineKey(
        graph_sha256=hashlib.sha256(graph).hexdigest(), engine='tensorrt',
        version=trt.__version__, device=device.name, driver=device.driver,
        capabilities='.'.join(map(str, device.capability)), precision=precision, shape=shape,
        # Before there was the second, TensorRT sampled the nearest pixel: see ``grid_sample.py``.
        options={'workspace': WORKSPACE, 'sampling': 'linear'})

    def make() -> Built:
        if order.only_cached:
            raise NotBuiltError('tensorrt has not built the graph yet: see demt build')
        plan, learned = build(
            trt, graph, shape, precision == 'f32', order.progress, known_timing(key))
        keep_timing(key, learned)
        return _restore(trt, plan)

    return cached(key, make, lambda built: built.plan, lambda plan: _restore(trt, plan),
                  order.progress, 0 if order.only_cached else PATIENCE, passed_on=BusyError)


def _restore(trt: Any, plan: bytes) -> Built:
    log = logger(trt)
    log.said.clear()
    try:
        runtime = trt.Runtime(log)
    except TypeError as error:   # as the bindings say that CUDA does not start
        raise BusyError(f'TensorRT {trt.__version__} cannot start ({error}): check nvidia-smi and '
                        'the version of the driver') from error
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise of_words(f'TensorRT {trt.__version__} cannot load the engine '
                       f'({" | ".join(log.said) or "it does not say why"})', 'update the driver')
    return Built(runtime, engine, plan)
