"""The ONNX Runtime engine: runs anywhere on the CPU, in float32."""

import numpy as np
import onnxruntime

from demt_perception.inference.cpu import cpu_name
from demt_perception.inference.engines import EngineError


class OnnxRuntimeEngine:
    """A graph loaded into ONNX Runtime's CPU provider."""

    name = 'onnxruntime'
    precision = 'f32'

    def __init__(self, session: onnxruntime.InferenceSession, reason: str) -> None:
        """Keep a session whose only input is ``image``."""
        self.device = cpu_name()
        self.reason = reason
        self._session: onnxruntime.InferenceSession | None = session
        self._names = [output.name for output in session.get_outputs()]

    def run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Run the graph; see ``Engine.run``."""
        if self._session is None:
            raise EngineError('the engine is closed; create another')
        try:
            outputs = self._session.run(self._names, {'image': image})
        except Exception as error:  # its exception classes share no public base
            raise EngineError(f'onnxruntime failed on a frame: {error}') from error
        return dict(zip(self._names, outputs, strict=True))

    def close(self) -> None:
        """Free the session."""
        self._session = None


def load(
    graph: bytes, shape: tuple[int, int, int, int], threads: int, why: str,
) -> OnnxRuntimeEngine:
    """Load a graph; see ``create_engine``."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Spinning threads take the cores from whatever else runs: twice as slow on a busy machine.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    for index, name in enumerate(('batch', 'channels', 'H', 'W')):
        options.add_free_dimension_override_by_name(name, shape[index])
    try:
        session = onnxruntime.InferenceSession(
            graph, options, providers=['CPUExecutionProvider'])
    except Exception as error:
        raise EngineError(
            f'onnxruntime {onnxruntime.__version__} refuses the graph ({error}); '
            'export the model again, or update onnxruntime') from error
    return OnnxRuntimeEngine(session, f'{why}; {threads} threads, no spinning')
