"""Weights in another file are found however the bytes of the graph say it, or it is no graph."""

import pytest

from demt_perception.inference.external_data import has_external_data

GRAPH, INITIALIZER, EXTERNAL_DATA, DATA_LOCATION = 7, 5, 13, 14
MODEL_FUNCTION, FUNCTION_NODE, FUNCTION_ATTRIBUTE = 25, 7, 11
NODE, ATTRIBUTE = 1, 5
BIT_32 = 1 << 32
LOCATION = b'\x0a\x08location\x12\x06secret'   # an entry of external_data


def number(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def message(field, content, more=0):
    """Return a field that holds a message; ``more`` is added to its key."""
    return number((field << 3 | 2) + more) + number(len(content)) + content


OUTSIDE = message(EXTERNAL_DATA, LOCATION)


def within(*fields, content=OUTSIDE):
    for field in reversed(fields):
        content = message(field, content)
    return content


@pytest.mark.parametrize('place', [
    (GRAPH, INITIALIZER), (GRAPH, 15, 1), (GRAPH, 15, 2), (GRAPH, NODE, ATTRIBUTE, 5),
    (GRAPH, NODE, ATTRIBUTE, 10), (GRAPH, NODE, ATTRIBUTE, 22, 1),
    (GRAPH, NODE, ATTRIBUTE, 23, 2), (GRAPH, NODE, ATTRIBUTE, 6, INITIALIZER),
    (GRAPH, NODE, ATTRIBUTE, 11, NODE, ATTRIBUTE, 5), (20, 1, INITIALIZER), (20, 2, INITIALIZER),
    (MODEL_FUNCTION, FUNCTION_NODE, ATTRIBUTE, 5), (MODEL_FUNCTION, FUNCTION_ATTRIBUTE, 5)])
def test_every_place_of_a_tensor_is_looked_at(place):
    assert has_external_data(within(*place))
    assert not has_external_data(within(*place, content=message(8, b'name')))
    first = within(GRAPH, content=message(2, b'name'))
    assert has_external_data(first + within(*place)), 'a message in parts is one message'


@pytest.mark.parametrize('content', [
    message(GRAPH, within(INITIALIZER), more=BIT_32),
    within(GRAPH, INITIALIZER, content=message(EXTERNAL_DATA, LOCATION, more=BIT_32)),
    within(GRAPH, INITIALIZER, content=number((DATA_LOCATION << 3) + BIT_32) + b'\x01'),
    message(GRAPH, within(INITIALIZER), more=1 << 69),
    message(0, within(INITIALIZER)),
    b'\x3b' + within(INITIALIZER) + b'\x3c',   # a group, as of old
])
def test_what_engines_may_take_for_another_field_is_no_graph(content):
    """They cut the key of a field to 32 bits, so that there are many for each."""
    with pytest.raises(ValueError, match='not an ONNX file'):
        has_external_data(content)


@pytest.mark.parametrize('location', [1, 2, 1 + BIT_32, 1 + (1 << 64)])
def test_a_location_that_is_not_in_the_graph_is_outside(location):
    def model(location):
        return within(GRAPH, INITIALIZER, content=number(DATA_LOCATION << 3) + number(location))
    assert has_external_data(model(location))
    assert not has_external_data(model(0))


def test_longer_ways_to_write_a_number_hide_nothing():
    tensor = within(INITIALIZER)
    key, length = bytes([GRAPH << 3 | 2 | 0x80, 0x80, 0]), bytes([len(tensor) | 0x80, 0x80, 0])
    assert has_external_data(key + length + tensor)
