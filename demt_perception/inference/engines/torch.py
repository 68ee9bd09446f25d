"""The torch engine: the ONNX graph in torch, on the CPU and on NVIDIA GPUs.

It runs the same verified graph as the others instead of rebuilding the network from its weights:
what was exported, calibrated, cut or quantised is what runs, and a card needs no second
description of the network. On a GPU the calls are recorded into a CUDA graph once and replayed.
"""

from collections.abc import Callable
import contextlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from demt_perception.inference.cpu import cpu_name
from demt_perception.inference.engines import EngineError, Order
from demt_perception.inference.engines.cuda_errors import of_words
from demt_perception.inference.engines.precision import load_chosen
from demt_perception.inference.engines.torch_gpu import laid_out, numerics, recorded
from demt_perception.inference.engines.torch_graph import convert
from demt_perception.inference.engines.torch_maps import gpu_maps, TorchMaps
from demt_perception.inference.engines.torch_picture import TorchPicture
from demt_perception.model_card import ModelCard

MODES = ('eager', 'compile', 'graphs', 'compile+graphs')
"""Ways to run: call by call, by torch.compile, and either recorded into a CUDA graph."""

LOW = {'f32': None, 'bf16': torch.bfloat16, 'f16': torch.float16}


class TorchEngine:
    """A converted graph on one device at one input shape."""

    name = full_name = 'torch'

    def __init__(self, call: Callable[[Tensor], tuple[Tensor, ...]], names: list[str],
                 image: Tensor, precision: str, reason: str, threads: int = 0) -> None:
        """Keep a function that maps ``image``, where the input is to lie, to the outputs.

        ``threads``: of torch on a CPU; 0 leaves them as they are.
        """
        cuda = image.device.type == 'cuda'
        self.device = torch.cuda.get_device_name(image.device) if cuda else cpu_name()
        self.precision = precision
        self.reason = reason
        self._call: Callable[[Tensor], tuple[Tensor, ...]] | None = call
        self._names = names
        self._image = image
        self._threads = threads
        self._picture: TorchPicture | None = None
        # In the image's own layout: the copy has nothing to turn around.
        self._staging = torch.empty_like(image, device='cpu', pin_memory=True) if cuda else None

    def preprocessor(self, card: ModelCard) -> TorchPicture | None:
        """Return what resizes and normalises on the GPU; None leaves that to the CPU."""
        if self._image.device.type == 'cuda':
            self._picture = TorchPicture(self._image, card)
        return self._picture

    def postprocessor(self) -> TorchMaps | None:
        """Return what makes outputs at the pictures' size on the GPU; None: the CPU is to."""
        return gpu_maps() if self._image.device.type == 'cuda' else None

    def run(self, image: Any) -> dict[str, np.ndarray]:
        """Run the graph; see ``Engine.run``. Also takes what ``preprocessor`` gave."""
        if self._call is None:
            raise EngineError('the engine is closed; create another')
        if tuple(image.shape) != tuple(self._image.shape):
            raise EngineError(f'torch failed on a frame: it has shape {tuple(image.shape)}, '
                              f'want {tuple(self._image.shape)}')
        # A thread that has run torch before keeps the number of then.
        if self._threads and torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        try:
            with torch.inference_mode():
                if image is not self._image:
                    self._upload(image)
                results = self._call(self._image)
                # Copies: a CUDA graph writes its next frame to the same place.
                return {name: np.array(result.cpu().numpy())
                        for name, result in zip(self._names, results, strict=True)}
        except (RuntimeError, ValueError) as error:
            raise of_words(f'torch failed on a frame: {error}') from error

    def close(self) -> None:
        """Free graph and buffers, and give the GPU's memory back, which torch would keep."""
        self._call = self._staging = None
        if self._picture is not None:   # which the predictor still holds
            self._picture.close()
        if self._image.device.type == 'cuda':
            self._image = torch.empty(0)
            with contextlib.suppress(RuntimeError):   # of a lost GPU, say
                torch.cuda.empty_cache()

    def _upload(self, image: np.ndarray) -> None:
        if self._staging is None:
            self._image.copy_(torch.from_numpy(image))
            return
        self._staging.numpy()[...] = image  # pinned memory: the copy needs no help of the CPU
        self._image.copy_(self._staging, non_blocking=True)


def load(graph: bytes, shape: tuple[int, int, int, int], threads: int, why: str,
         precision: str = 'f32', device: str = '', mode: str = '') -> TorchEngine:
    """Load a graph; see ``create_engine``.

    Args:
        graph: content of the ONNX file.
        shape: of the input.
        threads: of torch, for the whole process.
        why: begin of ``reason``.
        precision: ``f32``; ``bf16`` and ``f16`` calculate convolutions and matrix products in
            it; norms, softmax, exponentials and sampling in f32 (autocast, ``torch_ops.py``).
        device: ``cpu`` or ``cuda``; '' takes the GPU where there is one.
        mode: one of ``MODES``; '' is ``graphs`` on a GPU, else ``eager``.

    Raises:
        EngineError: the graph, the device, the mode or the precision cannot be had.
    """
    device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
    mode = mode or ('graphs' if device == 'cuda' else 'eager')
    _check(device, mode, precision)
    low = LOW[precision]
    if device == 'cpu':
        torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            module = convert(graph, shape, low).to(device)
            image = torch.zeros(shape, device=device)
            if device == 'cuda' and low is not None:
                image = laid_out(module, image)
            function = torch.compile(module, fullgraph=True, dynamic=False) \
                if mode.startswith('compile') else module

            def each(image: Tensor) -> tuple[Tensor, ...]:
                with numerics(device, low), torch.autocast(
                        device, low, cache_enabled=False) if low is not None \
                        else contextlib.nullcontext():
                    outputs: tuple[Tensor, ...] = function(image)
                return tuple(one.float() if one.is_floating_point() else one for one in outputs)

            each(image)  # what does not run is to be known now
            call = recorded(each, image) if mode.endswith('graphs') else each
    except (RuntimeError, ValueError, NotImplementedError) as error:
        raise of_words(f'torch {torch.__version__} refuses the graph ({error})',
                       'export the model again, or use engine onnxruntime') from error
    text = f'{why}; {mode}, {precision}'
    return TorchEngine(call, module.names, image, precision,
                       f'{text}; {threads} threads' if device == 'cpu' else text,
                       threads if device == 'cpu' else 0)


def load_order(order: Order, why: str) -> TorchEngine:
    """Load a graph in the precision that is asked for, or chosen; see ``create_engine``."""
    cuda = order.device == 'cuda' or (not order.device and torch.cuda.is_available())
    if not cuda and order.precision == 'auto':
        return load(order.graph, order.shape, order.threads, why, device=order.device)
    return load_chosen(
        order, f'torch {"cuda" if cuda else "cpu"}', torch.__version__,
        ('f16', 'bf16', 'f32') if cuda else ('f32',),
        lambda precision: load(order.graph, order.shape, order.threads, why, precision,
                               order.device))


def _check(device: str, mode: str, precision: str) -> None:
    if precision not in LOW:
        raise EngineError(f'precision is {precision!r}, want one of {", ".join(LOW)}: '
                          'an int8 graph carries its own, run it with f32')
    if device not in ('cpu', 'cuda'):
        raise EngineError(f'device is {device!r}, want cpu or cuda')
    if device == 'cuda' and not torch.cuda.is_available():
        raise EngineError(
            f'torch {torch.__version__} sees no NVIDIA GPU: check nvidia-smi, and install the '
            'build for your CUDA (https://pytorch.org/get-started) or use device cpu')
    if mode not in MODES:
        raise EngineError(f'mode is {mode!r}, want one of {", ".join(MODES)}')
    if device == 'cpu' and mode.endswith('graphs'):
        raise EngineError(f'mode {mode} needs an NVIDIA GPU: use eager or compile')
    if device == 'cpu' and precision == 'f16':
        raise EngineError('f16 is slower than f32 on a CPU: use f32 or bf16')
