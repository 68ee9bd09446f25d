"""Graphs in f16 and bf16: close to f32, sensitive parts untouched, taken by NVIDIA's builder."""

import numpy as np
import pytest

onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')
from host_tensorrt import make_tensorrt
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper, TensorProto
from onnx.reference import ReferenceEvaluator

from demt_perception.inference import EngineError
from demt_perception.inference.conversion import converted, lower
from demt_perception.inference.conversion.sensitive import in_f32
from demt_perception.inference.engines import create_engine, tensorrt_build
from demt_perception.inference.engines.onnxruntime import load_cpu
from demt_perception.inference.models import DEFAULT_MODEL, find_model
from demt_perception.inference.parity import Check, compare, trouble
from demt_perception.model_card import load_card

SHAPE = (1, 3, 96, 160)
LOW = {'f16': TensorProto.FLOAT16, 'bf16': TensorProto.BFLOAT16}


@pytest.fixture(scope='module', params=['tiny', 'shipped'])
def folder(request, tiny_model):
    return tiny_model if request.param == 'tiny' else find_model(DEFAULT_MODEL)


@pytest.fixture(scope='module')
def graph(folder):
    return (folder / 'model.onnx').read_bytes()


def types_of(content):
    """Return the type of every tensor of a graph."""
    model = onnx.load_from_string(content)
    graph = onnx.shape_inference.infer_shapes(model).graph
    known = {info.name: info.type.tensor_type.elem_type
             for info in (*graph.value_info, *graph.input, *graph.output)}
    return model.graph, known | {t.name: t.data_type for t in graph.initializer}


def test_f16_is_close_and_half_as_large(graph, folder):
    card = load_card(folder)
    images = Check(card.mean, card.std).inputs(SHAPE)
    low = converted(graph, 'f16')
    wanted, seen = (load_cpu(content, SHAPE, 1, '') for content in (graph, low))
    figures = compare([wanted.run(i) for i in images], [seen.run(i) for i in images], {
        'semantic': 0.99, 'depth': 0.005, 'normals': 0.6, 'boundary': 0.005})
    assert not trouble(figures)
    assert len(low) < 0.52 * len(graph) or len(graph) < 10_000


def test_bf16_is_close(graph, folder):
    # onnxruntime's CPU provider has no bf16; torch runs it as it stands.
    pytest.importorskip('torch')
    card = load_card(folder)
    image = Check(card.mean, card.std).inputs(SHAPE)[0]
    seen = create_engine('torch:cpu', converted(graph, 'bf16'), SHAPE, 1, 'f32').run(image)
    assert not trouble(compare([load_cpu(graph, SHAPE, 1, '').run(image)], [seen], {
        'normals': 4.0}))


@pytest.mark.parametrize('precision', ['f16', 'bf16'])
def test_what_is_sensitive_stays_in_f32(graph, precision):
    nodes, kinds = types_of(converted(graph, precision))
    before, original = types_of(graph)
    for part in ('input', 'output'):
        assert [kinds[one.name] for one in getattr(nodes, part)] == [
            original[one.name] for one in getattr(before, part)]
    makers = {name: node for node in nodes.node for name in node.output}
    products = [node for node in nodes.node if node.op_type in ('Conv', 'MatMul')]
    assert sum(kinds[node.output[0]] == LOW[precision] for node in products) > 0.8 * len(products)
    for node in nodes.node:
        used = {kinds[name] for name in (*node.input, *node.output)
                if name and kinds[name] in (TensorProto.FLOAT, *LOW.values())}
        if node.op_type != 'Cast':
            # A Resize's scales are f32 by definition; nothing else mixes.
            assert len(used) <= 1 or node.op_type == 'Resize', node
        if node.op_type in ('Softmax', 'LayerNormalization', 'GridSample', 'ReduceMean', 'Exp'):
            assert used == {TensorProto.FLOAT}
        if node.op_type == 'GridSample':
            rest, seen = [node.input[1]], set()
            while rest:   # the whole way back to the offset convolution
                maker = makers.get(rest.pop())
                if maker is not None and maker.name not in seen and maker.op_type != 'Cast':
                    seen.add(maker.name)
                    assert kinds[maker.output[0]] not in LOW.values(), maker.name
                    rest.extend(() if maker.op_type in ('Conv', 'MatMul') else maker.input)
            assert any('Conv' in name or 'conv' in name for name in seen)


@pytest.mark.parametrize('precision', ['f16', 'bf16'])
def test_the_real_builder_takes_it_strongly_typed(graph, precision):
    module = make_tensorrt()
    tensorrt_build.build(module, converted(graph, precision), SHAPE)
    assert module.builds[0]


def test_f32_is_the_graph_itself(graph):
    assert converted(graph, 'f32') is graph


def one_node(kind='Relu', value=1.0, output='y', **attributes):
    node = helper.make_node(kind, ['x'] + ['w'] * (kind != 'Relu'), [output], **attributes)
    weight = numpy_helper.from_array(np.full((1, 3, 1, 1), value, np.float32), 'w')
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 4, 4])
             for name in ('x', output)]
    return helper.make_model(
        helper.make_graph([node], 'g', infos[:1], infos[1:], [weight]),
        opset_imports=[helper.make_opsetid('', 18)], ir_version=9).SerializeToString()


@pytest.mark.parametrize(('content', 'said'), [
    (b'no graph', 'onnx refuses it'),
    (one_node('Mul', 1e6), r'value of w is 1e\+06, beyond 65504')])
def test_what_cannot_be_converted_is_said(content, said):
    with pytest.raises(EngineError, match=said):
        converted(content, 'f16')


def test_subgraphs_are_refused():
    model = onnx.load_from_string(one_node())
    inner = helper.make_graph([], 'inner', [], [])
    model.graph.node.append(helper.make_node('If', ['c'], ['z'], then_branch=inner,
                                             else_branch=inner))
    model.graph.input.append(helper.make_tensor_value_info('c', TensorProto.BOOL, []))
    with pytest.raises(EngineError, match='If holds a graph'):
        converted(model.SerializeToString(), 'bf16')


@settings(deadline=None)   # the first imports torch
@given(st.lists(st.floats(-2**100, 2**100, width=32), min_size=1, max_size=20))
def test_bf16_weights_are_rounded_to_nearest(values):
    torch = pytest.importorskip('torch')
    array = np.array(values, np.float32)
    seen = lower._weight(numpy_helper.from_array(array, 'w'), 'w', 'bf16').raw_data
    assert seen == torch.tensor(array).bfloat16().view(torch.int16).numpy().tobytes()


def test_coordinates_are_found_through_other_nodes():
    def node(kind, inputs, output):
        return helper.make_node(kind, inputs, [output])
    graph = helper.make_graph([
        node('Conv', ['x', 'w'], 'feature'), node('Conv', ['feature', 'w'], 'offset'),
        node('Add', ['offset', 'base'], 'moved'), node('Mul', ['moved', 'scale'], 'grid'),
        node('GridSample', ['feature', 'grid'], 'y'), node('Conv', ['y', 'w'], 'z')],
        'g', [], [])
    assert in_f32(graph) == {1, 2, 3, 4}


def test_a_norm_that_is_written_out_does_not_overflow():
    """As ``FusedConcat`` has it: 300 squared is beyond f16, and its norm would be zero."""
    nodes = [helper.make_node(*parts) for parts in (
        ('Relu', ['x'], ['y']), ('Mul', ['y', 'y'], ['squares']),
        ('ReduceMean', ['squares', 'axes'], ['power']), ('Add', ['power', 'eps'], ['more']),
        ('Sqrt', ['more'], ['root']), ('Reciprocal', ['root'], ['share']),
        ('Mul', ['y', 'share'], ['z']))]
    graph = helper.make_graph(
        nodes, 'norm', [helper.make_tensor_value_info('x', TensorProto.FLOAT, (1, 4, 2, 2))],
        [helper.make_tensor_value_info('z', TensorProto.FLOAT, (1, 4, 2, 2))],
        [numpy_helper.from_array(np.array([1], np.int64), 'axes'),
         numpy_helper.from_array(np.array(1e-5, np.float32), 'eps')])
    assert in_f32(graph) == {1, 2, 3, 4, 5}
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)])
    x = np.random.default_rng(0).uniform(300, 5000, (1, 4, 2, 2)).astype(np.float32)
    wanted, seen = (ReferenceEvaluator(onnx.load_from_string(content)).run(
        None, {'x': x})[0] for content in (
            model.SerializeToString(), converted(model.SerializeToString(), 'f16')))
    assert np.abs(seen - wanted).max() < 2e-3 and wanted.min() > 0.05
