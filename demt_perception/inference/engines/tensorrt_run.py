"""Run a TensorRT plan: buffers, the work of one frame, a CUDA graph of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from demt_perception.inference.engines import BusyError, EngineError, LostError
from demt_perception.inference.engines.cuda import Device
from demt_perception.inference.engines.cuda_errors import REMEDY

TYPES = {'FLOAT': np.float32, 'HALF': np.float16, 'INT8': np.int8, 'UINT8': np.uint8,
         'INT32': np.int32, 'INT64': np.int64, 'BOOL': np.bool_}
"""By the names of ``DataType``; others have no NumPy type."""

WARM_UP = 2
"""Frames before recording: the first ones load kernels, which cannot be recorded."""


@dataclass(frozen=True)
class Slot:
    """One input or output of a plan."""

    name: str
    is_input: bool
    shape: tuple[int, ...]
    dtype: np.dtype


def slots(trt: Any, engine: Any, context: Any, shape: tuple[int, ...]) -> list[Slot]:
    """Return inputs and outputs of an engine whose only input takes ``shape``.

    Raises:
        EngineError: it takes or gives something else.
    """
    names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
    modes = {name: engine.get_tensor_mode(name) for name in names}
    inputs = [name for name in names if modes[name] == trt.TensorIOMode.INPUT]
    if len(inputs) != 1 or not context.set_input_shape(inputs[0], shape):
        raise EngineError(f'the engine has inputs {inputs} that do not take {shape}, want one '
                          'that does: build it again')
    found = []
    for name in names:
        dtype = engine.get_tensor_dtype(name).name
        lengths = tuple(context.get_tensor_shape(name))
        if dtype not in TYPES or any(length < 0 for length in lengths):
            raise EngineError(f'{name} of the engine is {dtype} of shape {lengths}, want a type '
                              f'of {", ".join(TYPES)} and a known shape: export the model again')
        found.append(Slot(name, name in inputs, lengths, np.dtype(TYPES[dtype])))
    return found


class Runner:
    """An engine with its buffers.

    Attributes:
        input: the slot of the input.
        address: where on the GPU it lies.
    """

    def __init__(self, trt: Any, built: Any, device: Device, shape: tuple[int, ...],
                 result: int | None = None) -> None:
        """Allocate the buffers.

        Args:
            trt: the module ``tensorrt``.
            built: has ``engine``, a deserialised plan, and whatever that needs to live.
            device: where it runs.
            shape: of its only input.
            result: where its only output is to go on the GPU; None brings all outputs back.

        Raises:
            BusyError: too little memory, or another trouble of the GPU.
            EngineError: the plan is not as wanted.
        """
        engine = built.engine
        self._context = engine.create_execution_context()
        if self._context is None:
            raise BusyError(f'too little GPU memory to run the engine: {REMEDY}')
        self._built = built
        self._device = device
        found = slots(trt, engine, self._context, shape)
        self.input = next(slot for slot in found if slot.is_input)
        self._staging = device.pinned(self.input.shape, self.input.dtype)
        self.address = device.memory(self._staging.nbytes)
        self._results: dict[str, tuple[int, np.ndarray]] = {}
        self._bind(self.input.name, self.address)
        for slot in found:
            if slot.is_input:
                continue
            if result is not None:
                self._bind(slot.name, result)
                continue
            array = device.pinned(slot.shape, slot.dtype)
            self._results[slot.name] = device.memory(array.nbytes), array
            self._bind(slot.name, self._results[slot.name][0])
        self.recorded = ''
        self._work = self._recorded()

    def upload(self, array: np.ndarray) -> None:
        """Begin to bring the input to the GPU; the array may be changed afterwards."""
        if array.shape != self.input.shape:
            raise EngineError(f'tensorrt failed on a frame: it has shape {array.shape}, want '
                              f'{self.input.shape}')
        self._staging[...] = array
        self._device.upload(self._staging, self.address)

    def enqueue(self) -> None:
        """Begin the work of a frame whose input is on its way, and bring its outputs back."""
        self._work()

    def outputs(self) -> dict[str, np.ndarray]:
        """Wait for the work; return copies of the outputs."""
        self._device.wait()
        return {name: array.copy() for name, (_, array) in self._results.items()}

    def _bind(self, name: str, address: int) -> None:
        if not self._context.set_tensor_address(name, address):
            raise EngineError(f'TensorRT does not take the buffer of {name}: build the engine '
                              'again')

    def _each(self) -> None:
        if not self._context.execute_async_v3(self._device.stream):
            self._device.wait()   # says so where the GPU is lost
            raise EngineError('tensorrt failed on a frame: start again, and check nvidia-smi')
        for address, array in self._results.values():
            self._device.download(address, array)

    def _recorded(self) -> Callable[[], None]:
        self.upload(np.zeros(self.input.shape, self.input.dtype))
        for _ in range(WARM_UP):
            self._each()
            self._device.wait()
        try:
            work = self._device.record(self._each)
        except LostError:
            raise
        except EngineError as error:  # slower, but the same
            self.recorded = f'no CUDA graph ({error})'
            return self._each
        self.recorded = 'CUDA graph'
        return work
