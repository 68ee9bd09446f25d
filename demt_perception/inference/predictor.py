"""The one path from a camera image to predictions."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
import math
from pathlib import Path
import threading
import time
from typing import Any

import numpy as np

from demt_perception.inference import postprocess
from demt_perception.inference.batching import batch_engine
from demt_perception.inference.cpu import default_threads
from demt_perception.inference.cutting import cut
from demt_perception.inference.engines import (
    create_engine,
    Engine,
    EngineError,
    MapsEngine,
    PictureEngine,
    PicturePath,
)
from demt_perception.inference.engines.building import Build
from demt_perception.inference.engines.precision import Trial
from demt_perception.inference.graph_file import read_graph
from demt_perception.inference.graph_outputs import needed_outputs, split_checked
from demt_perception.inference.input_size import check_input_size, fit_input_size
from demt_perception.inference.memory import return_freed_memory
from demt_perception.inference.models import find_model
from demt_perception.inference.pace import Pace
from demt_perception.inference.parity import Figure
from demt_perception.inference.predictions import Maps, Predictions
from demt_perception.inference.preprocess import (
    check_image,
    check_size,
    focal_at_input,
    Preprocessor,
)
from demt_perception.model_card import load_card


class Predictor:
    """A model loaded into an engine.

    Attributes:
        card: the model's card, with the tasks that are run.
        folder: the model's folder.
        engine: what runs it: ``name``, ``device``, ``precision``, ``reason``.
        input_size: (height, width) that images are resized to.
        pace: how long the engine takes for an image.
        first: whether it is at the first picture of a size, for which a GPU may have to be
            prepared: with TensorRT, and the cache off, by a build of tens of seconds.

    >>> predictor = Predictor('demt_driving_fast', engine='onnxruntime')
    >>> predictor.card.tasks
    ('semseg', 'depth', 'normals', 'edge')
    >>> street = np.full((360, 640, 3), 128, np.uint8)    # as cv2.imread gives it: BGR
    >>> result = predictor.predict(street, focal=(578, 575))
    >>> result.semantic.shape, result.depth.dtype, result.normals.shape
    ((360, 640), dtype('float32'), (360, 640, 3))
    >>> predictor.close()
    """

    def __init__(
        self, model: str | Path, engine: str = 'auto', threads: int = 0,
        input_size: Sequence[int] | None = None, image_size: tuple[int, int] | None = None,
        precision: str = 'auto', build: Build | None = None,
        tasks: Iterable[str] | None = None,
    ) -> None:
        """Verify and load a model, and check that it gives the outputs its card promises.

        Args:
            model: name of a model (see ``find_model``) or its folder.
            engine: ``auto`` or one of ``ENGINES``, see ``create_engine``.
            threads: CPU threads; 0 chooses.
            input_size: (height, width); None takes the card's, or that which suits `image_size`.
            image_size: (height, width) of the pictures to come, see ``fit_input_size``; those of
                another shape are taken, too, and stretched.
            precision: ``auto`` or one of ``PRECISIONS``.
            build: how the engine is built; its limits, mean and std are replaced by the card's.
            tasks: names of those to run, the rest is cut off the graph; None: all of the model's.

        Raises:
            ModelCardError: no such model, its card is wrong, or its graph is damaged.
            EngineError: the engine is unknown or missing, or the graph does not run as the card
                says.
            ValueError: the input size is not valid, or a task is not the model's.
        """
        self.folder = find_model(model)
        self._whole = load_card(self.folder)
        self.card = self._whole if tasks is None else self._whole.only(tasks)
        self._wanted = needed_outputs(self._whole, self.card.tasks)
        self._order = engine, threads
        self._image_size = image_size
        self._batch: Engine | None = None
        self._batch_size = 1
        if input_size is None and image_size is not None:
            input_size = fit_input_size(self.card, image_size)
        self.input_size = check_input_size(
            self.card, self.card.input_size if input_size is None else input_size)
        self._lock = threading.Lock()
        self.first = False
        self.engine: Engine = create_engine(
            engine, self._graph(), (1, 3, *self.input_size), threads,
            precision, self._checked(build or Build()))
        try:
            self._begin()
        except BaseException:   # nobody else can close it: a GPU's memory would stay taken
            self.engine.close()
            raise
        return_freed_memory()   # of building it: hundreds of MB

    def _begin(self) -> None:
        """Choose what goes before and after the engine, and run it once."""
        on_device = self.engine.preprocessor(self.card) if isinstance(
            self.engine, PictureEngine) else None
        self._preprocess: PicturePath = on_device or Preprocessor(self.card, self.input_size)
        self._maps: Maps = self.engine.postprocessor() or postprocess if isinstance(
            self.engine, MapsEngine) else postprocess
        self.pace = Pace()
        start = time.perf_counter()
        self._run(np.zeros((1, 3, *self.input_size), np.float32))
        self.pace.note(time.perf_counter() - start)

    def options_of(self, tasks: Iterable[str]) -> dict[str, Any]:
        """Return the arguments of another predictor, of some tasks, that calculates as this."""
        name, threads = self._like_this
        return {'model': self.folder, 'engine': name, 'threads': threads,
                'input_size': self.input_size, 'precision': self.engine.precision,
                'tasks': tuple(tasks)}

    @property
    def _like_this(self) -> tuple[str, int]:
        """Return the engine and threads, as ``create_engine`` takes them, of another like it."""
        engine, threads = self._order
        return self.engine.full_name if engine == 'auto' else engine, threads

    def warm_up(self) -> None:
        """Run a grey image through every stage, so that the first real frame is not slow.

        Of the size of the pictures to come. A GPU is prepared for each size: where it is not
        known, only the network runs, and no size is prepared that no camera sends.
        """
        size = self._image_size or self.input_size
        for _ in range(3):
            if self._image_size is None and not isinstance(self._preprocess, Preprocessor):
                with self._lock:
                    self._run(np.zeros((1, 3, *self.input_size), np.float32))
            else:
                self.predict(np.full((*size, 3), 128, np.uint8))

    def parity(self, build: Build) -> tuple[str, list[Figure]]:
        """Return what the engine is compared with, and how far off it is on the build's pictures.

        Raises:
            EngineError: onnxruntime is missing, or an engine failed.
        """
        trial = Trial(self._graph(), (1, 3, *self.input_size), default_threads(),
                      self._checked(build))
        with self._lock:
            figures = trial.figures(self.engine, lambda: self.engine)
        return trial.against, figures

    def time(self, runs: int) -> float:
        """Return the median seconds that the engine takes for one image."""
        image = np.zeros((1, 3, *self.input_size), np.float32)
        seconds = []
        with self._lock:
            for _ in range(runs):
                start = time.perf_counter()
                self.engine.run(image)
                seconds.append(time.perf_counter() - start)
        return float(np.median(seconds))

    def _checked(self, build: Build) -> Build:
        return replace(build, check=replace(
            build.check, mean=self.card.mean, std=self.card.std, limits={
                name: limit for name, limit in self._whole.limits.items()
                if name in self._wanted}))

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
        size, scale = self._geometry(bgr, focal, output_scale)
        with self._lock:
            start = time.perf_counter()
            image = self._prepare(bgr)
            middle = time.perf_counter()
            (outputs,) = self._run(image)
            end = time.perf_counter()
        self.pace.note(end - middle)
        return Predictions(self.card, outputs, bgr, size, scale, focal is None,
                           {'preprocess': middle - start, 'engine': end - middle},
                           self.input_size, self._maps)

    def _prepare(self, bgr: np.ndarray) -> Any:
        """Return the network's input of a picture."""
        self.first = not self._preprocess.ready(bgr.shape)
        try:
            return self._preprocess(bgr)
        finally:
            self.first = False

    @property
    def together(self) -> int:
        """Return how many images are run at once: see ``batch_with``."""
        return self._batch_size if self._batch is not None else 1

    def batch_with(self, count: int) -> str:
        """Prepare to run so many images at once, where that is faster; return one line why.

        Args:
            count: images, 2 and more.
        """
        with self._lock:
            if self._batch is not None:
                self._batch.close()
            if not isinstance(self._preprocess, Preprocessor):
                self._batch = None
                return 'one by one: pictures are prepared on the GPU, one at a time'
            self._batch, why = batch_engine(
                self._graph(), self.engine, count, self._like_this, self.input_size,
                self._checked(Build()))
            self._batch_size = count
        return why

    def predict_batch(
        self, images: Sequence[np.ndarray],
        focals: Sequence[tuple[float, float] | None] | None = None, output_scale: float = 1.0,
    ) -> list[Predictions]:
        """Run the network on several images: as many at once as ``batch_with`` has prepared for.

        The rest, and all where it has not, go one by one. Of a batch, ``timings`` holds each
        image's share.

        Args:
            images: see ``predict``; they may have different sizes.
            focals: one for each image; None: the card's field of view for all.
            output_scale: see ``predict``.

        Raises: see ``predict``.
        """
        focals = [None] * len(images) if focals is None else focals
        if len(focals) != len(images):
            raise ValueError(f'{len(focals)} focals for {len(images)} images, want one for each')
        whole = len(images) - len(images) % self._batch_size if self._batch is not None else 0
        made: list[Predictions] = []
        for first in range(0, whole, self._batch_size):
            some = slice(first, first + self._batch_size)
            made += self._predict_at_once(images[some], focals[some], output_scale)
        return made + [self.predict(image, focal, output_scale) for image, focal in zip(
            images[whole:], focals[whole:], strict=True)]

    def _predict_at_once(
        self, images: Sequence[np.ndarray], focals: Sequence[tuple[float, float] | None],
        output_scale: float,
    ) -> list[Predictions]:
        given = [self._geometry(bgr, focal, output_scale)
                 for bgr, focal in zip(images, focals, strict=True)]
        with self._lock:
            start = time.perf_counter()
            batch = np.empty((len(images), 3, *self.input_size), np.float32)
            for index, bgr in enumerate(images):
                batch[index] = self._preprocess(bgr)[0]  # one buffer, for every image anew
            middle = time.perf_counter()
            outputs = self._run(batch, self._batch)
            end = time.perf_counter()
        count = len(images)
        self.pace.note((end - middle) / count)
        return [Predictions(
            self.card, own, bgr, size, scale, focal is None,
            {'preprocess': (middle - start) / count, 'engine': (end - middle) / count},
            self.input_size, self._maps)
            for own, bgr, focal, (size, scale) in zip(outputs, images, focals, given, strict=True)]

    def _geometry(self, bgr: np.ndarray, focal: tuple[float, float] | None,
                  output_scale: float) -> tuple[tuple[int, int], float]:
        """Check what ``predict`` is given; return the outputs' size and the scale of depth."""
        check_image(bgr)
        height, width = bgr.shape[:2]
        if not (math.isfinite(output_scale) and output_scale > 0):
            raise ValueError(f'output_scale is {output_scale}, want a positive number')
        size = (round(height * output_scale), round(width * output_scale))
        check_size(*size, f'output at scale {output_scale}')
        focal_input = focal_at_input(
            focal, (height, width), self.input_size, self.card.assumed_hfov)
        return size, focal_input / self.card.focal

    def close(self) -> None:
        """Free the engine; no ``predict`` may follow."""
        with self._lock:
            self.engine.close()
            if self._batch is not None:
                self._batch.close()
            if isinstance(self._preprocess, Preprocessor):   # whoever keeps us keeps it not
                self._preprocess.free()
        return_freed_memory()

    def _graph(self) -> bytes:
        graph = read_graph(self.card, self.folder)
        if self._wanted.keys() == self._whole.outputs.keys():
            return graph
        try:
            return cut(graph, self._wanted)
        except ValueError as error:
            raise EngineError(f'{self.folder / self.card.onnx}: {error}; export the model again'
                              ) from error

    def _run(self, image: Any, engine: Engine | None = None) -> list[dict[str, np.ndarray]]:
        """Return the outputs of each image, without batch axis, checked; of ``self.engine``."""
        try:
            outputs = (engine or self.engine).run(image)
        except ValueError as error:   # of a library: the picture has been checked by now
            raise EngineError(f'engine {self.engine.name} failed: {error}') from error
        count = 1 if engine is None else len(image)
        return split_checked(outputs, count, self._wanted, self.card, self.engine)
