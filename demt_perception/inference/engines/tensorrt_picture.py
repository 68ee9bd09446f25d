"""The way of pictures to TensorRT's network: a small plan for each size of them, built apart.

TensorRT's builder takes a gigabyte and seconds to tens of seconds. A node has neither to spare
when a picture of another size comes: the CPU prepares its pictures until another process has built
their plan, and for good where there is none to be had.
"""

from collections.abc import Sequence
import logging
import time
from typing import Any

import numpy as np

from demt_perception.inference.apart import cache_is_on, run_apart, Say, serve
from demt_perception.inference.engines import (
    BusyError,
    EngineError,
    LostError,
    NotBuiltError,
)
from demt_perception.inference.engines.building import Build
from demt_perception.inference.engines.cuda import Device
from demt_perception.inference.engines.picture import picture_graph, SIZES
from demt_perception.inference.engines.tensorrt_plan import load_plan
from demt_perception.inference.engines.tensorrt_run import Runner
from demt_perception.inference.preprocess import Preprocessor
from demt_perception.inference.spare_threads import Work
from demt_perception.model_card import ModelCard

PAUSE = 300.0
"""Seconds until a plan for which the builder lacked memory is tried again."""

MOST_OFF = 3.0
"""Grey levels that a plan may be off the CPU's: that one's rounding makes up to 1.8, measured with
four halvings, and the least of what was tried wrong, a resize off the centres of pixels, 7.6."""

REMEDY = 'start again to have it tried once more'


class Pictures:
    """Brings pictures to the GPU and makes the network's input of them there."""

    def __init__(self, trt: Any, device: Device, network: Runner, card: ModelCard) -> None:
        """Keep what runs the network, and the card's mean and deviation.

        Args:
            trt: the module ``tensorrt``.
            device: the network's.
            network: whose input is to be filled.
            card: of the model.
        """
        self._trt = trt
        self._gpu = device
        self._network: Runner | None = network
        self._card = card
        self._runners: dict[tuple[int, ...], Runner] = {}
        self._left: set[tuple[int, ...]] = set()    # to the CPU
        self._asked: dict[tuple[int, ...], str] = {}   # of the other process: what came of it
        self._pause_ends = 0.0
        self._building: Work | None = None
        self._size = network.input.shape[2], network.input.shape[3]
        self._on_cpu = Preprocessor(card, self._size)

    def ready(self, shape: tuple[int, ...]) -> bool:
        """Tell whether pictures of this shape are taken at once; see ``PicturePath``."""
        return shape in self._runners or self._is_for_cpu(shape)

    def __call__(self, bgr: np.ndarray) -> Any:
        """Return the engine's input, valid until the next call, made of a uint8 HxWx3 picture.

        Raises:
            EngineError: the GPU failed.
        """
        if self._network is None:
            raise EngineError('the engine is closed; create another')
        self._gpu.make_current()
        runner = self._runners.get(bgr.shape) or self._prepared(bgr.shape, self._network)
        if runner is None:
            return self._on_cpu(bgr)
        runner.upload(bgr[None])
        runner.enqueue()
        return self._network.input

    def close(self) -> None:
        """Free what was prepared; what is being built ends within a second."""
        self._network = None
        self._runners.clear()

    def _is_for_cpu(self, shape: tuple[int, ...]) -> bool:
        """Tell whether these are the CPU's now: for good, or while something is being built."""
        return shape in self._left or len(self._runners) >= SIZES or (
            time.monotonic() < self._pause_ends) or (
            self._building is not None and self._building.is_alive())

    def _prepared(self, shape: tuple[int, ...], network: Runner) -> Runner | None:
        if self._is_for_cpu(shape):
            return None
        graph = _graph(shape, self._size, self._card.mean, self._card.std)
        order = Build(only_cached=cache_is_on())
        try:
            with self._gpu.all_or_nothing():
                built, _ = load_plan(self._trt, self._gpu, graph, (1, *shape), 'f32', order)
                runner = Runner(self._trt, built, self._gpu, (1, *shape), network.address)
                self._check(runner, network)
            self._runners[shape] = runner
            return runner
        except LostError:
            raise
        except NotBuiltError:
            if shape in self._asked:
                self._leave(shape, 'what another process built for them is not found in the cache '
                            f'({self._asked[shape]}); {REMEDY}')
            else:
                self._asked[shape] = ''
                self._building = Work(self._build, shape, name='prepare_pictures')
                self._building.start()
        except EngineError as error:
            self._leave(shape, f'{error}')
        return None

    def _check(self, runner: Runner, network: Runner) -> None:
        """Refuse a plan that makes something else of a picture than the CPU does.

        Nobody would see it from the outputs: they stay close, and no engine is compared on it.
        """
        noise = np.random.default_rng(0).integers(0, 256, runner.input.shape[1:], np.uint8)
        runner.upload(noise[None])
        runner.enqueue()
        seen = np.empty(network.input.shape, network.input.dtype)
        self._gpu.download(network.address, seen)
        self._gpu.wait()
        off = np.abs(seen - self._on_cpu(noise)).max((0, 2, 3)) * self._card.std
        if not off.max() <= MOST_OFF:   # NaN, too
            raise EngineError(
                f"TensorRT's are off by {off.max():.0f} grey levels, want at most {MOST_OFF:g}: "
                'update TensorRT and the driver')

    def _build(self, shape: tuple[int, ...]) -> None:
        try:
            self._asked[shape] = run_apart(
                __name__, {'shape': shape, 'size': self._size, 'mean': self._card.mean,
                           'std': self._card.std}, lambda line: None,
                lambda: self._network is not None, REMEDY)
        except BusyError as error:
            self._pause_ends = time.monotonic() + PAUSE
            del self._asked[shape]
            self._say(shape, f'for {PAUSE:g} s: {error}')
        except Exception as error:
            if self._network is not None:
                self._leave(shape, f'{error}')

    def _leave(self, shape: tuple[int, ...], why: str) -> None:
        self._left.add(shape)
        self._say(shape, why)

    def _say(self, shape: tuple[int, ...], why: str) -> None:
        logging.getLogger(__name__).warning(
            f'pictures of {shape[1]}x{shape[0]} are prepared on the CPU: {why}')


def build_plan(order: dict[str, Any], progress: Say) -> str:
    """Build, in the other process, what makes pictures of one size ready; tell how it is kept."""
    import tensorrt as trt

    shape = tuple(order['shape'])
    device = Device()
    try:
        _, kept = load_plan(
            trt, device, _graph(shape, order['size'], order['mean'], order['std']),
            (1, *shape), 'f32', Build(progress=progress))
        return kept
    finally:
        device.close()


def _graph(shape: Sequence[int], size: Sequence[int], mean: Sequence[float],
           std: Sequence[float]) -> bytes:
    return picture_graph((shape[0], shape[1]), (size[0], size[1]), mean, std)


if __name__ == '__main__':
    serve(build_plan)
