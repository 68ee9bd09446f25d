"""From an ONNX graph to a torch module that calculates the same, at one input shape.

What depends on the shape or on weights alone is computed here, once. What remains is a straight
list of torch calls: it never asks the device for a value, so a CUDA graph can hold it, and
``torch.compile`` sees it whole.
"""

from typing import Any

import numpy as np
import onnx
import torch
from torch import fx, Tensor

from demt_perception.inference.engines.torch_ops import OPERATORS

OLDEST = 13
"""Opset. Before it Softmax had another meaning, and Split and Squeeze other inputs."""

HEAVY = {'Conv', 'ConvTranspose', 'Gemm', 'MatMul'}
"""What autocast calculates in the low precision: their weights are kept in it."""


def convert(graph: bytes, shape: tuple[int, ...], low: torch.dtype | None = None,
            dtype: torch.dtype = torch.float32) -> fx.GraphModule:
    """Return a module: image to a tuple of the outputs, whose names are its ``names``.

    Args:
        graph: content of the ONNX file, all its weights in it.
        shape: of the only input.
        low: type of the weights of convolutions and matrix products; None keeps them.
        dtype: of the input.

    Raises:
        ValueError: this is no ONNX file, too old a one, or not of one input.
        NotImplementedError: an operator, or a use of one, that none of our graphs holds.
    """
    try:
        model = onnx.load_from_string(graph)
    except Exception as error:  # protobuf's own
        raise ValueError(f'this is no ONNX file: {error}') from error
    opset = max((one.version for one in model.opset_import if not one.domain), default=0)
    if opset < OLDEST:
        raise ValueError(f'the graph is of opset {opset}, want {OLDEST} or newer: export it again')
    if len(model.graph.input) != 1:
        raise ValueError(f'the graph has {len(model.graph.input)} inputs, want one, image')
    building = _Building(low)
    name = model.graph.input[0].name
    building.nodes[name] = building.fx.placeholder('image')
    building.meta[name] = torch.empty(shape, dtype=dtype, device='meta')
    for tensor in model.graph.initializer:
        building.known[tensor.name] = _tensor(tensor)
    for node in model.graph.node:
        try:
            building.add(node)
        except NotImplementedError as error:
            raise NotImplementedError(f'operator {node.op_type}: {error}') from error
        except (TypeError, RuntimeError, ValueError) as error:
            raise ValueError(f'operator {node.op_type} {node.name}: {error}') from error
    return building.finish([output.name for output in model.graph.output])


class _Building:
    """A graph half converted: values known already, and those that a frame gives."""

    def __init__(self, low: torch.dtype | None) -> None:
        self.low = low
        self.fx = fx.Graph()
        self.root = torch.nn.Module()
        self.known: dict[str, Tensor] = {}
        self.nodes: dict[str, fx.Node] = {}
        self.meta: dict[str, Tensor] = {}
        self._kept: dict[tuple[str, bool], fx.Node] = {}

    def add(self, node: onnx.NodeProto) -> None:
        """Compute a node now if all is known, else write it down."""
        if node.domain or node.op_type not in (*OPERATORS, 'Shape'):
            raise NotImplementedError('the torch engine does not know it: use another engine')
        attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        if isinstance(attributes.get('value'), onnx.TensorProto):
            attributes['value'] = _tensor(attributes['value'])
        if node.op_type == 'Shape':
            source = {**self.known, **self.meta}[node.input[0]]
            part = slice(attributes.get('start', 0), attributes.get('end'))
            self.known[node.output[0]] = torch.tensor(list(source.shape)[part])
            return
        function, saying = OPERATORS[node.op_type]
        inputs = [self.known[name].tolist() if name in self.known and place in saying
                  else name or None for place, name in enumerate(node.input)]
        for place, name in enumerate(node.input):
            if place in saying and name and name not in self.known:
                raise NotImplementedError(f'input {place} depends on the picture')
        names = [name for name in inputs if isinstance(name, str)]
        if all(name in self.known for name in names):
            result = function(*self._each(inputs, self.known), **attributes)
            self._store(node, result, self.known)
            return
        stand_ins = {name: self.meta[name] if name in self.meta else self.known[name].to('meta')
                     for name in names}
        shapes = function(*self._each(inputs, stand_ins), **attributes)
        values = {name: self._value(name, node.op_type in HEAVY) for name in names}
        call = self.fx.call_function(function, tuple(self._each(inputs, values)), attributes)
        self._store(node, shapes, self.meta)
        if isinstance(shapes, Tensor):
            self.nodes[node.output[0]] = call
            return
        for place, name in enumerate(node.output):
            self.nodes[name] = self.fx.call_function(_take, (call, place))

    def finish(self, outputs: list[str]) -> fx.GraphModule:
        """Return the module."""
        self.fx.output(tuple(self._value(name, False) for name in outputs))
        module = fx.GraphModule(self.root, self.fx)
        module.names = outputs
        return module.eval()

    def _value(self, name: str, heavy: bool) -> fx.Node:
        """Return what a call takes: an earlier result, or a weight, in the low type if heavy."""
        if name in self.nodes:
            return self.nodes[name]
        value = self.known[name]
        lower = heavy and self.low is not None and value.dtype == torch.float32
        if (name, lower) not in self._kept:
            label = f'constant_{len(self._kept)}'
            self.root.register_buffer(label, value.to(self.low) if lower else value)
            self._kept[name, lower] = self.fx.get_attr(label)
        return self._kept[name, lower]

    @staticmethod
    def _each(inputs: list[Any], values: dict[str, Any]) -> list[Any]:
        return [values[one] if isinstance(one, str) else one for one in inputs]

    @staticmethod
    def _store(node: onnx.NodeProto, result: Any, into: dict[str, Tensor]) -> None:
        results = [result] if isinstance(result, Tensor) else result
        into.update(zip(node.output, results, strict=False))


def _take(values: Any, place: int) -> Any:
    return values[place]


def _tensor(proto: onnx.TensorProto) -> Tensor:
    array = np.array(onnx.numpy_helper.to_array(proto))
    if proto.data_type == onnx.TensorProto.BFLOAT16:  # NumPy has no such type
        return torch.from_numpy(array.astype(np.float32)).to(torch.bfloat16)
    return torch.from_numpy(array)
