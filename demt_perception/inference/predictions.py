"""All predictions of one frame, each computed when it is first asked for."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
import time
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

import numpy as np

from demt_perception.inference import colors, postprocess
from demt_perception.inference.resize import Size
from demt_perception.model_card import ModelCard

T = TypeVar('T')

UNLABELLED = 255
"""Class id of a pixel without a class."""


class Maps(Protocol):
    """What makes maps of the size that is asked for of small ones.

    ``postprocess`` on the CPU, which says what each does; ``engines.torch_maps`` where the engine
    is on a GPU.
    """

    def nearest(self, image: np.ndarray, size: Size) -> np.ndarray:
        """Return ids at another size."""

    def linear(self, image: np.ndarray, size: Size) -> np.ndarray:
        """Return anything else at another size."""

    def probability(self, values: np.ndarray, size: Size) -> np.ndarray:
        """See ``postprocess.probability``."""

    def depth(self, small: np.ndarray, size: Size) -> np.ndarray:
        """See ``postprocess.depth``."""

    def share_color(self, share: np.ndarray, size: Size) -> np.ndarray:
        """See ``postprocess.share_color``."""

    def normals(self, raw: np.ndarray, size: Size) -> np.ndarray:
        """See ``postprocess.normals``."""

    def normals_color(self, raw: np.ndarray, size: Size) -> np.ndarray:
        """See ``postprocess.normals_color``."""


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
        tasks: task names that were predicted.
        focal_assumed: True where depth rests on the card's assumed field of view.
        timings: seconds by stage: preprocess, engine, then each output as accessed.
        depth_scale: focal length at the network's input over the card's: the network's depth is
            multiplied by it.
        input_size: (height, width) of the network's input.
    """

    def __init__(
        self, card: ModelCard, outputs: dict[str, np.ndarray], bgr: np.ndarray,
        size: tuple[int, int], depth_scale: float, focal_assumed: bool,
        timings: dict[str, float], input_size: tuple[int, int], maps: Maps = postprocess,
    ) -> None:
        """Take over the small network outputs (no batch axis); ``Predictor`` calls this."""
        self._make = maps
        self.card = card
        self.size = size
        self.tasks = card.tasks
        self.focal_assumed = focal_assumed
        self.timings = timings
        self.image = bgr
        self._outputs = outputs
        self.depth_scale = depth_scale
        self.input_size = input_size
        self._correction = 1.0
        self._shown: np.ndarray | None = None

    def keep(self, card: ModelCard) -> None:
        """Count what is not on a card, cut from this model's, as not predicted."""
        self.card = card
        self.tasks = card.tasks

    def correct_depth(self, factor: float) -> None:
        """Multiply depth and its uncertainty by a factor of this camera; before any is made."""
        self._correction = factor

    def show_only(self, classes: Iterable[int]) -> None:
        """Count pixels of other classes than these ids as unlabelled; before anything is made.

        Their id is 255, their confidence 0, their colour black.
        """
        self._shown = np.zeros(256, bool)
        self._shown[list(classes)] = True

    @cached_property
    def semantic(self) -> np.ndarray:
        """Class ids, HxW uint8; names and colours are in the card; 255 is unlabelled."""
        return self._timed('semantic', self._make.nearest, self._small_classes, self.size)

    @cached_property
    def confidence(self) -> np.ndarray:
        """Probability of the semantic class, HxW uint8 0..255; calibrated: see the card."""
        made = self._timed(
            'confidence', self._make.probability, self._raw('confidence'), self.size)
        if self._shown is not None:
            made[self.semantic == UNLABELLED] = 0
        return made

    @cached_property
    def semantic_color(self) -> np.ndarray:
        """Class colours, HxWx3 uint8 RGB."""
        return self._timed('semantic_color', self._make_class_color, self._small_classes,
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
        return self._timed('depth', self._make.depth, small, self.size)

    @cached_property
    def depth_uncertainty(self) -> np.ndarray:
        """Expected absolute error of ``depth`` in metres, HxW float32; NaN where depth is."""
        small = self._small_uncertainty
        return self._timed('depth_uncertainty', self._make.depth, small, self.size)

    @cached_property
    def depth_uncertainty_color(self) -> np.ndarray:
        """Uncertainty as a share of depth, white is 50 % and more, HxWx3 uint8 RGB.

        Where depth is invalid it is blue.
        """
        share = self._small_uncertainty / self._small_depth
        return self._timed('depth_uncertainty_color', self._make.share_color, share, self.size)

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
        return self._timed('normals', self._make.normals, self._small_normals, self.size)

    @cached_property
    def normals_color(self) -> np.ndarray:
        """Normals as colours (n + 1) / 2, so grey without a surface, HxWx3 uint8 RGB."""
        return self._timed(
            'normals_color', self._make.normals_color, self._small_normals, self.size)

    @cached_property
    def boundary(self) -> np.ndarray:
        """Probability of an object boundary, HxW uint8 0..255."""
        return self._timed('boundary', self._make.probability, self._raw('boundary'), self.size)

    @cached_property
    def human_parts(self) -> np.ndarray:
        """Part ids, HxW uint8: see ``class_lists.HUMAN_PARTS``; 0 is no human."""
        return self._timed('human_parts', self._make.nearest, self._raw('human_parts'), self.size)

    @cached_property
    def human_parts_color(self) -> np.ndarray:
        """Part colours, black where no human is, HxWx3 uint8 RGB."""
        return self._timed('human_parts_color', self._make_class_color, self._raw('human_parts'),
                           colors.parts_table())

    @cached_property
    def saliency(self) -> np.ndarray:
        """Probability that a pixel belongs to what draws the eye, HxW uint8 0..255."""
        return self._timed('saliency', self._make.probability, self._raw('saliency'), self.size)

    @property
    def maps(self) -> Mapping[str, np.ndarray]:
        """What the graph gave, by output, small and as it is: read only. For the self-check.

        Also of tasks that were run and are not in ``tasks``.
        """
        return MappingProxyType(self._outputs)

    def sheet(self) -> np.ndarray:
        """Return one labelled picture of everything, HxWx3 uint8 **BGR**."""
        from demt_perception.inference.sheet import make_sheet
        return make_sheet(self)

    @cached_property
    def _small_classes(self) -> np.ndarray:
        ids = self._raw('semantic')
        return ids if self._shown is None else np.where(
            self._shown[ids], ids, np.uint8(UNLABELLED))

    @property
    def _small_depth(self) -> np.ndarray:
        self._raw('depth')
        return self._surface

    @cached_property
    def _surface(self) -> np.ndarray:
        """Small depth, also where it only says where there is a surface: ``Task.masked_by``."""
        return postprocess.valid_depth(
            self._outputs['depth'], self.depth_scale * self._correction, self.card.depth_range)

    @cached_property
    def _small_uncertainty(self) -> np.ndarray:
        # Scaled as depth is: the share that it may be off by does not depend on the camera.
        small = self._raw('depth_uncertainty') * np.float32(
            self.depth_scale * self._correction)
        return np.where(np.isnan(self._small_depth), np.float32(np.nan), small)

    @cached_property
    def _small_normals(self) -> np.ndarray:
        raw = self._raw('normals')
        return postprocess.surface_normals(
            raw, self._surface) if 'depth' in self._outputs else raw

    def _make_class_color(self, ids: np.ndarray, table: np.ndarray) -> np.ndarray:
        return self._make.nearest(colors.colorize(ids, table), self.size)

    def _make_depth_color(self, small: np.ndarray) -> np.ndarray:
        index = colors.depth_index(small, self.card.depth_range)
        color = colors.colorize(index, colors.depth_table())
        return self._make.linear(color, self.size)

    def _raw(self, output: str) -> np.ndarray:
        if output not in self._outputs or output not in self.card.outputs:
            raise MissingOutputError(
                f'model {self.card.name} has no output {output!r} here: its tasks '
                f'are {", ".join(self.tasks)}; ask for it, or use a model that was trained for it')
        return self._outputs[output]

    def _timed(self, stage: str, function: Callable[..., T], *args: Any) -> T:
        start = time.perf_counter()
        result = function(*args)
        self.timings[stage] = time.perf_counter() - start
        return result
