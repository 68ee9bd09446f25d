"""Which engine is taken where a GPU's has to be built first, or a library fails in its own way."""

import sys

import pytest

onnxruntime = pytest.importorskip('onnxruntime')

from demt_perception.inference import EngineError, engines, Predictor
from demt_perception.inference.engines import (
    BusyError,
    create_engine,
    LostError,
    NotBuiltError,
)
from demt_perception.inference.engines import onnxruntime as engine
from demt_perception.inference.engines.building import Build

SHAPE = (1, 3, 96, 160)
ONLY_CACHED = Build(only_cached=True)


@pytest.fixture(scope='module')
def graph(tiny_model):
    return (tiny_model / 'model.onnx').read_bytes()


@pytest.fixture
def cuda(monkeypatch, tmp_path):
    """ONNX Runtime says that it has CUDA; a session there is one on the CPU. No TensorRT."""
    session = engine._session
    monkeypatch.setenv('DEMT_CACHE', str(tmp_path / 'engines'))
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: [
        'CUDAExecutionProvider', 'CPUExecutionProvider'])
    monkeypatch.setattr(engine, '_session', lambda graph, shape, threads, device: session(
        graph, shape, threads, 'cpu'))
    monkeypatch.setattr(engines, 'has_gpu', lambda: True)
    monkeypatch.setitem(sys.modules, 'tensorrt', None)


@pytest.mark.parametrize('name', ['onnxruntime', 'onnxruntime:cuda', 'auto'])
def test_what_its_gpu_needs_built_is_waited_for_and_the_cpu_not_settled_for(graph, cuda, name):
    with pytest.raises(NotBuiltError, match='onnxruntime cuda has not been built yet: see demt'):
        create_engine(name, graph, SHAPE, 1, 'f32', ONLY_CACHED)
    create_engine(name, graph, SHAPE, 1, 'f32').close()
    again = create_engine(name, graph, SHAPE, 1, 'f32', ONLY_CACHED)
    assert again.device.endswith('(cuda)')
    assert 'as chosen before' in again.reason


@pytest.fixture
def cuda_fails(cuda, monkeypatch):
    """Return a function: what a session on CUDA fails with from then on."""
    session = engine._session

    def set_error(error):
        def fail(graph, shape, threads, device):
            if device == 'cuda':
                raise error
            return session(graph, shape, threads, device)

        monkeypatch.setattr(engine, '_session', fail)

    return set_error


@pytest.mark.parametrize('name', ['onnxruntime', 'auto'])
def test_a_gpu_that_is_busy_is_waited_for_where_its_engine_is_in_the_cache(
        graph, cuda_fails, name):
    """Another one in the cache, OpenVINO say, is not to take its place for good."""
    create_engine('auto', graph, SHAPE, 1, 'f32').close()
    create_engine('openvino', graph, SHAPE, 1, 'f32').close()
    cuda_fails(BusyError('out of memory'))
    with pytest.raises(BusyError, match='out of memory'):
        create_engine(name, graph, SHAPE, 1, 'f32', ONLY_CACHED)
    chosen = create_engine(name, graph, SHAPE, 1, 'f32')
    assert ', busy now: out of memory' in chosen.reason, 'who builds is told, and served'
    assert not chosen.device.endswith('(cuda)')
    chosen.close()


@pytest.mark.parametrize('name', ['onnxruntime', 'auto'])
@pytest.mark.parametrize('build', [None, ONLY_CACHED])
def test_a_lost_gpu_is_told_whatever_else_could_be_taken(graph, cuda_fails, name, build):
    create_engine('auto', graph, SHAPE, 1, 'f32').close()
    cuda_fails(LostError('illegal memory access'))
    with pytest.raises(LostError):
        create_engine(name, graph, SHAPE, 1, 'f32', build)


def test_another_predictor_like_it_runs_on_the_device_that_auto_chose(free_model, cuda, any_batch):
    """For ``onnxruntime`` alone what is not built there yet could be the CPU."""
    whole = Predictor(free_model, 'auto', 1, precision='f32')
    assert (whole.engine.name, whole.engine.full_name) == ('onnxruntime', 'onnxruntime:cuda')
    options = whole.options_of(('depth',))
    assert options['engine'] == 'onnxruntime:cuda'
    with pytest.raises(NotBuiltError, match='onnxruntime cuda'):
        Predictor(**options, build=ONLY_CACHED)
    assert Predictor(**options).engine.device == whole.engine.device
    assert 'times as fast' in whole.batch_with(2)
    assert whole._batch.full_name == 'onnxruntime:cuda'


@pytest.mark.parametrize(('asked', 'wanted'), [
    ('onnxruntime', 'onnxruntime'), ('onnxruntime:cpu', 'onnxruntime:cpu')])
def test_who_asks_for_an_engine_by_name_gets_others_by_that_name(tiny_model, asked, wanted):
    predictor = Predictor(tiny_model, asked, 1)
    assert predictor.options_of(('depth',))['engine'] == predictor.engine.full_name == wanted


def test_what_a_library_raises_is_an_engine_error_and_auto_takes_the_next(graph, monkeypatch):
    openvino = pytest.importorskip('openvino')

    def refuse():
        raise TypeError('incompatible constructor arguments')

    monkeypatch.setattr(openvino, 'Core', refuse)
    said = r'openvino cannot start \(TypeError: incompatible .*pip install openvino'
    with pytest.raises(EngineError, match=said):
        create_engine('openvino', graph, SHAPE, 1)
    chosen = create_engine('auto', graph, SHAPE, 1)
    assert chosen.name == 'onnxruntime'
    assert 'not openvino: openvino cannot start (TypeError' in chosen.reason
