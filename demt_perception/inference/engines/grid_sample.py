"""GridSample in TensorRT: what an ONNX graph calls ``linear`` is to be sampled so.

Opset 20 renamed the mode ``bilinear`` to ``linear``. The parsers of TensorRT 10.3 to 11.1 know the
old name alone and take NEAREST for any other, without a word: https://github.com/NVIDIA/TensorRT/
issues/4646, mended by https://github.com/onnx/onnx-tensorrt/pull/1060. Limits on outputs do not
show it: 99.9 % of the shipped model's classes stay.
"""

from typing import Any

from demt_perception.inference.engines import EngineError
from demt_perception.inference.external_data import read_fields

_GRAPH, _NODE = 7, 1
_OUTPUT, _OPERATOR, _ATTRIBUTE = 2, 4, 5
_NAME, _TEXT = 1, 4
_LINEAR = b'linear'


def linear_samples(graph: bytes) -> set[str]:
    """Return the names of what the GridSample nodes make whose mode is called ``linear``.

    By the protobuf wire format, as in ``cutting.py``: TensorRT does not need the onnx package.

    Raises:
        ValueError: the bytes are no ONNX model.
    """
    return {bytes(_value(node, _OUTPUT)).decode()
            for number, inner, _ in read_fields(memoryview(graph))
            if number == _GRAPH and isinstance(inner, memoryview)
            for field, node, _ in read_fields(inner)
            if field == _NODE and isinstance(node, memoryview)
            and _value(node, _OPERATOR) == b'GridSample'
            and any(_value(attribute, _NAME) == b'mode' and _value(attribute, _TEXT) == _LINEAR
                    for place, attribute, _ in read_fields(node)
                    if place == _ATTRIBUTE and isinstance(attribute, memoryview))}


def sample_linearly(trt: Any, network: Any, graph: bytes) -> None:
    """Have TensorRT's network sample as the graph says that it was parsed from.

    Raises:
        EngineError: a layer cannot be found: its results would be wrong without a word.
    """
    missing = linear_samples(graph)
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if layer.type == trt.LayerType.GRID_SAMPLE and layer.get_output(0).name in missing:
            missing.discard(layer.get_output(0).name)
            # The bindings give every layer as their base class, which has no mode.
            layer.__class__ = trt.IGridSampleLayer
            layer.interpolation_mode = trt.InterpolationMode.LINEAR
    if missing:
        raise EngineError(
            f'TensorRT {trt.__version__} has no layer for the GridSample that makes '
            f'{sorted(missing)[0]}, which it might sample at the nearest pixel: use engine '
            'onnxruntime or torch')


def with_old_name(graph: bytes) -> bytes:
    """Return the graph with ``bilinear`` for ``linear``, for onnxruntime's TensorRT provider.

    It parses the graph by itself. The old name is valid nowhere else at opset 20: where a node is
    left to the CPU, onnxruntime refuses the graph.

    Raises:
        EngineError: the package onnx is missing.
    """
    if not linear_samples(graph):
        return graph
    try:
        import onnx
    except ImportError as error:
        raise EngineError(f'a graph with GridSample needs the package onnx ({error}) for '
                          'TensorRT in onnxruntime: pip install onnx, or use engine tensorrt'
                          ) from error
    model = onnx.load_from_string(graph)
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == 'GridSample' and attribute.name == 'mode' and (
                    attribute.s == _LINEAR):
                attribute.s = b'bilinear'
    return bytes(model.SerializeToString())


def _value(message: memoryview, field: int) -> memoryview:
    """Return the first text or message of a field; empty where there is none."""
    return next((value for number, value, _ in read_fields(message)
                 if number == field and isinstance(value, memoryview)), memoryview(b''))
