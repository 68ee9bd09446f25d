"""Refuse ONNX graphs whose weights lie in other files.

The model card's SHA-256 covers one file. A graph may point its weights at any path, which the
engines would read unverified, so such graphs are refused before any engine sees them. Read
from the protobuf wire format (https://protobuf.dev/programming-guides/encoding) and the field
numbers of onnx.proto3, so that running a model does not need the onnx package.
"""

from collections.abc import Iterator

# For each message the fields that lead to a tensor: {field number: message}. onnx.proto3.
_FIELDS: dict[str, dict[int, str]] = {
    'model': {7: 'graph', 25: 'function', 20: 'training'},
    'training': {1: 'graph', 2: 'graph'},
    'function': {7: 'node', 11: 'attribute'},
    'graph': {1: 'node', 5: 'tensor', 15: 'sparse'},
    'node': {5: 'attribute'},
    'attribute': {5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse'},
    'sparse': {1: 'tensor', 2: 'tensor'},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

DEEPEST = 100
"""Messages within one another: protobuf's own readers take no more."""


def has_external_data(graph: bytes) -> bool:
    """Return whether any tensor of a serialized ONNX model lies in another file.

    Raises:
        ValueError: the bytes are not a protobuf message.
    """
    return _message_has(memoryview(graph), 'model')


def _message_has(data: memoryview, kind: str, depth: int = 0) -> bool:
    if depth > DEEPEST:
        raise ValueError(f'messages nested deeper than {DEEPEST}: not an ONNX file')
    for number, value, _ in read_fields(data):
        if kind == 'tensor':
            # Where it lies: 0 is in the graph. Engines cut the number to 32 bits.
            if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0):
                return True
        elif (number in _FIELDS[kind] and isinstance(value, memoryview)
                and _message_has(value, _FIELDS[kind][number], depth + 1)):
            return True
    return False


def read_fields(data: memoryview) -> Iterator[tuple[int, memoryview | int, memoryview]]:
    """Yield (field number, value, the field's own bytes) of one protobuf message, by views.

    Raises:
        ValueError: the bytes are not a protobuf message.
    """
    at = 0
    while at < len(data):
        begin = at
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if not number or key >> 32:   # engines cut a key to 32 bits: to them it is another field
            raise ValueError(f'key {key:#x} at byte {begin}: not an ONNX file')
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value, data[begin:at]
            continue
        if wire == _BYTES:
            length, at = _varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f'wire type {wire} at byte {at}: not an ONNX file')
        if at + length > len(data):
            raise ValueError(f'field {number} runs past the end: the ONNX file is cut off')
        yield number, data[at:at + length], data[begin:at + length]
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError(f'bad number at byte {at}: not an ONNX file, or cut off')
