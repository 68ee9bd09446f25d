"""The ONNX Runtime engine: runs anywhere on the CPU, and on NVIDIA GPUs by its providers."""

import numpy as np
import onnxruntime

from demt_perception.inference.conversion import converted
from demt_perception.inference.cpu import cpu_name, gpu_name
from demt_perception.inference.cutting import free_dimensions
from demt_perception.inference.engines import EngineError, Order, passed_over
from demt_perception.inference.engines.cuda_errors import of_words
from demt_perception.inference.engines.grid_sample import with_old_name
from demt_perception.inference.engines.precision import load_chosen

PROVIDERS = {'cuda': 'CUDAExecutionProvider', 'cpu': 'CPUExecutionProvider',
             'tensorrt': 'TensorrtExecutionProvider'}
"""By device."""

TRIED = ('cuda', 'cpu')
"""Where none is asked for, in this order. TensorRT builds for minutes at every start in this way:
engine ``tensorrt`` keeps what it built."""

LOW = {'cuda': ('f16', 'f32'), 'tensorrt': ('f16', 'f32'), 'cpu': ('f32',)}
"""Precisions that auto tries, by device."""

OPTIONS = {'cuda': {'use_tf32': '0'}}
"""Of providers, by device: f32 is to be f32, and not TF32, which keeps 10 bits of 23. TensorRT's
has no such option (https://github.com/microsoft/onnxruntime/issues/26029)."""


class OnnxRuntimeEngine:
    """A graph loaded into one of ONNX Runtime's providers."""

    name = full_name = 'onnxruntime'

    def __init__(self, session: onnxruntime.InferenceSession, device: str, precision: str,
                 reason: str) -> None:
        """Keep a session whose only input is ``image``."""
        self.device = device
        self.precision = precision
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
            raise of_words(f'onnxruntime failed on a frame: {error}') from error
        return dict(zip(self._names, outputs, strict=True))

    def close(self) -> None:
        """Free the session."""
        self._session = None


def load_order(order: Order, why: str) -> OnnxRuntimeEngine:
    """Load a graph; see ``create_engine``."""
    there = onnxruntime.get_available_providers()
    if order.device and PROVIDERS.get(order.device) not in there:
        raise EngineError(
            f'onnxruntime {onnxruntime.__version__} has no device {order.device!r}, it has '
            f'{", ".join(name for name, one in PROVIDERS.items() if one in there)}: for an NVIDIA '
            'GPU pip install onnxruntime-gpu in place of onnxruntime')
    devices = [order.device] if order.device else [
        name for name in TRIED if PROVIDERS[name] in there]
    failures: list[str] = []
    for device in devices:
        try:
            return _load_on(device, order, '; '.join([why, *failures]))
        except EngineError as error:
            if device == devices[-1]:
                raise
            failures.append(passed_over(f'on {device}', error, order.build))
    raise EngineError(f'onnxruntime {onnxruntime.__version__} has no device that is of use, it '
                      f'has {", ".join(there)}: pip install onnxruntime')


def load_cpu(graph: bytes, shape: tuple[int, int, int, int], threads: int,
             why: str) -> OnnxRuntimeEngine:
    """Load a graph in f32 on the CPU: what all engines are compared with.

    Raises:
        EngineError: it refuses the graph.
    """
    return OnnxRuntimeEngine(_session(graph, shape, threads, 'cpu'), cpu_name(), 'f32',
                             f'{why}; f32; {threads} threads, no spinning')


def _load_on(device: str, order: Order, why: str) -> OnnxRuntimeEngine:
    if device == 'cpu':
        if order.precision not in ('auto', 'f32'):
            raise EngineError(
                f'onnxruntime calculates in f32 on the CPU, not in {order.precision}: use '
                'precision auto or f32, or engine openvino')
        return load_cpu(order.graph, order.shape, order.threads, why)

    def make(precision: str) -> OnnxRuntimeEngine:
        return OnnxRuntimeEngine(
            _session(converted(order.graph, precision), order.shape, order.threads, device),
            f'{gpu_name() or "GPU"} ({device})', precision, f'{why}; {device}')

    return load_chosen(order, f'onnxruntime {device}', onnxruntime.__version__, LOW[device], make)


def _session(graph: bytes, shape: tuple[int, int, int, int], threads: int,
             device: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Spinning threads take the cores from whatever else runs: twice as slow on a busy machine.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    # Without VNNI (AVX2 alone) its int8 kernels add pairs of products in 16 bits, which overflow:
    # a small graph was off by 9 % here, with this by 2 %, as elsewhere. f32 does not look at it.
    options.add_session_config_entry('session.x64quantprecision', '1')
    try:
        # What follows from the shape alone is then computed once, and not for each frame.
        for index, name in free_dimensions(graph).items():
            options.add_free_dimension_override_by_name(name, shape[index])
        if device != 'cpu' and hasattr(onnxruntime, 'preload_dlls'):
            onnxruntime.preload_dlls()   # finds CUDA and cuDNN where pip or torch has brought them
        if device == 'tensorrt':
            graph = with_old_name(graph)
        session = onnxruntime.InferenceSession(graph, options, providers=[
            (PROVIDERS[name], OPTIONS.get(name, {})) for name in dict.fromkeys((device, 'cpu'))])
    except EngineError:
        raise
    except Exception as error:
        raise of_words(f'onnxruntime {onnxruntime.__version__} refuses the graph ({error})',
                       'export the model again, or update onnxruntime') from error
    # Where a library of CUDA is missing, it says so on stderr only and takes the CPU.
    if session.get_providers()[0] != PROVIDERS[device]:
        raise EngineError(
            f'onnxruntime {onnxruntime.__version__} cannot start on {device}, it took '
            f'{session.get_providers()[0]}: check nvidia-smi, and that CUDA and cuDNN are those '
            'that this version wants (https://onnxruntime.ai/docs/execution-providers)')
    return session
