"""All predictions of one frame, each computed when it is first asked for."""

from collections.abc import Callable
from functools import cached_property
import time
from typing import Any, TypeVar

import numpy as np

from demt_perception.inference import colors, postprocess
from demt_perception.inference.resize import linear, nearest
from demt_perception.model_card import ModelCard

T = TypeVar('T')


class MissingOutputError(AttributeError):
    """The model does not predict this output."""


class Predictions:
    """A lazy view of one frame: the network ran once, each output is made on first access.

    Every output has the size ``size`` and is cached; who does not ask does not pay. Safe to use
    from another thread than the one that runs the next ``predict``, one thread at a time. Keeps
    the camera image for ``overlay`` and ``sheet``: do not overwrite it while they are wanted.

    Attributes:
        card: the model's card.
        size: (height, width) of the outputs.
        tasks: task names that this model predicts.
        focal_assumed: True where depth rests on the card's assumed field of view.
        timings: seconds by stage: preprocess, engine, then each output as accessed.
    """

    def __init__(
        self, card: ModelCard, outputs: dict[str, np.ndarray], bgr: np.ndarray,
        size: tuple[int, int], depth_scale: float, focal_assumed: bool,
        timings: dict[str, float],
    ) -> None:
        """Take over the small network outputs (no batch axis); ``Predictor`` calls this."""
        self.card = card
        self.size = size
        self.tasks = card.tasks
        self.focal_assumed = focal_assumed
        self.timings = timings
        self.image = bgr
        self._outputs = outputs
        self._depth_scale = depth_scale

    @cached_property
    def semantic(self) -> np.ndarray:
        """Class ids, HxW uint8; names and colours are in the card."""
        return self._timed('semantic', nearest, self._raw('semantic'), self.size)

    @cached_property
    def confidence(self) -> np.ndarray:
        """Probability of the semantic class, HxW uint8 0..255."""
        return self._timed(
            'confidence', postprocess.probability, self._raw('confidence'), self.size)

    @cached_property
    def semantic_color(self) -> np.ndarray:
        """Class colours, HxWx3 uint8 RGB."""
        return self._timed('semantic_color', self._make_class_color, self._raw('semantic'),
                           colors.class_table(self.card))

    @cached_property
    def overlay(self) -> np.ndarray:
        """The camera image tinted with the class colours, HxWx3 uint8 RGB."""
        color, ids = self.semantic_color, self.semantic
        return self._timed('overlay', postprocess.overlay, self.image, color, ids)

    @cached_property
    def depth(self) -> np.ndarray:
        """Distance along Z in metres, HxW float32; NaN is invalid (REP 117, REP 118)."""
        small = self._small_depth
        return self._timed('depth', postprocess.depth, small, self.size)

    @cached_property
    def depth_color(self) -> np.ndarray:
        """Depth on a logarithmic colour scale, near is warm, invalid black, HxWx3 uint8 RGB."""
        small = self._small_depth
        return self._timed('depth_color', self._make_depth_color, small)

    @cached_property
    def normals(self) -> np.ndarray:
        """Unit surface normals, HxWx3 float32, camera optical frame (REP 103): a floor is -y.

        Zero where there is no surface: in the sky and beyond the range of depth.
        """
        return self._timed('normals', postprocess.normals, self._small_normals, self.size)

    @cached_property
    def normals_color(self) -> np.ndarray:
        """Normals as colours (n + 1) / 2, so grey without a surface, HxWx3 uint8 RGB."""
        return self._timed(
            'normals_color', postprocess.normals_color, self._small_normals, self.size)

    @cached_property
    def boundary(self) -> np.ndarray:
        """Probability of an object boundary, HxW uint8 0..255."""
        return self._timed('boundary', postprocess.probability, self._raw('boundary'), self.size)

    @cached_property
    def human_parts(self) -> np.ndarray:
        """Part ids, HxW uint8: see ``class_lists.HUMAN_PARTS``; 0 is no human."""
        return self._timed('human_parts', nearest, self._raw('human_parts'), self.size)

    @cached_property
    def human_parts_color(self) -> np.ndarray:
        """Part colours, black where no human is, HxWx3 uint8 RGB."""
        return self._timed('human_parts_color', self._make_class_color, self._raw('human_parts'),
                           colors.parts_table())

    @cached_property
    def saliency(self) -> np.ndarray:
        """Probability that a pixel belongs to what draws the eye, HxW uint8 0..255."""
        return self._timed('saliency', postprocess.probability, self._raw('saliency'), self.size)

    def sheet(self) -> np.ndarray:
        """Return one labelled picture of everything, HxWx3 uint8 **BGR**."""
        from demt_perception.inference.sheet import make_sheet
        return make_sheet(self)

    @cached_property
    def _small_depth(self) -> np.ndarray:
        return postprocess.valid_depth(
            self._raw('depth'), self._depth_scale, self.card.depth_range)

    @cached_property
    def _small_normals(self) -> np.ndarray:
        raw = self._raw('normals')
        return postprocess.surface_normals(
            raw, self._small_depth) if 'depth' in self._outputs else raw

    def _make_class_color(self, ids: np.ndarray, table: np.ndarray) -> np.ndarray:
        return nearest(colors.colorize(ids, table), self.size)

    def _make_depth_color(self, small: np.ndarray) -> np.ndarray:
        index = colors.depth_index(small, self.card.depth_range)
        color = colors.colorize(index, colors.depth_table())
        return linear(color, self.size)

    def _raw(self, output: str) -> np.ndarray:
        if output not in self._outputs:
            raise MissingOutputError(
                f'model {self.card.name} has no output {output!r}: its tasks are '
                f'{", ".join(self.tasks)}; use a model that was trained for it')
        return self._outputs[output]

    def _timed(self, stage: str, function: Callable[..., T], *args: Any) -> T:
        start = time.perf_counter()
        result = function(*args)
        self.timings[stage] = time.perf_counter() - start
        return result
