"""The way of pictures to TensorRT's network: a small plan for each size of them, built apart.

TensorRT's builder takes a gigabyte and seconds to tens of seconds. A node has neither to spare
when a picture of another size comes: the CPU prepares its pictures until another process has built
their plan, and for good where there is none to be had.
"""

from collections.abc import Sequence
import logging
from typing import Any

import numpy as np

from demt_perception.inference.apart import cache_is_on, run_apart, Say, serve
from demt_perception.inference.engines import EngineError, LostError, NotBuiltError
from demt_perception.inference.engines.building import Build
from demt_perception.inference.engines.cuda import Device
from demt_perception.inference.engines.picture import picture_graph, SIZES
from demt_perception.inference.engines.tensorrt_plan import load_plan
from demt_perception.inference.engines.tensorrt_run import Runner
from demt_perception.inference.preprocess import Preprocessor
from demt_perception.inference.spare_threads import Work
from demt_perception.model_card import ModelCard


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
        self._asked: set[tuple[int, ...]] = set()   # of the other process
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
        """Free what was prepared."""
        self._network = None
        self._runners.clear()

    def _is_for_cpu(self, shape: tuple[int, ...]) -> bool:
        """Tell whether these are the CPU's now: for good, or while something is being built."""
        return shape in self._left or len(self._runners) >= SIZES or (
            self._building is not None and self._building.is_alive())

    def _prepared(self, shape: tuple[int, ...], network: Runner) -> Runner | None:
        if self._is_for_cpu(shape):
            return None
        graph = _graph(shape, self._size, self._card.mean, self._card.std)
        order = Build(only_cached=cache_is_on())
        try:
            with self._gpu.all_or_nothing():
                built, _ = load_plan(self._trt, self._gpu, graph, (1, *shape), 'f32', order)
                self._runners[shape] = Runner(
                    self._trt, built, self._gpu, (1, *shape), network.address)
            return self._runners[shape]
        except LostError:
            raise
        except NotBuiltError as error:
            if shape in self._asked:
                self._leave(shape, error)
            else:
                self._asked.add(shape)
                self._building = Work(self._build, shape, name='prepare_pictures')
                self._building.start()
        except EngineError as error:
            self._leave(shape, error)
        return None

    def _build(self, shape: tuple[int, ...]) -> None:
        try:
            run_apart(__name__, {'shape': shape, 'size': self._size, 'mean': self._card.mean,
                                 'std': self._card.std}, lambda line: None)
        except EngineError as error:
            self._leave(shape, error)

    def _leave(self, shape: tuple[int, ...], error: EngineError) -> None:
        self._left.add(shape)
        logging.getLogger(__name__).warning(
            f'pictures of {shape[1]}x{shape[0]} are prepared on the CPU: {error}')


def build_plan(order: dict[str, Any], progress: Say) -> None:
    """Build, in the other process, what makes pictures of one size ready, and keep it."""
    import tensorrt as trt

    shape = tuple(order['shape'])
    device = Device()
    try:
        load_plan(trt, device, _graph(shape, order['size'], order['mean'], order['std']),
                  (1, *shape), 'f32', Build(progress=progress))
    finally:
        device.close()


def _graph(shape: Sequence[int], size: Sequence[int], mean: Sequence[float],
           std: Sequence[float]) -> bytes:
    return picture_graph((shape[0], shape[1]), (size[0], size[1]), mean, std)


if __name__ == '__main__':
    serve(build_plan)
