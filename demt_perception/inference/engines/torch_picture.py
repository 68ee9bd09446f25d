"""Pictures to the network's input with torch, on the device that the network runs on."""

import numpy as np
import torch
from torch import Tensor

from demt_perception.inference.engines.picture import picture_graph
from demt_perception.inference.engines.torch_graph import convert
from demt_perception.model_card import ModelCard


class TorchPicture:
    """Uploads, resizes and normalises pictures into one tensor, the engine's input."""

    def __init__(self, image: Tensor, card: ModelCard) -> None:
        """Keep the 1x3xhxw tensor to fill, and the card's mean and deviation."""
        self._image = image
        self._card = card
        self._picture = self._staging = torch.empty(0)

    def __call__(self, bgr: np.ndarray) -> Tensor:
        """Return the engine's input, valid until the next call, made of a uint8 HxWx3 picture."""
        with torch.inference_mode():
            if self._staging.shape != bgr.shape:
                self._prepare(bgr.shape)
            self._staging.numpy()[...] = bgr
            self._picture.copy_(self._staging[None], non_blocking=True)
            self._image.copy_(self._convert(self._picture)[0])
        return self._image

    def _prepare(self, shape: tuple[int, ...]) -> None:
        height, width = self._image.shape[2:]
        graph = picture_graph(
            (shape[0], shape[1]), (height, width), self._card.mean, self._card.std)
        device = self._image.device
        self._convert = convert(graph, (1, *shape), dtype=torch.uint8).to(device)
        self._staging = torch.empty(shape, dtype=torch.uint8, pin_memory=device.type == 'cuda')
        self._picture = torch.empty((1, *shape), dtype=torch.uint8, device=device)
