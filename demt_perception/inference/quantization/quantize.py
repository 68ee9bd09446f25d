"""From a graph in f32 to one with Q and DQ nodes, within limits on real pictures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
import hashlib
import importlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from demt_perception.inference.engines import EngineError
from demt_perception.inference.engines.onnxruntime import load_cpu
from demt_perception.inference.parity import compare, Figure
from demt_perception.model_card import ModelCard, save_card

ALLOWED = 0.8
"""Share of the limits that the search may use up: real kernels round more than it imitates."""

TOOLS = {'onnxruntime': 'pip install onnx onnxruntime', 'nncf': 'pip install onnx nncf'}
"""What can write the Q and DQ nodes, and how it is installed."""


class Quantised(NamedTuple):
    """A graph in int8, how far off it is, and how many of its layers are in int8."""

    graph: bytes
    figures: list[Figure]
    chosen: int
    layers: int


def write_model(out: Path, card: ModelCard, found: Quantised, pictures: int) -> None:
    """Write a model folder: graph and card, without figures, which were another network's."""
    out.mkdir(parents=True, exist_ok=True)
    (out / card.onnx).write_bytes(found.graph)
    save_card(replace(
        card, name=out.resolve().name, weights_sha256='',
        onnx_sha256=hashlib.sha256(found.graph).hexdigest(),
        architecture=f'{card.architecture}, int8 in {found.chosen} of {found.layers} layers',
        metrics={}, training={**card.training, 'int8': {
            'of': card.name, 'pictures': pictures,
            'against_f32': {figure.output: round(figure.value, 5)
                            for figure in found.figures}}}), out)


def quantize(graph: bytes, images: Sequence[np.ndarray], limits: Mapping[str, float],
             threads: int, progress: Callable[[str], None],
             tool: str = 'onnxruntime') -> Quantised:
    """Return the graph in int8, as far as the limits stand it.

    Args:
        graph: content of the ONNX file, in f32.
        images: to calibrate and to check on, float32 1x3xHxW of one shape.
        limits: by output, where they are not the defaults of ``parity.py``.
        threads: of onnxruntime.
        progress: called with a line as it goes on.
        tool: one of ``TOOLS``, which writes the graph.

    Raises:
        EngineError: a package is missing, or not one layer can be in int8 within the limits.
    """
    try:
        import onnx

        from demt_perception.inference.quantization.choosing import choose, share, Switchboard
        from demt_perception.inference.quantization.switched import layers
        write = importlib.import_module(f'{__package__}.with_{tool}').write
    except ImportError as error:
        raise EngineError(f'{error}: {TOOLS[tool]}') from error
    model = onnx.load_from_string(graph)
    for index, node in enumerate(model.graph.node):
        node.name = f'{index}'   # unique, which names in files need not be
    nodes = [model.graph.node[index].name for index in layers(model.graph)]
    board = Switchboard(graph, images, threads, limits)
    chosen = choose(board, ALLOWED, progress)
    shape = images[0].shape
    exact = load_cpu(graph, shape, threads, '')
    wanted = [exact.run(image) for image in images]
    while chosen:
        progress(f'writing {len(chosen)} layers in int8')
        content: bytes = write(model, [nodes[layer] for layer in chosen], images)
        engine = load_cpu(content, shape, threads, '')
        figures = compare(wanted, [engine.run(image) for image in images], limits)
        if share(figures) <= 1:
            return Quantised(content, figures, len(chosen), len(nodes))
        progress(f'they use up {share(figures):.0%} of the limits: the worst go back to f32')
        chosen = chosen[:len(chosen) - max(1, len(chosen) // 8)]
    raise EngineError('not one layer can be in int8 within the limits: widen those on the card, '
                      'or stay in bf16')
