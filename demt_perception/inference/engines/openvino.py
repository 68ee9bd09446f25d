"""The OpenVINO engine: the fastest measured on Intel and AMD processors; also on Intel's GPUs."""

from collections.abc import Callable
import hashlib
import json
import sys
from typing import NamedTuple

import numpy as np

from demt_perception.inference.cache import cached, EngineKey
from demt_perception.inference.cpu import cpu_flags
from demt_perception.inference.engines import EngineError, NotBuiltError, Order
from demt_perception.inference.engines.precision import (
    RULES,
    settle,
    SPEED_UP,
    speed_up,
    Trial,
)

# Importing OpenVINO sends an event to Google Analytics, from a fork of this process, and leaves
# files in the user's home, unless its telemetry package is absent. A robot must do none of that.
sys.modules.setdefault('openvino_telemetry', None)  # type: ignore[arg-type]

import openvino  # noqa: E402

_choices: dict[str, tuple[str, str]] = {}
"""(precision, why) by ``EngineKey.stem``: measured once a process, also without the cache."""


DEVICES = ('CPU', 'GPU')

PATIENCE = 60.0
"""Seconds to wait for another process that compiles the same: longer than that, it hangs."""


class OpenVinoEngine:
    """A graph compiled by OpenVINO at one input size."""

    name = full_name = 'openvino'

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
        except (RuntimeError, ValueError) as error:
            raise EngineError(f'openvino failed on a frame: {error}') from error
        return {name: results[index] for index, names in enumerate(self._names) for name in names}

    def close(self) -> None:
        """Free the compiled model."""
        self._request = None


def load_order(order: Order, why: str) -> OpenVinoEngine:
    """Load a graph; see ``create_engine``."""
    device = (order.device or 'cpu').upper()
    try:
        core = openvino.Core()
        if device not in DEVICES or device not in {
                name.partition('.')[0] for name in core.available_devices}:
            raise EngineError(
                f'openvino has no device {order.device} here, it has '
                f'{", ".join(core.available_devices).lower()}: use engine openvino, or install '
                "the driver of Intel's GPU, intel-opencl-icd")
        key = _key(core, order, device)
        if order.precision not in ('auto', *_able(key)):
            raise EngineError(
                f'openvino would only imitate {order.precision} on this processor, which has '
                f'{", ".join(_able(key))}: use one of those, or auto')

        def build() -> _Built:
            if order.build.only_cached:
                raise NotBuiltError('openvino has not compiled the graph yet: see demt build')
            return _build(core, order, key, device)

        built, kept = cached(
            key, build, _dump, lambda payload: _restore(core, payload, order.threads, device),
            order.build.progress, timeout=0 if order.build.only_cached else PATIENCE,
            fresh=order.build.fresh)
    except EngineError:
        raise
    except RuntimeError as error:
        raise EngineError(
            f'openvino {openvino.__version__} refuses the graph ({error}); '
            'export the model again, or use engine onnxruntime') from error
    engine = OpenVinoEngine(built.compiled, key.device, built.precision)
    engine.reason = f'{why}; {built.why}; {order.threads} threads; {kept}'
    return engine


def _key(core: openvino.Core, order: Order, device: str) -> EngineKey:
    capabilities = sorted(core.get_property(device, 'OPTIMIZATION_CAPABILITIES'))
    options = {name: str(value) for name, value in _config(order.threads, 'auto', device).items()}
    return EngineKey(
        graph_sha256=hashlib.sha256(order.graph).hexdigest(), engine='openvino',
        version=openvino.get_version(),
        device=str(core.get_property(device, 'FULL_DEVICE_NAME')).strip(),
        capabilities=' '.join([*capabilities, *sorted(cpu_flags())]), precision=order.precision,
        shape=order.shape, threads=order.threads,
        options={**options, **RULES, **order.build.rules})


def _able(key: EngineKey) -> list[str]:
    """Return the precisions that the processor has instructions for, the fastest first."""
    capabilities = key.capabilities.split()
    return [name for name, wanted in (('bf16', 'BF16'), ('f16', 'FP16'), ('f32', 'FP32'))
            if wanted in capabilities or name == 'f32']


class _Built(NamedTuple):
    compiled: openvino.CompiledModel
    precision: str
    why: str
    outputs: list[str]


def _build(core: openvino.Core, order: Order, key: EngineKey, device: str) -> _Built:
    model = core.read_model(order.graph, b'')
    model.reshape({'image': openvino.PartialShape(list(order.shape))})
    outputs = sorted({name for output in model.outputs for name in output.get_names()})
    compiled: dict[str, openvino.CompiledModel] = {}

    def make(precision: str) -> OpenVinoEngine:
        if precision not in compiled:
            order.build.progress(f'openvino compiles the graph in {precision}')
            compiled[precision] = core.compile_model(
                model, device, _config(order.threads, precision, device))
        return OpenVinoEngine(compiled[precision], key.device, precision)

    choice = None if order.build.fresh else _choices.get(key.stem())
    if choice is None:
        choice = _choices[key.stem()] = choose(order, _able(key), make, device)
    make(choice[0])
    return _Built(compiled[choice[0]], *choice, outputs)


def choose(order: Order, able: list[str], make: Callable[[str], OpenVinoEngine],
           device: str = 'CPU') -> tuple[str, str]:
    """Return the precision to take and one line why.

    Raises:
        EngineError: none is within the limits, or the one that was asked for is not.
    """
    trial = Trial(order.graph, order.shape, order.threads, order.build)
    if device == 'CPU':   # slower than f32 wherever it was measured
        able = [name for name in able if name != 'f16']
    engine, why = settle(order.precision, able, make, lambda: trial)
    if order.precision != 'auto' or engine.precision == 'f32':
        only = ', the processor has no bf16' if able == ['f32'] else ''
        return engine.precision, why + only
    order.build.progress(f'timing {engine.precision} against f32')
    ratio = speed_up(make('f32'), engine, trial.inputs[0])
    if ratio >= SPEED_UP:
        return engine.precision, f'{why}, {ratio:.1f} times as fast as f32'
    slow = f'{engine.precision} is only {ratio:.2f} times as fast'
    engine, why = settle('f32', ['f32'], make, lambda: trial)
    return engine.precision, f'{why}, {slow}'


def _dump(built: _Built) -> bytes:
    """Return a line of JSON and OpenVINO's own blob."""
    line = json.dumps([built.precision, built.why, built.outputs]).encode('ascii')
    return b'\n'.join((line, built.compiled.export_model().getvalue()))


def _restore(core: openvino.Core, payload: bytes, threads: int, device: str) -> _Built:
    line, _, blob = payload.partition(b'\n')
    precision, why, outputs = json.loads(line)
    # The blob does not hold the configuration: without it, threads and pinning are OpenVINO's.
    compiled = core.import_model(blob, device, _config(threads, precision, device))
    # Names are restored by OpenVINO; where it loses one, the model is compiled as ever.
    lost = set(outputs) - {name for output in compiled.outputs for name in output.get_names()}
    if lost:
        raise EngineError(f'outputs {", ".join(lost)} are lost in it')
    return _Built(compiled, precision, why, outputs)


def _config(threads: int, precision: str, device: str) -> dict[str, object]:
    # Left alone, OpenVINO takes bf16 wherever the processor has it, and f16 on a GPU.
    both: dict[str, object] = {
        'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_PRECISION_HINT': precision}
    return both if device == 'GPU' else {
        **both,
        'INFERENCE_NUM_THREADS': threads,
        # The node shares its cores with the rest of the robot; pinned threads cannot move away.
        'ENABLE_CPU_PINNING': False,
    }
