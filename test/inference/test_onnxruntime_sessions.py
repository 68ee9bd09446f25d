"""What ONNX Runtime is told when it loads a graph: sizes, devices, precision."""

import numpy as np
import pytest

onnxruntime = pytest.importorskip('onnxruntime')

from demt_perception.inference import EngineError
from demt_perception.inference.cutting import free_dimensions
from demt_perception.inference.engines import onnxruntime as engine
from demt_perception.inference.models import DEFAULT_MODEL, find_model

SHAPE = (1, 3, 96, 160)


@pytest.fixture(scope='module')
def shipped():
    return (find_model(DEFAULT_MODEL) / 'model.onnx').read_bytes()


def test_what_the_exporter_calls_the_sizes_is_fixed_and_computed_once(shipped, tiny_model):
    """By their real names: an override of a name that is not there is nothing, without a word."""
    assert free_dimensions(shipped) == {0: 'batch', 2: '32*height', 3: '32*width'}
    assert free_dimensions((tiny_model / 'model.onnx').read_bytes()) == {2: 'H', 3: 'W'}
    session = engine._session(shipped, SHAPE, 1, 'cpu')
    assert session.get_inputs()[0].shape == list(SHAPE)
    free = onnxruntime.InferenceSession(shipped, providers=['CPUExecutionProvider'])
    image = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    for seen, wanted in zip(session.run(None, {'image': image}),
                            free.run(None, {'image': image}), strict=True):
        np.testing.assert_allclose(seen, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('content', [b'', b'nothing', b'\x3a\x05\x5a\x03\x0a\x01\xff'])
def test_what_is_no_graph_is_an_engine_error(content):
    with pytest.raises(EngineError, match='refuses the graph'):
        engine._session(content, SHAPE, 1, 'cpu')


@pytest.fixture
def asked(monkeypatch):
    """Return what a session on another machine is asked for."""
    calls = []

    class Session:
        def __init__(self, graph, options, providers):
            calls.append((graph, providers))

        def get_providers(self):
            return [name for name, _ in calls[-1][1]]

    monkeypatch.setattr(onnxruntime, 'InferenceSession', Session)
    monkeypatch.setattr(onnxruntime, 'preload_dlls', lambda: calls.append('preloaded'),
                        raising=False)
    return calls


def test_on_a_gpu_libraries_that_pip_brought_are_found_and_f32_is_f32(asked, shipped):
    engine._session(shipped, SHAPE, 1, 'cuda')
    assert asked == ['preloaded', (shipped, [
        ('CUDAExecutionProvider', {'use_tf32': '0'}), ('CPUExecutionProvider', {})])]
    asked.clear()
    engine._session(shipped, SHAPE, 1, 'cpu')
    assert asked == [(shipped, [('CPUExecutionProvider', {})])]


def test_an_older_one_that_cannot_look_for_libraries_goes_without(asked, shipped, monkeypatch):
    monkeypatch.delattr(onnxruntime, 'preload_dlls')
    engine._session(shipped, SHAPE, 1, 'cuda')
    assert len(asked) == 1


def test_tensorrt_is_given_the_name_of_the_mode_that_it_knows(asked, shipped):
    onnx = pytest.importorskip('onnx', reason='changes the graph')
    engine._session(shipped, SHAPE, 1, 'tensorrt')
    _, (graph, _) = asked
    model = onnx.load_from_string(graph)
    assert [one.s for node in model.graph.node if node.op_type == 'GridSample'
            for one in node.attribute if one.name == 'mode'] == [b'bilinear'] * 4
