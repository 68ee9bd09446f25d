"""The few calls of NVIDIA's driver that running an engine takes.

The driver library is there wherever an NVIDIA GPU works, on a Jetson too, and its calls are the
same in every CUDA version: no package to install, none that must fit the driver. Its primary
context is the one that TensorRT, torch and cupy use.
https://docs.nvidia.com/cuda/cuda-driver-api
"""

from collections.abc import Callable, Iterator
import contextlib
import ctypes
from ctypes import byref, c_char_p, c_int, c_size_t, c_uint, c_void_p
from pathlib import Path
from typing import Any

import numpy as np

from demt_perception.inference.engines import BusyError, EngineError
from demt_perception.inference.engines.cuda_errors import of_code

LIBRARY = 'libcuda.so.1'
MAJOR, MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*
THIS_THREAD = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: others may allocate meanwhile
OWN_QUEUE = 1  # CU_STREAM_NON_BLOCKING: does not wait for the default stream

SIGNATURES: dict[str, list[Any]] = {
    'cuInit': [c_uint], 'cuDriverGetVersion': [c_void_p], 'cuDeviceGet': [c_void_p, c_int],
    'cuDeviceGetName': [c_char_p, c_int, c_int],
    'cuDeviceGetAttribute': [c_void_p, c_int, c_int],
    'cuDevicePrimaryCtxRetain': [c_void_p, c_int], 'cuCtxSetCurrent': [c_void_p],
    'cuMemAlloc_v2': [c_void_p, c_size_t], 'cuMemFree_v2': [c_void_p],
    'cuMemHostAlloc': [c_void_p, c_size_t, c_uint], 'cuMemFreeHost': [c_void_p],
    'cuMemcpyHtoDAsync_v2': [c_void_p, c_void_p, c_size_t, c_void_p],
    'cuMemcpyDtoHAsync_v2': [c_void_p, c_void_p, c_size_t, c_void_p],
    'cuStreamCreate': [c_void_p, c_uint], 'cuStreamSynchronize': [c_void_p],
    'cuStreamDestroy_v2': [c_void_p],
    'cuStreamBeginCapture_v2': [c_void_p, c_int], 'cuStreamEndCapture': [c_void_p, c_void_p],
    'cuGraphInstantiateWithFlags': [c_void_p, c_void_p, ctypes.c_ulonglong],
    'cuGraphLaunch': [c_void_p, c_void_p], 'cuGraphDestroy': [c_void_p],
    'cuGraphExecDestroy': [c_void_p], 'cuGetErrorString': [c_int, c_void_p],
}


class Device:
    """The first GPU that CUDA_VISIBLE_DEVICES leaves, with one stream of work.

    Everything made here is freed by ``close``. One thread at a time.

    Attributes:
        name: e.g. ``NVIDIA GeForce RTX 3060``.
        capability: (major, minor).
        driver: versions of CUDA that it speaks and of itself.
        stream: handle of the stream, for ``execute_async_v3``.
    """

    def __init__(self) -> None:
        """Take hold of the GPU.

        Raises:
            BusyError: there is no driver, or no GPU that it can use.
            EngineError: the driver is too old.
        """
        try:
            self._cuda = ctypes.CDLL(LIBRARY)
            for name, arguments in SIGNATURES.items():
                getattr(self._cuda, name).argtypes = arguments
        except (OSError, AttributeError) as error:
            # An old one stays old: nobody is to wait for it.
            raise (BusyError if isinstance(error, OSError) else EngineError)(
                f'no NVIDIA driver of CUDA 11.4 or newer ({error}): install it and check '
                'nvidia-smi, in a container start it with --gpus all (a Jetson: --runtime '
                'nvidia), or use another engine') from error
        self._undo: list[Callable[[], object]] = []
        self._closed = False
        self._call('cuInit', 0)
        device, version, context = c_int(), c_int(), c_void_p()
        self._call('cuDeviceGet', byref(device), 0)
        self._call('cuDriverGetVersion', byref(version))
        text = ctypes.create_string_buffer(256)
        self._call('cuDeviceGetName', text, len(text), device)
        self.name = text.value.decode(errors='replace')
        self.capability = self._attribute(device, MAJOR), self._attribute(device, MINOR)
        self.driver = f'CUDA {version.value} {_driver_release()}'.strip()
        self._call('cuDevicePrimaryCtxRetain', byref(context), device)
        # Not released: torch or another engine of this process may work in it as well.
        self._context = context
        self.make_current()
        stream = c_void_p()
        self._call('cuStreamCreate', byref(stream), OWN_QUEUE)
        self.stream = stream.value or 0
        self._undo.append(lambda: self._cuda.cuStreamDestroy_v2(self.stream))

    def make_current(self) -> None:
        """Let this thread use the GPU: frames may come from another one than made the engine."""
        if self._closed:  # what was allocated is gone
            raise EngineError('the engine is closed; create another')
        self._call('cuCtxSetCurrent', self._context)

    def memory(self, size: int) -> int:
        """Return the address of ``size`` bytes on the GPU."""
        address = c_void_p()
        self._call('cuMemAlloc_v2', byref(address), max(size, 1))
        self._undo.append(lambda: self._cuda.cuMemFree_v2(address))
        return address.value or 0

    def pinned(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return an array that the GPU reads and writes by itself; gone after ``close``."""
        count = int(np.prod(shape))
        size = max(count * dtype.itemsize, 1)
        address = c_void_p()
        self._call('cuMemHostAlloc', byref(address), size, 0)
        self._undo.append(lambda: self._cuda.cuMemFreeHost(address))
        content = memoryview((ctypes.c_ubyte * size).from_address(address.value or 0))
        return np.frombuffer(content, dtype, count).reshape(shape)

    def upload(self, array: np.ndarray, address: int) -> None:
        """Begin to copy a pinned array to the GPU."""
        self._call('cuMemcpyHtoDAsync_v2', address, array.ctypes.data, array.nbytes, self.stream)

    def download(self, address: int, array: np.ndarray) -> None:
        """Begin to copy to a pinned array."""
        self._call('cuMemcpyDtoHAsync_v2', array.ctypes.data, address, array.nbytes, self.stream)

    def wait(self) -> None:
        """Return when all that was begun is done."""
        self._call('cuStreamSynchronize', self.stream)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Return a function that does the same work on the GPU in one launch.

        ``work`` is called once; nothing of it runs until the function is called.

        Raises:
            EngineError: the work cannot be recorded; it can still be done call by call.
        """
        self._call('cuStreamBeginCapture_v2', self.stream, THIS_THREAD)
        graph, executable = c_void_p(), c_void_p()
        try:
            work()
        finally:  # else the stream would refuse all work from now on
            ended = self._cuda.cuStreamEndCapture(self.stream, byref(graph))
        self._check('cuStreamEndCapture', ended)
        try:
            self._call('cuGraphInstantiateWithFlags', byref(executable), graph, 0)
        finally:
            self._cuda.cuGraphDestroy(graph)
        self._undo.append(lambda: self._cuda.cuGraphExecDestroy(executable))
        return lambda: self._call('cuGraphLaunch', executable, self.stream)

    @contextlib.contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Free what was made inside where that ends with an error."""
        before = len(self._undo)
        try:
            yield
        except BaseException:
            self._free(before)
            raise

    def close(self) -> None:
        """Free everything; no other call may follow."""
        self._closed = True
        if self._undo:
            self._free(0)

    def _free(self, before: int) -> None:
        """Free all but the oldest, last made first; what the driver says of it is of no use."""
        self._cuda.cuCtxSetCurrent(self._context)
        self._cuda.cuStreamSynchronize(self.stream)
        while len(self._undo) > before:
            self._undo.pop()()

    def _attribute(self, device: c_int, which: int) -> int:
        value = c_int()
        self._call('cuDeviceGetAttribute', byref(value), which, device)
        return value.value

    def _call(self, name: str, *arguments: Any) -> None:
        self._check(name, getattr(self._cuda, name)(*arguments))

    def _check(self, name: str, code: int) -> None:
        if not code:
            return
        text = c_char_p()
        self._cuda.cuGetErrorString(code, byref(text))
        said = (text.value or b'unknown').decode(errors='replace')
        raise of_code(code, f'{name} failed: {said} ({code})', name == 'cuStreamSynchronize')


def _driver_release() -> str:
    """Return the driver's own version, or the Jetson's release; '' where neither is told."""
    for place in ('/sys/module/nvidia/version', '/etc/nv_tegra_release'):
        try:
            return Path(place).read_text(encoding='ascii', errors='replace').splitlines()[0]
        except (OSError, IndexError):
            continue
    return ''
