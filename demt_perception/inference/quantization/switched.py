"""A graph whose layers are each put into int8 by a switch, to try any set of them in one session.

What int8 does to a layer is to round its input, on one scale, and its weights, on a scale for
each output channel. Both are imitated in f32: with the switch at 1 the rounded values are taken,
at 0 those that were.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper, TensorProto

from demt_perception.inference.conversion.sensitive import in_f32, PRODUCTS

SWITCHES, LARGEST = 'int8/switches', 'int8/largest'
ZERO = 'int8/zero'
STEPS = 127


def layers(graph: onnx.GraphProto) -> list[int]:
    """Return the indices of the nodes that can be in int8: products with constant weights.

    Those that make coordinates cannot, see ``sensitive.py``.
    """
    constant = {tensor.name for tensor in graph.initializer}
    stay = in_f32(graph)
    return [index for index, node in enumerate(graph.node)
            if node.op_type in PRODUCTS and index not in stay and node.input[1] in constant]


def with_ranges(content: bytes) -> bytes:
    """Return the graph with one more output: the largest magnitude of each layer's input."""
    model = onnx.load_from_string(content)
    graph = model.graph
    names = []
    for place, index in enumerate(layers(graph)):
        names.append(f'{LARGEST}/{place}')
        graph.node.append(helper.make_node('Abs', [graph.node[index].input[0]],
                                           [f'{LARGEST}/abs/{place}']))
        graph.node.append(helper.make_node('ReduceMax', [f'{LARGEST}/abs/{place}'], [names[-1]],
                                           keepdims=0))
        graph.node.append(helper.make_node('Unsqueeze', [names[-1], f'{LARGEST}/axis'],
                                           [f'{names[-1]}/1']))
    graph.initializer.append(numpy_helper.from_array(np.array([0]), f'{LARGEST}/axis'))
    graph.node.append(helper.make_node('Concat', [f'{name}/1' for name in names], [LARGEST],
                                       axis=0))
    graph.output.append(helper.make_tensor_value_info(LARGEST, TensorProto.FLOAT, [len(names)]))
    return bytes(model.SerializeToString())


def switched(content: bytes, largest: Sequence[float]) -> bytes:
    """Return the graph with a second input, ``switches``, float32 of one value a layer.

    Args:
        content: the ONNX graph.
        largest: magnitude of each layer's input that is still told apart.
    """
    model = onnx.load_from_string(content)
    graph = model.graph
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    chosen = layers(graph)
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, np.ndarray] = {ZERO: np.array(0, np.int8)}
    place_of = {index: place for place, index in enumerate(chosen)}
    for index, node in enumerate(graph.node):
        place = place_of.get(index)
        if place is not None:
            own = f'{SWITCHES}/{place}/'
            weight = weights[node.input[1]]
            constants |= {
                own + 'at': np.array([place]), own + 'difference': rounded(weight, node) - weight,
                own + 'scale': np.array(
                    max(largest[place], 1e-12) / STEPS, np.float32)}
            node.input[0], node.input[1] = _switch(
                nodes, own, node.input[0], node.input[1])
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name)
                             for name, value in constants.items())
    graph.input.append(helper.make_tensor_value_info(
        SWITCHES, TensorProto.FLOAT, [len(chosen)]))
    return bytes(model.SerializeToString())


def rounded(weight: np.ndarray, node: onnx.NodeProto) -> np.ndarray:
    """Return weights on 255 steps, those of each output channel on a scale of its own."""
    channel = {'Conv': 0, 'ConvTranspose': 1}.get(node.op_type, weight.ndim - 1)
    if node.op_type == 'Gemm' and any(a.name == 'transB' and a.i for a in node.attribute):
        channel = 0
    others = tuple(axis for axis in range(weight.ndim) if axis != channel)
    scale = np.maximum(np.abs(weight).max(others, keepdims=True), 1e-12) / STEPS
    return np.asarray(np.rint(weight / scale) * scale, np.float32)


def _switch(nodes: list[onnx.NodeProto], own: str, value: str, weight: str) -> tuple[str, str]:
    """Append what rounds a layer's input and weights, by its switch; return their names."""
    def node(kind: str, inputs: list[str], output: str) -> str:
        nodes.append(helper.make_node(kind, inputs, [own + output]))
        return own + output

    on = node('Gather', [SWITCHES, own + 'at'], 'on')
    stepped = node('QuantizeLinear', [value, own + 'scale', ZERO], 'stepped')
    back = node('DequantizeLinear', [stepped, own + 'scale', ZERO], 'back')
    lost = node('Mul', [node('Sub', [back, value], 'lost'), on], 'lost/on')
    moved = node('Mul', [own + 'difference', on], 'difference/on')
    return node('Add', [value, lost], 'value'), node('Add', [weight, moved], 'weight')
