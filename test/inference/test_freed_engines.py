"""Engines that fail while they are chosen or begun are closed: on a GPU they hold memory."""

import sys
import tracemalloc
import weakref

import numpy as np
import pytest

onnxruntime = pytest.importorskip('onnxruntime')

from known_engines import Clock, Compared, SHAPE

from demt_perception.inference import EngineError, engines, Predictor
from demt_perception.inference.conversion import converted
from demt_perception.inference.engines.building import Build
from demt_perception.inference.engines.onnxruntime import OnnxRuntimeEngine
from demt_perception.inference.engines.precision import settle, Trial


class Failing(Clock):
    """An engine that loads, and fails on a picture."""

    def __init__(self, precision, error):
        super().__init__(precision)
        self.failure = error

    def run(self, image):
        raise self.failure


@pytest.fixture
def closed(closes_of):
    """Return the list of ONNX Runtime's engines that are closed."""
    return closes_of(OnnxRuntimeEngine)


@pytest.mark.parametrize('error', [
    EngineError('out of memory'), MemoryError(), KeyboardInterrupt()])
def test_a_predictor_whose_first_run_fails_closes_its_engine(
        tiny_model, closed, monkeypatch, error):
    def run(self, image):
        raise error

    monkeypatch.setattr(OnnxRuntimeEngine, 'run', run)
    with pytest.raises(type(error)):
        Predictor(tiny_model, 'onnxruntime', 1)
    assert len(closed) == 1


def test_a_predictor_whose_graph_is_not_as_its_card_says_closes_its_engine(
        tiny_model, closed, monkeypatch):
    run = OnnxRuntimeEngine.run

    def without_depth(self, image):
        return {name: value for name, value in run(self, image).items() if name != 'depth'}

    monkeypatch.setattr(OnnxRuntimeEngine, 'run', without_depth)
    with pytest.raises(EngineError, match="output 'depth' of model tiny_model is missing"):
        Predictor(tiny_model, 'onnxruntime', 1)
    assert len(closed) == 1


def making(*engines):
    """Return a function that gives an engine by its precision, and the list of those it gave."""
    made = []

    def make(precision):
        made.append(next(engine for engine in engines if engine.precision == precision))
        return made[-1]

    return make, made


def test_a_precision_that_fails_on_a_picture_is_closed_and_the_next_one_taken(caplog):
    failing, good = Failing('f16', EngineError('no kernel image')), Clock('f32')
    make, made = making(failing, good)
    engine, why = settle('auto', ['f16', 'f32'], make, Compared)
    assert engine is good and made == [failing, good]
    assert failing.closed and not good.closed
    assert why.endswith('not f16: no kernel image')
    assert 'not f16: no kernel image' in caplog.text


@pytest.mark.parametrize(('asked', 'candidates'), [
    ('f16', ['f16', 'f32']), ('auto', ['f16'])])
@pytest.mark.parametrize('error', [EngineError('no kernel image'), MemoryError('of the library')])
def test_where_there_is_no_next_one_it_is_closed_and_its_error_passed_on(
        asked, candidates, error):
    failing = Failing('f16', error)
    make, _ = making(failing)
    with pytest.raises(type(error), match=str(error)):
        settle(asked, candidates, make, Compared)
    assert failing.closed


def test_what_is_no_error_of_an_engine_ends_the_search_and_closes_it():
    failing = Failing('f16', MemoryError('of the library'))
    make, made = making(failing, Clock('f32'))
    with pytest.raises(MemoryError):
        settle('auto', ['f16', 'f32'], make, Compared)
    assert failing.closed and made == [failing]


@pytest.mark.parametrize('fails', [False, True])
def test_the_engine_to_compare_with_where_there_is_no_onnxruntime_is_closed(
        tiny_model, monkeypatch, fails):
    monkeypatch.setitem(sys.modules, 'demt_perception.inference.engines.onnxruntime', None)
    monkeypatch.delattr(engines, 'onnxruntime', raising=False)
    exact = Failing('f32', EngineError('out of memory')) if fails else Clock('f32')
    fast = Clock('f16')
    trial = Trial((tiny_model / 'model.onnx').read_bytes(), SHAPE, 1, Build())
    if fails:
        with pytest.raises(EngineError, match='out of memory'):
            trial.figures(fast, lambda: exact)
    else:
        trial.figures(fast, lambda: exact)
    assert exact.closed and not fast.closed
    same = Clock('f32')
    Trial((tiny_model / 'model.onnx').read_bytes(), SHAPE, 1, Build()).figures(same, lambda: same)
    assert not same.closed, 'it is the one to judge'


@pytest.mark.parametrize('error', [EngineError('out of memory'), MemoryError()])
def test_an_engine_that_fails_on_a_batch_is_closed(
        free_model, closed, monkeypatch, any_batch, error):
    predictor, run = Predictor(free_model, 'onnxruntime', 1), OnnxRuntimeEngine.run
    bgr = np.full((96, 160, 3), 90, np.uint8)

    def run_one(self, image):
        if len(image) > 1:
            raise error
        return run(self, image)

    monkeypatch.setattr(OnnxRuntimeEngine, 'run', run_one)
    if isinstance(error, EngineError):
        assert predictor.batch_with(2) == 'one by one: out of memory'
    else:
        with pytest.raises(MemoryError):
            predictor.batch_with(2)
    assert len(closed) == 1 and closed[0] is not predictor.engine
    assert predictor.together == 1
    assert len(predictor.predict_batch([bgr, bgr])) == 2


@pytest.mark.parametrize('error', [None, RuntimeError('CUDA error: unspecified launch failure')])
def test_a_closed_torch_engine_gives_the_memory_of_its_gpu_back(monkeypatch, error):
    """Torch keeps what is freed for itself, until it is told to: when all of it is."""
    torch = pytest.importorskip('torch', reason='pip install torch')
    from demt_perception.inference.engines.torch import TorchEngine

    class Image:
        device, shape = torch.device('cuda'), SHAPE

    def graph(image):
        raise AssertionError

    def empty_cache():
        seen.append([one() for one in held])
        if error:
            raise error

    parts, seen = [graph, Image(), torch.empty(1)], []
    held = [weakref.ref(part) for part in parts]
    monkeypatch.setattr(torch, 'empty_like', lambda *_, **__: parts.pop())
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda device: 'some GPU')
    monkeypatch.setattr(torch.cuda, 'empty_cache', empty_cache)
    engine = TorchEngine(parts[0], [], parts[1], 'f32', '')
    parts.clear()
    del graph
    engine.close()
    engine.close()
    assert seen == [[None, None, None]]
    with pytest.raises(EngineError, match='closed'):
        engine.run(np.zeros(SHAPE, np.float32))


def test_a_closed_predictor_keeps_no_picture(tiny_model):
    tracemalloc.start()
    try:
        predictor = Predictor(tiny_model, 'onnxruntime', 1)
        predictor.predict(np.full((96, 160, 3), 90, np.uint8))
        least = 3 * 4 * np.prod(predictor.input_size)

        def kept():
            own = tracemalloc.Filter(True, '*/preprocess.py')
            traces = tracemalloc.take_snapshot().filter_traces([own]).traces
            return sum(trace.size for trace in traces)

        assert kept() >= least
        predictor.close()
        assert kept() < least / 10
    finally:
        tracemalloc.stop()


def test_no_graph_is_kept_by_who_converts_it():
    """A cache of converted graphs kept the last two, 27 MB of those that ship."""
    graph = bytes(range(100)) * 10
    before = sys.getrefcount(graph)
    assert converted(graph, 'f32') is graph
    assert sys.getrefcount(graph) == before
