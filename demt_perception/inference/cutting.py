"""Cut an ONNX graph to some of its outputs: what only the others need is gone.

Works on the protobuf wire format (https://protobuf.dev/programming-guides/encoding), with the
field numbers of onnx.proto3: nothing is computed anew, every node and weight that stays keeps its
bytes, so that what comes out does not change; and running a model does not need the onnx package.
"""

from collections.abc import Collection, Iterator

from demt_perception.inference.external_data import DEEPEST, read_fields

_GRAPH = 7
_NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12
_VALUE_INFO, _QUANTISATION, _SPARSE = 13, 14, 15
_NODE_INPUT, _NODE_OUTPUT, _ATTRIBUTE = 1, 2, 5
_ATTRIBUTE_GRAPHS = (6, 11)
_DIMENSION_VALUE, _DIMENSION_NAME = 1, 2
# Field of the name, by the field of a graph that holds the message.
_NAME = {_INITIALIZER: 8, _INPUT: 1, _OUTPUT: 1, _VALUE_INFO: 1, _QUANTISATION: 1}


def cut(model: bytes, outputs: Collection[str]) -> bytes:
    """Return an ONNX model with only some of its outputs, in its own order.

    Where all outputs stay, the same bytes.

    Args:
        model: a serialized model.
        outputs: names; those that the model lacks are ignored.

    Raises:
        ValueError: the bytes are not an ONNX model, or none of the outputs is in it.
    """
    view = memoryview(model)
    (graph,) = [value for number, value, _ in read_fields(view) if number == _GRAPH] or [
        memoryview(b'')]
    if not isinstance(graph, memoryview):
        raise ValueError('the graph is a number: not an ONNX file')
    fields = list(read_fields(graph))
    there = [_name(value, 1) for number, value, _ in fields if number == _OUTPUT]
    wanted = [name for name in there if name in outputs]
    if not wanted:
        raise ValueError(f'none of the outputs {", ".join(sorted(outputs))} is in the graph, it '
                         f'has {", ".join(there)}')
    if wanted == there:
        return model
    needed, kept_nodes = _needed(
        [value for number, value, _ in fields if number == _NODE], wanted)

    def stays(number: int, value: memoryview | int) -> bool:
        if number == _NODE:
            return id(value) in kept_nodes
        if number == _SPARSE:
            return _name(_first(value, 1), 8) in needed
        name = _NAME.get(number)
        return name is None or (_name(value, name) in needed if number != _OUTPUT else
                                _name(value, name) in wanted)

    smaller = b''.join(raw for number, value, raw in fields if stays(number, value))
    return b''.join(_header(_GRAPH, len(smaller)) + smaller if number == _GRAPH else raw
                    for number, _, raw in read_fields(view))


def batch_is_free(model: bytes) -> bool:
    """Return whether a model's input takes any number of images at once."""
    batch = next(iter(_input_shape(model)), None)
    return batch is not None and not any(
        field == _DIMENSION_VALUE for field, _, _ in read_fields(_message(batch)))


def free_dimensions(model: bytes) -> dict[int, str]:
    """Return the names of a model's input's dimensions that have no fixed length, by place.

    Raises:
        ValueError: the bytes are not an ONNX model.
    """
    names = [_name(dimension, _DIMENSION_NAME) for dimension in _input_shape(model)]
    return {place: name for place, name in enumerate(names) if name}


def _input_shape(model: bytes) -> list[memoryview | int]:
    """Return the dimensions of the input ``image``; none where it has no shape."""
    for number, graph, _ in read_fields(memoryview(model)):
        if number == _GRAPH:
            for inner, value, _ in read_fields(_message(graph)):
                if inner == _INPUT and _name(value, 1) == 'image':
                    # ValueInfoProto.type, TypeProto.tensor_type, Tensor.shape.
                    for field in (2, 1, 2):
                        value = _first(value, field)
                    return [one for field, one, _ in read_fields(_message(value)) if field == 1]
    return []


def _needed(nodes: list[memoryview | int], outputs: list[str]) -> tuple[set[str], set[int]]:
    """Return the names that outputs follow from, theirs included, and the ids of the nodes."""
    # An empty name stands for an optional input or output that is left out.
    maker = {name: node for node in nodes for name in _texts(node, _NODE_OUTPUT) if name}
    needed: set[str] = set()
    kept: set[int] = set()
    waiting = list(outputs)
    while waiting:
        name = waiting.pop()
        if name in needed:
            continue
        needed.add(name)
        node = maker.get(name)
        if node is not None and id(node) not in kept:
            kept.add(id(node))
            # The node's other outputs keep their descriptions.
            needed.update(_texts(node, _NODE_OUTPUT))
            waiting += _read_by(node)
    return needed, kept


def _read_by(node: memoryview | int, depth: int = 2) -> Iterator[str]:
    """Yield the names that a node reads; also, in its inner graphs, those of outside."""
    if depth > DEEPEST:
        raise ValueError(f'messages nested deeper than {DEEPEST}: not an ONNX file')
    yield from _texts(node, _NODE_INPUT)
    for number, attribute, _ in read_fields(_message(node)):
        if number != _ATTRIBUTE:
            continue
        for inner, graph, _ in read_fields(_message(attribute)):
            if inner in _ATTRIBUTE_GRAPHS and isinstance(graph, memoryview):
                for field, value, _ in read_fields(graph):
                    if field == _NODE:
                        yield from _read_by(value, depth + 3)
                    elif field == _OUTPUT:
                        yield _name(value, 1)


def _texts(message: memoryview | int, field: int) -> list[str]:
    return [bytes(value).decode() for number, value, _ in read_fields(_message(message))
            if number == field and isinstance(value, memoryview)]


def _name(message: memoryview | int, field: int) -> str:
    return next(iter(_texts(message, field)), '')


def _first(message: memoryview | int, field: int) -> memoryview:
    return next((value for number, value, _ in read_fields(_message(message))
                 if number == field and isinstance(value, memoryview)), memoryview(b''))


def _message(value: memoryview | int) -> memoryview:
    if not isinstance(value, memoryview):
        raise ValueError('a number where a message belongs: not an ONNX file')
    return value


def _header(number: int, length: int) -> bytes:
    """Return key and length of a field that holds bytes."""
    header = bytearray([number << 3 | 2])
    while length >= 0x80:
        header.append(length & 0x7F | 0x80)
        length >>= 7
    header.append(length)
    return bytes(header)
