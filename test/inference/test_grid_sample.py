"""TensorRT samples as the graph says, though its parsers do not know the word for it."""

import pytest

onnx = pytest.importorskip('onnx')

from host_tensorrt import make_tensorrt
from onnx import helper

from demt_perception.inference import EngineError
from demt_perception.inference.engines import tensorrt_build
from demt_perception.inference.engines.grid_sample import (
    linear_samples,
    sample_linearly,
    with_old_name,
)

# TensorRT-RTX keeps no timings, and says so.
pytestmark = pytest.mark.filterwarnings('ignore::DeprecationWarning')
SHAPE = (1, 2, 8, 8)


def graph(*modes, opset=20):
    """Return a graph that samples once in each mode; None: without the attribute."""
    info = helper.make_tensor_value_info
    nodes = [helper.make_node('Transpose', ['image'], ['grid'], perm=[0, 2, 3, 1])]
    nodes += [helper.make_node('GridSample', ['image', 'grid'], [f'y{index}'],
                               **({'mode': mode} if mode else {}))
              for index, mode in enumerate(modes)]
    nodes.append(helper.make_node('Resize', ['y0', '', 'scales'], ['y'], mode='linear'))
    return helper.make_model(helper.make_graph(
        nodes, 'g', [info('image', 1, SHAPE)],
        [info(f'y{index}', 1, SHAPE) for index in range(len(modes))] + [info('y', 1, None)],
        [helper.make_tensor('scales', 1, [4], [1, 1, 2, 2])]),
        opset_imports=[helper.make_opsetid('', opset)], ir_version=9).SerializeToString()


def parsed(module, content):
    """Return what TensorRT's parser makes of a graph, and what has to live as long."""
    log = tensorrt_build.logger(module)
    builder = module.Builder(log)
    network = builder.create_network(
        1 << int(module.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = module.OnnxParser(network, log)
    assert parser.parse(content)
    return network, (log, builder, parser)


def modes(module, network):
    """Return how a network samples."""
    found = []
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if layer.type == module.LayerType.GRID_SAMPLE:
            layer.__class__ = module.IGridSampleLayer
            found.append(layer.interpolation_mode.name)
    return found


def test_linear_is_linear_and_all_else_stays_as_parsed():
    module, content = make_tensorrt(), graph('linear', 'nearest', None, 'linear')
    network, _alive = parsed(module, content)
    assert modes(module, network) == ['NEAREST', 'NEAREST', 'LINEAR', 'NEAREST'], 'as 10.3 does'
    sample_linearly(module, network, content)
    assert modes(module, network) == ['LINEAR', 'NEAREST', 'LINEAR', 'LINEAR']


def test_every_plan_is_built_so():
    module = make_tensorrt()
    tensorrt_build.build(module, graph('linear'), SHAPE)
    assert module.sampled == [['LINEAR']]


def test_a_layer_that_is_not_found_is_told():
    module, content = make_tensorrt(), graph('linear')
    network, _alive = parsed(module, graph('nearest', opset=16))
    with pytest.raises(EngineError, match=r'no layer for the GridSample that makes y1, which'):
        sample_linearly(module, network, graph('nearest', 'linear'))
    assert linear_samples(content) == {'y0'}


def test_the_old_name_is_put_into_what_onnxruntime_s_tensorrt_parses():
    seen = onnx.load_from_string(with_old_name(graph('linear', 'nearest')))
    assert {node.output[0]: attribute.s for node in seen.graph.node
            for attribute in node.attribute if attribute.name == 'mode'} == {
                'y0': b'bilinear', 'y1': b'nearest', 'y': b'linear'}, 'Resize has kept its name'
    same = graph('bilinear', opset=16)
    assert with_old_name(same) is same
