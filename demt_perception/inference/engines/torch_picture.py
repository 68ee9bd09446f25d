"""Pictures to the network's input with torch, on the device that the network runs on."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from demt_perception.inference.engines import EngineError
from demt_perception.inference.engines.cuda_errors import of_words
from demt_perception.inference.engines.picture import picture_graph, SIZES
from demt_perception.inference.engines.torch_graph import convert
from demt_perception.inference.preprocess import Preprocessor
from demt_perception.model_card import ModelCard


class _Path(NamedTuple):
    """What pictures of one size go through."""

    staging: Tensor   # pinned, in the host's memory
    picture: Tensor
    convert: Callable[[Tensor], tuple[Tensor, ...]]


class TorchPicture:
    """Uploads, resizes and normalises pictures into one tensor, the engine's input."""

    def __init__(self, image: Tensor, card: ModelCard) -> None:
        """Keep the 1x3xhxw tensor to fill, and the card's mean and deviation."""
        self._image: Tensor | None = image
        self._card = card
        self._paths: dict[tuple[int, ...], _Path] = {}
        self._on_cpu = Preprocessor(card, (image.shape[2], image.shape[3]))

    def ready(self, shape: tuple[int, ...]) -> bool:
        """Tell whether pictures of this shape are taken at once; see ``PicturePath``."""
        return shape in self._paths or len(self._paths) >= SIZES

    def __call__(self, bgr: np.ndarray) -> Any:
        """Return the engine's input, valid until the next call, made of a uint8 HxWx3 picture.

        Raises:
            EngineError: the GPU failed, or the engine is closed.
        """
        image = self._image
        if image is None:
            raise EngineError('the engine is closed; create another')
        path = self._paths.get(bgr.shape)
        if path is None and len(self._paths) >= SIZES:
            return self._on_cpu(bgr)
        try:
            with torch.inference_mode():
                if path is None:
                    path = self._paths[bgr.shape] = self._prepare(bgr.shape, image)
                path.staging.numpy()[...] = bgr
                path.picture.copy_(path.staging[None], non_blocking=True)
                image.copy_(path.convert(path.picture)[0])
        except RuntimeError as error:   # also what the last frame did to the GPU
            raise of_words(f'torch failed on a picture: {error}') from error
        return image

    def close(self) -> None:
        """Free what was prepared, and the engine's input, for the predictor still holds this."""
        self._image = None
        self._paths.clear()

    def _prepare(self, shape: tuple[int, ...], image: Tensor) -> _Path:
        height, width = image.shape[2:]
        graph = picture_graph(
            (shape[0], shape[1]), (height, width), self._card.mean, self._card.std)
        device = image.device
        return _Path(
            torch.empty(shape, dtype=torch.uint8, pin_memory=device.type == 'cuda'),
            torch.empty((1, *shape), dtype=torch.uint8, device=device),
            convert(graph, (1, *shape), dtype=torch.uint8).to(device))
