"""The OpenVINO engine: the fastest measured on Intel and AMD processors."""

import numpy as np
import openvino

from demt_perception.inference.engines import EngineError


class OpenVinoEngine:
    """A graph compiled by OpenVINO for the CPU at one input size."""

    name = 'openvino'

    def __init__(
        self, compiled: openvino.CompiledModel, device: str, precision: str, reason: str,
    ) -> None:
        """Keep a compiled model whose only input is ``image``."""
        self.device = device
        self.precision = precision
        self.reason = reason
        self._request: openvino.InferRequest | None = compiled.create_infer_request()
        self._names = [output.get_any_name() for output in compiled.outputs]

    def run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Run the graph; see ``Engine.run``. Other Python threads run meanwhile."""
        if self._request is None:
            raise EngineError('the engine is closed; create another')
        try:
            # Outputs are copied: the request reuses its own buffers for the next frame.
            results = self._request.infer([image], share_inputs=True, share_outputs=False)
        except RuntimeError as error:
            raise EngineError(f'openvino failed on a frame: {error}') from error
        return {name: results[index] for index, name in enumerate(self._names)}

    def close(self) -> None:
        """Free the compiled model."""
        self._request = None


def load(graph: bytes, shape: tuple[int, int, int, int], threads: int, why: str) -> OpenVinoEngine:
    """Load a graph; see ``create_engine``."""
    core = openvino.Core()
    try:
        device = core.get_property('CPU', 'FULL_DEVICE_NAME')
        model = core.read_model(graph, b'')
        model.reshape({'image': openvino.PartialShape(list(shape))})
        compiled = core.compile_model(model, 'CPU', {
            'PERFORMANCE_HINT': 'LATENCY',
            'INFERENCE_NUM_THREADS': threads,
            'INFERENCE_PRECISION_HINT': 'f32',
        })
    except RuntimeError as error:
        raise EngineError(
            f'openvino {openvino.__version__} refuses the graph ({error}); '
            'export the model again, or use engine onnxruntime') from error
    return OpenVinoEngine(compiled, device, 'f32', f'{why}; f32; {threads} threads')
