"""Which nodes of a graph must stay in f32.

Rounding a weight to 8 or 11 bits changes a network little. What it does change is listed here:
sums over many values, exponentials and norms, and above all coordinates, where a rounding error
is one of the position: bf16 on sampling positions alone gave relative errors of 0.4.
"""

from collections.abc import Mapping

from onnx import GraphProto, NodeProto

PRODUCTS = frozenset(('Conv', 'ConvTranspose', 'Gemm', 'MatMul'))
"""Where the time goes. A path of coordinates begins at one of these: the offset convolution."""

LOW = PRODUCTS | frozenset((
    'Abs', 'Add', 'AveragePool', 'Clip', 'Concat', 'Div', 'Elu', 'Expand', 'Flatten', 'Gather',
    'Gelu', 'GlobalAveragePool', 'HardSigmoid', 'HardSwish', 'Identity', 'LeakyRelu', 'Max',
    'MaxPool', 'Min', 'Mul', 'Neg', 'PRelu', 'Pad', 'Relu', 'Reshape', 'Resize', 'Sigmoid',
    'Slice', 'Split', 'Squeeze', 'Sub', 'Tanh', 'Tile', 'Transpose', 'Unsqueeze', 'Where'))
"""Nodes that may be in a lower precision; all others, softmax, norms, reductions and whatever is
not known, stay."""

COORDINATES = {'GridSample': (1,), 'DeformConv': (2,)}
"""Inputs that are positions, by operator."""


def in_f32(graph: GraphProto) -> set[int]:
    """Return the indices of the nodes that stay in f32."""
    stay = {index for index, node in enumerate(graph.node) if node.op_type not in LOW}
    makers = {name: index for index, node in enumerate(graph.node) for name in node.output}
    for node in graph.node:
        for place in COORDINATES.get(node.op_type, ()):
            if place < len(node.input):
                _upstream(graph, node.input[place], makers, stay)
    return stay | _of_norms(graph, makers, stay)


def _of_norms(graph: GraphProto, makers: Mapping[str, int], stay: set[int]) -> set[int]:
    """Return the nodes of norms that are written out: the squares, and what follows their sum.

    In f16 the square of all beyond 256 is infinite, and the norm of it zero.
    """
    users: dict[str, set[int]] = {}
    for index, node in enumerate(graph.node):
        for name in node.input:
            users.setdefault(name, set()).add(index)
    ends = {value.name for value in graph.output}
    found = {makers[name] for index in stay if graph.node[index].op_type.startswith('Reduce')
             for name in graph.node[index].input
             if name in makers and graph.node[makers[name]].op_type == 'Mul'}
    for index, node in enumerate(graph.node):
        if node.op_type in PRODUCTS | {'Resize'} or ends & set(node.output):
            continue
        made = {makers[name] for name in node.input if name in makers}
        used = set().union(*(users.get(name, set()) for name in node.output))
        # The sum of squares and a small number, on the way to its root.
        if made and used and made <= stay and used <= stay:
            found.add(index)
    return found


def _upstream(graph: GraphProto, name: str, makers: Mapping[str, int], stay: set[int]) -> None:
    """Add all that leads to a tensor, up to and with the products that make coordinates."""
    seen: set[int] = set()
    rest = [name]
    while rest:
        index = makers.get(rest.pop())
        if index is None or index in seen:
            continue
        seen.add(index)
        node: NodeProto = graph.node[index]
        if node.op_type not in PRODUCTS:
            rest.extend(node.input)
    stay |= seen
