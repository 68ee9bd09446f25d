"""Outputs at the size that is asked for, made with torch on a GPU.

The same functions as those of ``postprocess.py``: the small maps, tens of kilobytes, go up again,
for the CPU has checked and masked them; what is large is made on the GPU and comes back by pinned
memory, once. Values differ from the CPU's by rounding alone. Where the GPU has no memory left for
one, the CPU makes that one.
"""

from collections.abc import Callable
import functools
import logging

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from demt_perception.inference import postprocess
from demt_perception.inference.engines import BusyError
from demt_perception.inference.engines.cuda_errors import of_words
from demt_perception.inference.postprocess import SHORTEST
from demt_perception.inference.resize import Size

Make = Callable[['TorchMaps', np.ndarray, Size], np.ndarray]


def _or_on_cpu(make: Make) -> Make:
    """Have ``postprocess`` do it where there is no memory for it, on the GPU or pinned."""
    @functools.wraps(make)
    def made(self: 'TorchMaps', small: np.ndarray, size: Size) -> np.ndarray:
        try:
            return make(self, small, size)
        except RuntimeError as error:
            if type(of_words(str(error))) is not BusyError:
                raise
            self._warn(str(error))
        on_cpu: np.ndarray = getattr(postprocess, make.__name__)(small, size)
        return on_cpu
    return made


class TorchMaps:
    """Makes large maps on one device, on a stream of its own; one thread at a time."""

    def __init__(self, device: str | torch.device) -> None:
        """Take a device, a GPU or, for tests, the CPU."""
        self._device = torch.device(device)
        self._places: dict[tuple[Size, Size], list[Tensor]] = {}
        self._stream = torch.cuda.Stream(self._device) if self._device.type == 'cuda' else None
        self._warned = False

    def _warn(self, why: str) -> None:
        """Say once that the CPU made an output."""
        if not self._warned:
            logging.getLogger(__name__).warning(
                f'outputs are made on the CPU as long as the GPU has no memory for them: {why}')
        self._warned = True

    @_or_on_cpu
    def linear(self, image: np.ndarray, size: Size) -> np.ndarray:
        """Return the image, hxw or hxwxc, at ``size``, interpolated."""
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            large = _linear(self._up(image).float(), size)
            if image.dtype == np.uint8:
                large = large.round_().to(torch.uint8)
            return self._down(large, image.ndim)

    @_or_on_cpu
    def nearest(self, image: np.ndarray, size: Size) -> np.ndarray:
        """Return the image, hxw or hxwxc, at ``size`` without any new value."""
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            return self._down(self._nearest(self._up(image), size), image.ndim)

    def probability(self, values: np.ndarray, size: Size) -> np.ndarray:
        """See ``postprocess.probability``."""
        return self.linear(postprocess.levels(values), size)

    def share_color(self, share: np.ndarray, size: Size) -> np.ndarray:
        """See ``postprocess.share_color``."""
        return self.linear(postprocess.greys(share), size)

    def normals_color(self, raw: np.ndarray, size: Size) -> np.ndarray:
        """See ``postprocess.normals_color``."""
        return self.linear(postprocess.directions(raw), size)

    @_or_on_cpu
    def depth(self, small: np.ndarray, size: Size) -> np.ndarray:
        """See ``postprocess.depth``."""
        invalid = np.isnan(small)
        if not invalid.any():
            return self.linear(small, size)
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            large = _linear(self._up(postprocess.grown(small, invalid)), size)
            hole = self._nearest(self._up(invalid.view(np.uint8)), size)
            return self._down(large.masked_fill_(hole != 0, torch.nan), 2)

    @_or_on_cpu
    def normals(self, raw: np.ndarray, size: Size) -> np.ndarray:
        """See ``postprocess.normals``."""
        nowhere = postprocess.no_direction(raw)
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            large = _linear(self._up(np.moveaxis(raw, 0, 2)), size)
            large /= large.norm(dim=1, keepdim=True).clamp_min_(SHORTEST)
            if nowhere.any():
                large.masked_fill_(self._nearest(self._up(nowhere), size) != 0, 0)
            return self._down(large, 3)

    def _nearest(self, image: Tensor, size: Size) -> Tensor:
        shape = image.shape[2], image.shape[3]
        if (shape, size) not in self._places:
            # OpenCV's own: where a pixel lies half-way, it and torch do not agree.
            self._places[shape, size] = [torch.from_numpy(postprocess.nearest(
                np.arange(old, dtype=np.float32)[:, None], (new, 1))[:, 0].astype(np.int64)).to(
                    self._device) for old, new in zip(shape, size, strict=True)]
        rows, columns = self._places[shape, size]
        return image[:, :, rows[:, None], columns]

    def _up(self, image: np.ndarray) -> Tensor:
        """Return an hxw or hxwxc array as a 1xcxhxw tensor on the device."""
        planes = image[None] if image.ndim == 2 else np.moveaxis(image, 2, 0)
        return torch.from_numpy(np.ascontiguousarray(planes))[None].to(self._device)

    def _down(self, large: Tensor, dimensions: int) -> np.ndarray:
        """Return a 1xcxHxW tensor as a new HxW or HxWxc array."""
        turned = large[0, 0] if dimensions == 2 else large[0].movedim(0, 2)
        if self._stream is None:
            return turned.contiguous().numpy()
        # Pinned: the GPU writes it itself; torch takes the block back when the array is dropped.
        array = torch.empty(turned.shape, dtype=turned.dtype, pin_memory=True)
        array.copy_(turned.contiguous(), non_blocking=True)
        self._stream.synchronize()
        return array.numpy()


def gpu_maps() -> TorchMaps | None:
    """Return what makes them on the GPU, where torch sees one and has kernels for it."""
    if not torch.cuda.is_available():
        return None
    try:
        maps = TorchMaps('cuda')
        maps.normals(np.ones((3, 2, 2), np.float32), (4, 4))
        maps.linear(np.ones((2, 2, 3), np.uint8), (4, 4))
    except RuntimeError:   # a torch of another GPU's age: the CPU does it
        return None
    return maps


def _linear(image: Tensor, size: Size) -> Tensor:
    return interpolate(image, size, mode='bilinear', align_corners=False)
