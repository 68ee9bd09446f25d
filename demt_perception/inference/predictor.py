"""The one path from a camera image to predictions."""

from collections.abc import Sequence
import math
from pathlib import Path
import threading
import time

import numpy as np

from demt_perception.inference.engines import create_engine, Engine, EngineError
from demt_perception.inference.external_data import has_external_data
from demt_perception.inference.models import find_model
from demt_perception.inference.predictions import Predictions
from demt_perception.inference.preprocess import (
    check_image,
    check_size,
    focal_at_input,
    Preprocessor,
)
from demt_perception.model_card import load_card, ModelCard, read_onnx
from demt_perception.tasks import get_tasks


class Predictor:
    """A model loaded into an engine.

    Attributes:
        card: the model's card.
        folder: the model's folder.
        engine: what runs it: ``name``, ``device``, ``precision``, ``reason``.
        input_size: (height, width) that images are resized to.
    """

    def __init__(
        self, model: str | Path, engine: str = 'auto', threads: int = 0,
        input_size: Sequence[int] | None = None,
    ) -> None:
        """Verify and load a model, and check that it gives the outputs its card promises.

        Args:
            model: name of a model (see ``find_model``) or its folder.
            engine: ``auto``, ``openvino`` or ``onnxruntime``.
            threads: CPU threads; 0 chooses.
            input_size: (height, width); None takes the card's.

        Raises:
            ModelCardError: no such model, its card is wrong, or its graph is damaged.
            EngineError: the engine is unknown or missing, or the graph does not run as the card
                says.
            ValueError: the input size is not valid.
        """
        self.folder = find_model(model)
        self.card = load_card(self.folder)
        self.input_size = _input_size(self.card, input_size)
        graph = _read_graph(self.card, self.folder)
        self._preprocess = Preprocessor(self.card, self.input_size)
        self._lock = threading.Lock()
        self.engine: Engine = create_engine(engine, graph, (1, 3, *self.input_size), threads)
        tasks = get_tasks(self.card.tasks)
        self._wanted = {name: kind for task in tasks for name, kind in task.outputs.items()}
        self._classes = {task.topic: task.channels or len(self.card.classes)
                         for task in tasks if task.kind == 'classes'}
        self._run(np.zeros((1, 3, *self.input_size), np.float32))

    def warm_up(self) -> None:
        """Run a grey image through every stage, so that the first real frame is not slow."""
        height, width = self.input_size
        for _ in range(3):
            self.predict(np.full((height, width, 3), 128, np.uint8))

    def predict(
        self, bgr: np.ndarray, focal: tuple[float, float] | None = None,
        output_scale: float = 1.0,
    ) -> Predictions:
        """Run the network on one image.

        Args:
            bgr: uint8 HxWx3, C-contiguous. The result keeps it: see ``Predictions``.
            focal: (fx, fy) in pixels of this image; None assumes the card's field of view.
            output_scale: size of the outputs relative to the image.

        Raises:
            ValueError: an argument is not as above.
            EngineError: the engine failed, or returned NaN or infinity.
        """
        check_image(bgr)
        height, width = bgr.shape[:2]
        if not (math.isfinite(output_scale) and output_scale > 0):
            raise ValueError(f'output_scale is {output_scale}, want a positive number')
        size = (round(height * output_scale), round(width * output_scale))
        check_size(*size, f'output at scale {output_scale}')
        focal_input = focal_at_input(
            focal, (height, width), self.input_size, self.card.assumed_hfov)
        with self._lock:
            start = time.perf_counter()
            image = self._preprocess(bgr)
            middle = time.perf_counter()
            outputs = self._run(image)
            end = time.perf_counter()
        return Predictions(
            self.card, outputs, bgr, size, focal_input / self.card.focal, focal is None,
            {'preprocess': middle - start, 'engine': end - middle})

    def close(self) -> None:
        """Free the engine; no ``predict`` may follow."""
        with self._lock:
            self.engine.close()

    def _run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs without their batch axis, each checked."""
        outputs = self.engine.run(image)
        for name, (shape, dtype) in self._wanted.items():
            value = outputs.get(name)
            if value is None or value.dtype != dtype or 0 in value.shape or not (
                    value.ndim == len(shape) + 2 and value.shape[:len(shape)] == shape):
                seen = 'missing' if value is None else f'{value.dtype} of shape {value.shape}'
                raise EngineError(
                    f'output {name!r} of model {self.card.name} is {seen}, want {dtype} of shape '
                    f'({", ".join(map(str, shape))}, h, w): export the model again')
            if value.dtype == np.float32 and not np.isfinite(value).all():
                raise EngineError(
                    f'engine {self.engine.name} returned NaN or infinity in output {name!r} '
                    f'({self.engine.precision}): try another engine, or report the image')
        for name, count in self._classes.items():
            if outputs[name].max() >= count:
                raise EngineError(
                    f'model {self.card.name} returned class {outputs[name].max()}, its card has '
                    f'{count} classes for output {name!r}: export the model again')
        return {name: outputs[name][0] for name in self._wanted}


def _read_graph(card: ModelCard, folder: Path) -> bytes:
    graph = read_onnx(card, folder)
    try:
        external = has_external_data(graph)
    except (ValueError, RecursionError) as error:
        raise EngineError(f'{folder / card.onnx}: {error}; export the model again') from error
    if external:
        raise EngineError(
            f'{folder / card.onnx} keeps weights in another file, which its SHA-256 does not '
            'cover: export it again as one file (external_data=False)')
    return graph


def _input_size(card: ModelCard, wanted: Sequence[int] | None) -> tuple[int, int]:
    sides = tuple(card.input_size if wanted is None else wanted)
    multiple = card.size_multiple
    if len(sides) != 2 or not all(0 < side <= 8192 and side % multiple == 0 for side in sides):
        raise ValueError(f'input_size is {sides}, want (height, width), two multiples of '
                         f'{multiple}, e.g. {card.input_size}')
    return int(sides[0]), int(sides[1])
