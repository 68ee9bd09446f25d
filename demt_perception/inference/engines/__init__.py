"""Engines: each runs the same ONNX graph, behind one small protocol."""

import importlib
from typing import Any, NamedTuple, Protocol, runtime_checkable, TYPE_CHECKING

import numpy as np

from demt_perception.inference.cpu import default_threads, has_gpu
from demt_perception.inference.engines.building import Build, is_quantised
from demt_perception.model_card import ModelCard

if TYPE_CHECKING:
    from demt_perception.inference.predictions import Maps

INSTALL = {
    'openvino': 'pip install openvino',
    'onnxruntime': 'pip install onnxruntime',
    'tensorrt': 'pip install tensorrt onnx; on a Jetson apt-get install python3-libnvinfer, in a '
                'venv made with --system-site-packages',
    'torch': 'pip install torch onnx',
}
ENGINES = tuple(INSTALL)
"""Engine names."""

AUTO = ('openvino', 'onnxruntime')
"""Those that ``auto`` tries, in this order: OpenVINO measured fastest on CPUs."""

AUTO_GPU = ('tensorrt', 'onnxruntime:cuda', 'torch:cuda')
"""Those that it tries before, where there is an NVIDIA GPU: none of them has been measured yet."""

PRECISIONS = ('f32', 'bf16', 'f16', 'int8')
"""Types to calculate in; int8 is that of a graph that ``demt quantize`` made."""


class EngineError(RuntimeError):
    """An engine is missing, refuses the graph, or failed on a frame; the text says the remedy."""


class NotBuiltError(EngineError):
    """Only an engine that the cache has was asked for, and it has none."""


class BusyError(EngineError):
    """It may work at another time, and what was built is not at fault: out of GPU memory, say."""


LOST = 'the GPU is lost to this process'
"""What every ``LostError`` says, for those who have its words alone."""


class LostError(BusyError):
    """After this error of the GPU only another process can use it."""


BUSY = 'busy now'
"""What the reason of an engine says that was taken for want of a better one which is only busy."""


class Engine(Protocol):
    """A loaded graph, ready to run. One run at a time.

    Attributes:
        name: one of ``ENGINES``.
        device: the hardware's own name, e.g. of the processor.
        full_name: as ``create_engine`` takes it, with the device that was asked for or chosen by
            ``auto``; e.g. ``onnxruntime:cuda``.
        precision: one of ``PRECISIONS``: the type that it calculates in.
        reason: one line, why this engine, precision and number of threads.
    """

    name: str
    device: str
    full_name: str
    precision: str
    reason: str

    def run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Run the graph on a float32 1x3xHxW image; return fresh arrays by output name.

        Raises:
            EngineError: the engine failed.
        """

    def close(self) -> None:
        """Free the graph; no run may follow."""


class PicturePath(Protocol):
    """Makes the network's input of pictures where the engine runs, on a GPU."""

    def __call__(self, bgr: np.ndarray) -> Any:
        """Return what ``run`` takes, of a uint8 HxWx3 BGR picture."""

    def ready(self, shape: tuple[int, ...]) -> bool:
        """Tell whether pictures of this shape are taken at once; others take a while, once."""


@runtime_checkable
class PictureEngine(Engine, Protocol):
    """An engine that can make the network's input of a picture where it runs, on a GPU."""

    def preprocessor(self, card: ModelCard) -> PicturePath | None:
        """Return what takes the place of ``Preprocessor``. None: the CPU is to do it."""


@runtime_checkable
class MapsEngine(Engine, Protocol):
    """An engine that can make outputs at the size of the pictures where it runs, on a GPU."""

    def postprocessor(self) -> 'Maps | None':
        """Return what takes the place of ``postprocess``. None: the CPU is to do it."""


def create_engine(
    name: str, graph: bytes, shape: tuple[int, int, int, int], threads: int = 0,
    precision: str = 'auto', build: Build | None = None,
) -> Engine:
    """Load a graph into an engine.

    Args:
        name: one of ``ENGINES``, or ``auto`` for the first that works. ``onnxruntime:cuda`` and
            the like name the device, too: ``cpu``, ``cuda``, ``tensorrt`` of onnxruntime, ``cpu``
            and ``cuda`` of torch, ``cpu`` and ``gpu`` (Intel's) of openvino.
        graph: content of the ONNX file, which holds all its weights: see ``external_data.py``.
        shape: the one input shape that will be run, 1x3xHxW.
        threads: CPU threads; 0 chooses by ``default_threads``.
        precision: one of ``PRECISIONS``, or ``auto`` for the fastest whose outputs are within the
            limits.
        build: how it is built and checked.

    Raises:
        NotBuiltError: ``build.only_cached``, and the cache has none.
        BusyError: it, or with ``build.only_cached`` the one that ``auto`` wants, works at another
            time.
        LostError: another process has to try; whatever else ``auto`` could take.
        EngineError: an argument is not valid, the engine is not installed, refuses the graph or
            cannot calculate in the precision, or is too far off in it.
    """
    kind, _, device = name.partition(':')
    if name != 'auto' and kind not in ENGINES:
        raise EngineError(f'engine is {name!r}, want auto or one of {", ".join(ENGINES)}')
    if not 0 <= threads <= 1024:
        raise EngineError(f'threads is {threads}, want 0 (choose for me) to 1024')
    if precision != 'auto' and precision not in PRECISIONS:
        raise EngineError(
            f'precision is {precision!r}, want auto or one of {", ".join(PRECISIONS)}')
    quantised = is_quantised(graph)
    if precision == 'int8' and not quantised:
        raise EngineError('precision int8 needs a graph in int8: make one with demt quantize, and '
                          'give that model')
    order = Order(graph, shape, threads or default_threads(), 'auto' if quantised and (
        precision == 'int8') else precision, device, build or Build())
    if name != 'auto':
        return _load(kind, order, 'asked for by name')
    failures: list[str] = []
    for candidate in (*AUTO_GPU, *AUTO) if has_gpu() else AUTO:
        why = '; '.join(['fastest that works', *failures])
        kind, _, device = candidate.partition(':')
        try:
            return _load(kind, order._replace(device=device), why)
        except EngineError as error:
            failures.append(passed_over(candidate, error, order.build))
    raise EngineError('no engine works: ' + '; '.join(failures))


def passed_over(name: str, error: EngineError, build: Build) -> str:
    """Return why the next engine is tried; raise the error where this one is to be waited for.

    That is where it is to be built first, and where it would serve from the cache but is busy:
    another one would stay in its place. A lost GPU is lost to the next engine on it, too.
    """
    busy = isinstance(error, BusyError)
    if isinstance(error, NotBuiltError | LostError) or (busy and build.only_cached):
        raise error
    return f'not {name}, {BUSY}: {error}' if busy else f'not {name}: {error}'


class Order(NamedTuple):
    """What an engine is asked for: see ``create_engine``."""

    graph: bytes
    shape: tuple[int, int, int, int]
    threads: int
    precision: str
    device: str
    build: Build


def _load(name: str, order: Order, why: str) -> Engine:
    try:
        module = importlib.import_module(f'{__name__}.{name}')
    except Exception as error:  # a damaged or very old one raises whatever it likes
        raise EngineError(f'{name} cannot be imported ({error}): {INSTALL[name]}') from error
    try:
        engine: Engine = module.load_order(order, why)
    except EngineError:
        raise
    except Exception as error:  # of the library below: bindings without a driver raise TypeError
        raise EngineError(f'{name} cannot start ({type(error).__name__}: {error}): check its '
                          f'driver and version, or {INSTALL[name]}') from error
    engine.full_name = f'{name}:{order.device}' if order.device else name
    if is_quantised(order.graph):
        engine.precision = 'int8'
    return engine
