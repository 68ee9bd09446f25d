"""A model of six tasks, whose human parts and saliency follow from the image by hand."""

from dataclasses import replace
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from demt_perception.model_card import file_sha256, load_card, save_card
from demt_perception.tasks import TASKS


def make_model(folder: Path, tiny_model: Path, parts: int = 3) -> Path:
    """Write a model like the tiny one; part = class * ``parts``, saliency = confidence."""
    onnx = pytest.importorskip('onnx', reason='writing a model needs onnx')
    spec = importlib.util.spec_from_file_location(
        'make_tiny_model', Path(__file__).parent / 'data' / 'make_tiny_model.py')
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    model = maker.make_graph()
    node, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.int32(parts), 'three'))
    # TensorRT calculates with no uint8: it only takes and gives them.
    model.graph.node.extend((node('Cast', ['semantic'], ['ids'], to=onnx.TensorProto.INT32),
                             node('Mul', ['ids', 'three'], ['parts']),
                             node('Cast', ['parts'], ['human_parts'], to=onnx.TensorProto.UINT8),
                             node('Identity', ['confidence'], ['saliency'])))
    model.graph.output.extend((
        info('human_parts', onnx.TensorProto.UINT8, [1, 'h2', 'w2']),
        info('saliency', onnx.TensorProto.FLOAT, [1, 'h4', 'w4'])))
    folder.mkdir()
    onnx.save(model, folder / 'model.onnx')
    save_card(replace(load_card(tiny_model), name=folder.name, tasks=tuple(TASKS),
                      onnx_sha256=file_sha256(folder / 'model.onnx')), folder)
    return folder
