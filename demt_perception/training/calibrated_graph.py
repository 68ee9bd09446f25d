"""The two numbers of a calibration inside an ONNX graph; everything else in it stays as it is."""

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

CONFIDENCE, UNCERTAINTY = 'confidence', 'depth_uncertainty'
INVERSE_TEMPERATURE, FACTOR = 'inverse_temperature', 'uncertainty_factor'


class GraphError(ValueError):
    """A graph is not made as ours are; the text says what it lacks."""


def scores_name(graph: onnx.GraphProto) -> str:
    """Return the name of the scores that ``confidence`` is taken from, not yet divided.

    Raises:
        GraphError: confidence is not the maximum of a softmax.
    """
    name: str = _softmax(graph).input[0]
    scaled = _producer(graph, name)
    if scaled is not None and INVERSE_TEMPERATURE in scaled.input:
        return str(scaled.input[0])
    return name


def set_temperature(graph: onnx.GraphProto, temperature: float) -> None:
    """Let confidence be the softmax of the scores over the temperature."""
    softmax = _softmax(graph)
    scores = scores_name(graph)
    if softmax.input[0] == scores:
        # A multiplication just before: all other users of the scores keep theirs.
        scaled = f'{scores}/{INVERSE_TEMPERATURE}'
        node = helper.make_node('Mul', [scores, INVERSE_TEMPERATURE], [scaled], scaled)
        graph.node.insert(list(graph.node).index(softmax), node)
        _softmax(graph).input[0] = scaled
    _set_constant(graph, INVERSE_TEMPERATURE, 1 / temperature)


def set_factor(graph: onnx.GraphProto, factor: float) -> None:
    """Let the uncertainty of depth be multiplied by the factor, in all.

    Raises:
        GraphError: the graph has no such output.
    """
    node = _producer(graph, UNCERTAINTY)
    if node is None:
        raise GraphError(f'the graph has no output {UNCERTAINTY}: train the network with '
                         'model_options.uncertainty=true')
    if not any(constant.name == FACTOR for constant in graph.initializer):
        raw = f'{UNCERTAINTY}/raw'
        node.output[list(node.output).index(UNCERTAINTY)] = raw
        for other in graph.node:
            for index, name in enumerate(other.input):
                if name == UNCERTAINTY:
                    other.input[index] = raw
        graph.node.append(helper.make_node('Mul', [raw, FACTOR], [UNCERTAINTY], UNCERTAINTY))
    _set_constant(graph, FACTOR, factor)


def _softmax(graph: onnx.GraphProto) -> Any:
    largest = _producer(graph, CONFIDENCE)
    softmax = largest and _producer(graph, largest.input[0])
    if softmax is None or largest.op_type != 'ReduceMax' or softmax.op_type != 'Softmax':
        raise GraphError(f'output {CONFIDENCE} is not the greatest value of a softmax: export the '
                         'model again')
    return softmax


def _producer(graph: onnx.GraphProto, name: str) -> Any:
    return next((node for node in graph.node if name in node.output), None)


def _set_constant(graph: onnx.GraphProto, name: str, value: float) -> None:
    tensor = numpy_helper.from_array(np.array(value, np.float32), name)
    for constant in graph.initializer:
        if constant.name == name:
            constant.CopyFrom(tensor)
            return
    graph.initializer.append(tensor)
