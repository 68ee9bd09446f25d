"""The OpenVINO engine: the fastest measured on Intel and AMD processors."""

import hashlib
import sys

import numpy as np

from demt_perception.inference.engines import EngineError
from demt_perception.inference.engines.precision import choose_precision

# Importing OpenVINO sends an event to Google Analytics, from a fork of this process, and leaves
# files in the user's home, unless its telemetry package is absent. A robot must do none of that.
sys.modules.setdefault('openvino_telemetry', None)  # type: ignore[arg-type]

import openvino  # noqa: E402

_choices: dict[tuple[object, ...], tuple[str, str]] = {}
"""(precision, why) by graph, shape and threads: measured once a process, so it stays the same."""


class OpenVinoEngine:
    """A graph compiled by OpenVINO for the CPU at one input size."""

    name = 'openvino'

    def __init__(self, compiled: openvino.CompiledModel, device: str, precision: str) -> None:
        """Keep a compiled model whose only input is ``image``."""
        self.device = device
        self.precision = precision
        self.reason = ''
        self._request: openvino.InferRequest | None = compiled.create_infer_request()
        # OpenVINO may add names of its own to an output, so each is known by all its names.
        self._names = [output.get_names() for output in compiled.outputs]

    def run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Run the graph; see ``Engine.run``. Other Python threads run meanwhile."""
        if self._request is None:
            raise EngineError('the engine is closed; create another')
        try:
            # Outputs are copied: the request reuses its own buffers for the next frame.
            results = self._request.infer([image], share_inputs=True, share_outputs=False)
        except RuntimeError as error:
            raise EngineError(f'openvino failed on a frame: {error}') from error
        return {name: results[index] for index, names in enumerate(self._names) for name in names}

    def close(self) -> None:
        """Free the compiled model."""
        self._request = None


def load(graph: bytes, shape: tuple[int, int, int, int], threads: int, why: str) -> OpenVinoEngine:
    """Load a graph; see ``create_engine``."""
    try:
        core = openvino.Core()
        device = str(core.get_property('CPU', 'FULL_DEVICE_NAME')).strip()
        model = core.read_model(graph, b'')
        model.reshape({'image': openvino.PartialShape(list(shape))})
        engine = OpenVinoEngine(_compile(core, model, threads, 'f32'), device, 'f32')
        precision_why = 'f32, the processor has no bf16'
        if 'BF16' in core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
            key = (hashlib.sha256(graph).digest(), shape, threads)
            if _choices.get(key, ('bf16', ''))[0] == 'bf16':
                faster = OpenVinoEngine(_compile(core, model, threads, 'bf16'), device, 'bf16')
                if key not in _choices:
                    _choices[key] = choose_precision(engine, faster, shape)
                if _choices[key][0] == 'bf16':
                    engine = faster
            precision_why = _choices[key][1]
    except RuntimeError as error:
        raise EngineError(
            f'openvino {openvino.__version__} refuses the graph ({error}); '
            'export the model again, or use engine onnxruntime') from error
    engine.reason = f'{why}; {precision_why}; {threads} threads'
    return engine


def _compile(
    core: openvino.Core, model: openvino.Model, threads: int, precision: str,
) -> openvino.CompiledModel:
    return core.compile_model(model, 'CPU', {
        'PERFORMANCE_HINT': 'LATENCY',
        'INFERENCE_NUM_THREADS': threads,
        # Left alone, OpenVINO takes bf16 wherever the processor has it.
        'INFERENCE_PRECISION_HINT': precision,
        # The node shares its cores with the rest of the robot; pinned threads cannot move away.
        'ENABLE_CPU_PINNING': False,
    })
