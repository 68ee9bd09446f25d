"""Weights in another file are found however the bytes of the graph say it, or it is no graph."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
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


def test_graph_without_external_data(tiny_model):
    assert not has_external_data((tiny_model / 'model.onnx').read_bytes())


@pytest.mark.parametrize('wrong', [b'\xff' * 20, b'\x3a\x7f\x01', b'\x08', b'\x0b'])
def test_what_is_no_protobuf_is_an_error(wrong):
    with pytest.raises(ValueError, match='ONNX file'):
        has_external_data(wrong)


@given(st.binary(max_size=300))
@settings(max_examples=500)
def test_any_bytes_are_an_answer_or_a_value_error(content):
    with contextlib.suppress(ValueError):
        assert has_external_data(content) in (True, False)


def make(tensor_place):
    """Return a model with an external tensor as initializer, attribute, nested or sparse."""
    onnx = pytest.importorskip('onnx', reason='makes graphs with the onnx package')
    from onnx import helper, TensorProto
    tensor = TensorProto(name='w', data_type=1, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key='location', value='/etc/passwd')
    graph = helper.make_graph([], 'g', [], [])
    if tensor_place == 'initializer':
        graph.initializer.append(tensor)
    elif tensor_place == 'attribute':
        graph.node.append(helper.make_node('Constant', [], ['w'], value=tensor))
    elif tensor_place == 'subgraph':
        inner = helper.make_graph([], 'inner', [], [], [tensor])
        graph.node.append(helper.make_node('If', ['c'], ['y'], then_branch=inner))
    elif tensor_place == 'sparse':
        graph.sparse_initializer.append(onnx.SparseTensorProto(values=tensor, dims=[1]))
    model = helper.make_model(graph)
    if tensor_place == 'function':
        model.functions.append(helper.make_function(
            'd', 'f', [], ['w'], [helper.make_node('Constant', [], ['w'], value=tensor)],
            [helper.make_opsetid('', 17)]))
    return model.SerializeToString()


@pytest.mark.parametrize(
    'place', ['initializer', 'attribute', 'subgraph', 'sparse', 'function'])
def test_external_data_is_found_in_what_onnx_writes(place):
    assert has_external_data(make(place))
