"""The TensorRT engine: the fastest on NVIDIA GPUs, from JetPack 6 (TensorRT 10.3) to 11."""

import hashlib
import importlib
from typing import Any, NamedTuple

import numpy as np
import tensorrt as trt

from demt_perception.inference.cache import cached, EngineKey
from demt_perception.inference.conversion import converted
from demt_perception.inference.engines import (
    BusyError,
    EngineError,
    INSTALL,
    NotBuiltError,
    Order,
)
from demt_perception.inference.engines.building import Build
from demt_perception.inference.engines.cuda import Device
from demt_perception.inference.engines.cuda_errors import of_words
from demt_perception.inference.engines.picture import picture_graph, SIZES
from demt_perception.inference.engines.precision import load_chosen, PATIENCE
from demt_perception.inference.engines.tensorrt_build import build, logger, WORKSPACE
from demt_perception.inference.engines.tensorrt_run import Runner
from demt_perception.inference.engines.tensorrt_timing import keep_timing, known_timing
from demt_perception.inference.predictions import Maps
from demt_perception.inference.preprocess import Preprocessor
from demt_perception.model_card import ModelCard

OLDEST = 10, 3


class TensorRtEngine:
    """A plan loaded on the GPU at one input shape."""

    name = full_name = 'tensorrt'

    def __init__(self, device: Device, runner: Runner, precision: str, reason: str) -> None:
        """Keep a runner of the network; it and the device are this engine's from now on."""
        self.device = device.name
        self.precision = precision
        self.reason = reason
        self._gpu = device
        self._runner: Runner | None = runner
        self._pictures: _Pictures | None = None

    def preprocessor(self, card: ModelCard) -> '_Pictures | None':
        """Return what resizes and normalises on the GPU; None leaves that to the CPU."""
        if self._runner is None or not _can_import('onnx'):
            return None
        self._pictures = _Pictures(self._gpu, self._runner, card)
        return self._pictures

    def postprocessor(self) -> Maps | None:
        """Return what makes outputs at the pictures' size on the GPU, by torch where it is there.

        None leaves that to the CPU.
        """
        if not _can_import('torch'):
            return None
        from demt_perception.inference.engines.torch_maps import gpu_maps
        return gpu_maps()

    def run(self, image: Any) -> dict[str, np.ndarray]:
        """Run the graph; see ``Engine.run``. Also takes what ``preprocessor`` gave."""
        if self._runner is None:
            raise EngineError('the engine is closed; create another')
        self._gpu.make_current()
        if image is not self._runner.input:
            self._runner.upload(image)
        self._runner.enqueue()
        return self._runner.outputs()

    def close(self) -> None:
        """Free the plan and its memory."""
        self._runner = None
        if self._pictures is not None:   # which the predictor still holds
            self._pictures.close()
        self._gpu.close()


class _Pictures:
    """Brings pictures to the GPU and makes the network's input of them there."""

    def __init__(self, device: Device, network: Runner, card: ModelCard) -> None:
        self._gpu = device
        self._network: Runner | None = network
        self._card = card
        self._runners: dict[tuple[int, ...], Runner] = {}
        height, width = network.input.shape[2:]
        self._on_cpu = Preprocessor(card, (height, width))

    def ready(self, shape: tuple[int, ...]) -> bool:
        return shape in self._runners or len(self._runners) >= SIZES

    def __call__(self, bgr: np.ndarray) -> Any:
        if self._network is None:
            raise EngineError('the engine is closed; create another')
        runner = self._runners.get(bgr.shape)
        if runner is None and len(self._runners) >= SIZES:
            return self._on_cpu(bgr)
        self._gpu.make_current()
        if runner is None:
            runner = self._runners[bgr.shape] = self._prepare(bgr.shape, self._network)
        runner.upload(bgr[None])
        runner.enqueue()
        return self._network.input

    def close(self) -> None:
        self._network = None
        self._runners.clear()

    def _prepare(self, shape: tuple[int, ...], network: Runner) -> Runner:
        height, width = network.input.shape[2:]
        graph = picture_graph(
            (shape[0], shape[1]), (height, width), self._card.mean, self._card.std)
        built, _ = _plan(self._gpu, graph, (1, *shape), 'f32', Build())
        return Runner(trt, built, self._gpu, (1, *shape), network.address)


class _Built(NamedTuple):
    runtime: Any  # which the engine needs as long as it lives
    engine: Any
    plan: bytes


def load(graph: bytes, shape: tuple[int, int, int, int], threads: int, why: str,
         precision: str = 'f32', order: Build | None = None) -> TensorRtEngine:
    """Load a graph; see ``create_engine``.

    Args:
        graph: content of the ONNX file, in the precision that is wanted: networks are strongly
            typed.
        shape: of the input.
        threads: does not matter here.
        why: begin of ``reason``.
        precision: what the graph is in; ``f32`` is calculated as such, not as TF32.
        order: how it is built.

    Raises:
        NotBuiltError: only what the cache has was asked for, and it has none.
        EngineError: no GPU, TensorRT is too old, or it refuses the graph.
    """
    version = tuple(int(part) for part in trt.__version__.split('.')[:2])
    if version < OLDEST:
        raise EngineError(f'TensorRT is {trt.__version__}, want {OLDEST[0]}.{OLDEST[1]} (JetPack '
                          f'6) or newer: {INSTALL["tensorrt"]}')
    device = Device()
    try:
        built, kept = _plan(device, graph, shape, precision, order or Build())
        runner = Runner(trt, built, device, shape)
    except BaseException:
        device.close()
        raise
    return TensorRtEngine(
        device, runner, precision,
        f'{why}; TensorRT {trt.__version__}, {precision}; {runner.recorded}; {kept}')


def load_order(order: Order, why: str) -> TensorRtEngine:
    """Load a graph in the precision that is asked for, or chosen; see ``create_engine``."""
    if order.device:
        raise EngineError(f'engine is tensorrt:{order.device}, want tensorrt: it takes the first '
                          'GPU there is, which CUDA_VISIBLE_DEVICES chooses')
    return load_chosen(
        order, 'tensorrt', trt.__version__, ('f16', 'bf16', 'f32'),
        lambda precision: load(
            converted(order.graph, precision), order.shape, order.threads, why, precision,
            order.build))


def _plan(device: Device, graph: bytes, shape: tuple[int, ...], precision: str,
          order: Build) -> tuple[_Built, str]:
    key = EngineKey(
        graph_sha256=hashlib.sha256(graph).hexdigest(), engine='tensorrt',
        version=trt.__version__, device=device.name, driver=device.driver,
        capabilities='.'.join(map(str, device.capability)), precision=precision, shape=shape,
        # Before there was the second, TensorRT sampled the nearest pixel: see ``grid_sample.py``.
        options={'workspace': WORKSPACE, 'sampling': 'linear'})

    def make() -> _Built:
        if order.only_cached:
            raise NotBuiltError('tensorrt has not built the graph yet: see demt build')
        plan, learned = build(
            trt, graph, shape, precision == 'f32', order.progress, known_timing(key))
        keep_timing(key, learned)
        return _restore(plan)

    return cached(key, make, lambda built: built.plan, _restore, order.progress,
                  0 if order.only_cached else PATIENCE, passed_on=BusyError)


def _restore(plan: bytes) -> _Built:
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
    return _Built(runtime, engine, plan)


def _can_import(name: str) -> bool:
    """Tell whether a package that is of use, but not needed, is there and works."""
    try:
        importlib.import_module(name)
    except Exception:   # one without its libraries raises OSError
        return False
    return True
