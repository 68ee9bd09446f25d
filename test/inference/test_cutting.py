"""Cutting a graph by task: what stays computes the same, what only the rest needed is gone."""

from itertools import chain, combinations

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from demt_perception.inference.cutting import batch_is_free, cut
from demt_perception.model_card import load_card

ort = pytest.importorskip('onnxruntime')
IMAGE = np.random.default_rng(0).normal(size=(1, 3, 96, 160)).astype(np.float32)
SEMANTIC, CONFIDENCE, DEPTH, UNCERTAINTY, NORMALS, BOUNDARY = OUTPUTS = (
    'semantic', 'confidence', 'depth', 'depth_uncertainty', 'normals', 'boundary')


@pytest.fixture(scope='module')
def graph(tiny_model):
    return (tiny_model / 'model.onnx').read_bytes()


def run(graph):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(graph, options, providers=['CPUExecutionProvider'])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {'image': IMAGE}), strict=True))


def test_every_set_of_outputs_of_a_model_is_equal_to_the_last_bit(graph):
    whole = run(graph)
    sets = chain.from_iterable(combinations(OUTPUTS, n) for n in range(1, len(OUTPUTS)))
    for names in sets:
        smaller = cut(graph, names)
        assert len(smaller) < len(graph)
        seen = run(smaller)
        assert tuple(seen) == names  # in the order of the graph
        for name in names:
            np.testing.assert_array_equal(seen[name], whole[name])


def test_only_what_is_needed_stays(graph):
    onnx = pytest.importorskip('onnx', reason='reads the graph that was cut')
    model = onnx.load_from_string(cut(graph, {DEPTH}))
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == [
        'AveragePool', 'AveragePool', 'ReduceMean', 'Add', 'Mul', 'Squeeze']
    assert {value.name for value in model.graph.initializer} == {'one', 'metres', 'axis'}
    whole = onnx.load_from_string(graph)
    kept = {node.SerializeToString() for node in whole.graph.node}
    assert all(node.SerializeToString() in kept for node in model.graph.node)
    assert model.opset_import == whole.opset_import
    assert model.graph.input == whole.graph.input


def test_all_outputs_are_the_same_bytes_so_that_the_cache_serves(graph):
    assert cut(graph, OUTPUTS) is graph
    assert cut(graph, {*OUTPUTS, 'saliency'}) is graph


def test_what_is_not_there_is_refused(graph):
    with pytest.raises(ValueError, match=r'none of the outputs saliency .* semantic, confidence'):
        cut(graph, {'saliency'})


def test_inner_graphs_keep_what_they_read_outside():
    onnx = pytest.importorskip('onnx', reason='writes a graph with branches')
    from onnx import helper
    from onnx import TensorProto as T

    def value(name):
        return helper.make_tensor_value_info(name, T.FLOAT, [1, 3, 96, 160])

    def branch(name, *nodes):
        return helper.make_graph(nodes, name, [], [value(name)])

    node = helper.make_node
    graph = helper.make_graph([
        node('Neg', ['image'], ['inside']), node('Exp', ['image'], ['passed']),
        node('ReduceMax', ['image'], ['top'], keepdims=0),
        node('Greater', ['top', 'limit'], ['bright']),
        node('If', ['bright'], ['a'],
             then_branch=branch('x', node('Abs', ['inside'], ['x'])),
             else_branch=branch('y', node('Mul', ['passed', 'two'], ['y']))),
        node('Dropout', ['image'], ['b', '']),
        node('Clip', ['b', '', 'limit'], ['c']),
    ], 'g', [value('image')], [value('a'), value('c')], [
        helper.make_tensor('limit', T.FLOAT, [], [0.5]),
        helper.make_tensor('two', T.FLOAT, [], [2.0])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 20)], ir_version=10)
    whole = model.SerializeToString()
    for name, gone in (('a', {'Dropout', 'Clip'}), ('c', {'Neg', 'Exp', 'If', 'Greater'})):
        smaller = cut(whole, {name})
        np.testing.assert_array_equal(run(smaller)[name], run(whole)[name])
        assert not gone & {n.op_type for n in onnx.load_from_string(smaller).graph.node}


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_graphs_are_an_error_or_a_graph_never_a_crash(graph, data):
    at = data.draw(st.integers(0, len(graph) - 1))
    for damaged in (graph[:at], graph[:at] + bytes([graph[at] ^ data.draw(
            st.integers(1, 255))]) + graph[at + 1:]):
        try:
            assert len(cut(damaged, {DEPTH})) <= len(damaged)
            batch_is_free(damaged)
        except ValueError:
            pass


def test_freedom_of_the_batch(graph):
    onnx = pytest.importorskip('onnx', reason='frees the batch')
    assert not batch_is_free(graph)
    model = onnx.load_from_string(graph)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = 'batch'
    assert batch_is_free(model.SerializeToString())
    assert not batch_is_free(b'')


def test_outputs_of_the_card_are_those_of_the_graph(graph, tiny_model):
    assert tuple(load_card(tiny_model).outputs) == OUTPUTS
