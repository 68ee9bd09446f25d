"""The TensorRT engine: the fastest on NVIDIA GPUs, from JetPack 6 (TensorRT 10.3) to 11."""

import importlib
from typing import Any

import numpy as np
import tensorrt as trt

from demt_perception.inference.conversion import converted
from demt_perception.inference.engines import EngineError, INSTALL, Order
from demt_perception.inference.engines.building import Build
from demt_perception.inference.engines.cuda import Device
from demt_perception.inference.engines.precision import load_chosen
from demt_perception.inference.engines.tensorrt_picture import Pictures
from demt_perception.inference.engines.tensorrt_plan import load_plan
from demt_perception.inference.engines.tensorrt_run import Runner
from demt_perception.inference.predictions import Maps
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
        self._pictures: Pictures | None = None

    def preprocessor(self, card: ModelCard) -> Pictures | None:
        """Return what resizes and normalises on the GPU; None leaves that to the CPU."""
        if self._runner is None or not _can_import('onnx'):
            return None
        self._pictures = Pictures(trt, self._gpu, self._runner, card)
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
        built, kept = load_plan(trt, device, graph, shape, precision, order or Build())
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


def _can_import(name: str) -> bool:
    """Tell whether a package that is of use, but not needed, is there and works."""
    try:
        importlib.import_module(name)
    except Exception:   # one without its libraries raises OSError
        return False
    return True
