"""Several images in one run of the network, where that is faster than one after the other."""

from typing import Any

import numpy as np

from demt_perception.inference.cutting import batch_is_free
from demt_perception.inference.engines import create_engine, Engine, EngineError
from demt_perception.inference.engines.building import Build
from demt_perception.inference.engines.precision import SPEED_UP, speed_up


def batch_engine(graph: bytes, single: Engine, count: int, order: tuple[str, int],
                 size: tuple[int, int], build: Build) -> tuple[Engine | None, str]:
    """Return an engine that takes several images at once, and one line why; None: not worth it.

    Measured against one image after the other, in turn. A batch has to be clearly faster, for its
    first image waits until the last is done.

    Args:
        graph: ONNX.
        single: the loaded engine of one image, which nobody else is using.
        count: images in a batch.
        order: engine and threads, as of ``create_engine``.
        size: (height, width) of the input.
        build: how it is built and checked.
    """
    if not batch_is_free(graph):
        return None, 'one by one: the graph takes one image at a time, export the model again'
    shape = (count, 3, *size)
    engine = None
    try:
        engine = create_engine(order[0], graph, shape, order[1], single.precision, build)
        images = np.zeros(shape, np.float32)
        engine.run(images)
        ratio = speed_up(_OneByOne(single), engine, images)
    except BaseException as error:
        if engine is not None:
            engine.close()
        if not isinstance(error, EngineError):
            raise
        return None, f'one by one: {error}'
    said = f'{count} images at once are {ratio:.2f} times as fast as one by one'
    if ratio >= SPEED_UP:
        return engine, said
    engine.close()
    return None, f'one by one: {said}, want {SPEED_UP:g}'


class _OneByOne:
    """An engine of one image, fed with several: an ``Engine`` as far as ``speed_up`` goes."""

    def __init__(self, single: Engine) -> None:
        self.name, self.device = single.name, single.device
        self.full_name = single.full_name
        self.precision, self.reason = single.precision, single.reason
        self._single = single

    def run(self, image: np.ndarray) -> Any:
        for index in range(len(image)):
            outputs = self._single.run(image[index:index + 1])
        return outputs

    def close(self) -> None:
        pass
