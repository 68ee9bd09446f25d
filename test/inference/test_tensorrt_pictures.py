"""Plans that make pictures ready: built apart, done without, and freed where they fail."""

import logging
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

pytest.importorskip('onnx')

from demt_perception.inference import EngineError, Predictor
from demt_perception.inference.engines import BusyError, cuda, LostError, tensorrt_picture
from demt_perception.inference.preprocess import Preprocessor

# TensorRT-RTX keeps no timings, and says so.
pytestmark = pytest.mark.filterwarnings('ignore::DeprecationWarning')
SIZE = (96, 160)
BGR = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8), (0, 0), 3)


@pytest.fixture
def predictor(tiny_model, driver):
    predictor = Predictor(tiny_model, 'tensorrt', 1, SIZE, precision='f32')
    yield predictor
    predictor.close()


def by_cpu(predictor):
    """Tell whether the CPU prepares a picture."""
    image = predictor._preprocess(BGR)
    if image is predictor.engine._runner.input:
        return False
    np.testing.assert_array_equal(image, Preprocessor(predictor.card, SIZE)(BGR))
    return True


class Slow:
    """A ``Work`` that another process is at."""

    def __init__(self, target, *arguments, name):
        self.alive = False
        self.finish = lambda: (target(*arguments), setattr(self, 'alive', False))

    def start(self):
        self.alive = True

    def is_alive(self):
        return self.alive


def test_the_cpu_serves_while_another_process_builds_one_size_at_a_time(
        predictor, trt, monkeypatch):
    monkeypatch.setattr(tensorrt_picture, 'Work', Slow)
    before, way = len(trt.builds), predictor._preprocess
    assert not way.ready(BGR.shape)
    assert by_cpu(predictor)
    first = way._building
    assert way.ready(BGR.shape), 'taken at once, by the CPU'
    way(np.zeros((50, 60, 3), np.uint8))
    assert by_cpu(predictor)
    assert way._building is first
    assert len(trt.builds) == before, 'nothing in this process'
    first.finish()
    assert not by_cpu(predictor)
    way(np.zeros((50, 60, 3), np.uint8))
    assert way._building is not first, 'the next size'


def test_the_other_process_builds_what_this_one_looks_for(predictor, trt, monkeypatch):
    orders = []
    real = tensorrt_picture.run_apart
    monkeypatch.setattr(tensorrt_picture, 'run_apart', lambda name, order, *rest: (
        orders.append((name, order)), real(name, order, *rest)))
    assert [by_cpu(predictor) for _ in range(3)] == [True, False, False]
    assert orders == [(tensorrt_picture.__name__, {
        'shape': (70, 90, 3), 'size': SIZE, 'mean': predictor.card.mean,
        'std': predictor.card.std})]


def said_in(caplog):
    return [record.message for record in caplog.records if 'pictures of' in record.message]


@pytest.mark.parametrize('error', [
    EngineError('TensorRT refuses it'), ValueError('TensorRT refuses it')])
def test_where_it_cannot_be_built_the_cpu_goes_on_and_says_so_once(
        predictor, monkeypatch, caplog, error):
    def fail(*order):
        raise error

    monkeypatch.setattr(tensorrt_picture, 'run_apart', fail)
    with caplog.at_level(logging.WARNING):
        assert all(by_cpu(predictor) for _ in range(3))
    assert said_in(caplog) == ['pictures of 90x70 are prepared on the CPU: TensorRT refuses it']
    assert predictor._preprocess.ready(BGR.shape)


def test_what_was_not_kept_is_said_and_no_remedy_that_cannot_help(
        predictor, monkeypatch, caplog):
    monkeypatch.setattr(tensorrt_picture, 'run_apart', lambda *order: 'not kept: no space left')
    assert all(by_cpu(predictor) for _ in range(3))
    said, = said_in(caplog)
    assert 'is not found in the cache (not kept: no space left); start again' in said
    assert 'demt build' not in said


def test_a_plan_that_lacked_memory_is_tried_again_after_a_pause(predictor, monkeypatch, caplog):
    def build(*order):
        tries.append(1)
        if len(tries) == 1:
            raise BusyError('out of memory')
        return real(*order)

    now, tries, real = [1000.0], [], tensorrt_picture.run_apart
    monkeypatch.setattr(tensorrt_picture, 'run_apart', build)
    monkeypatch.setattr(tensorrt_picture, 'time', SimpleNamespace(monotonic=lambda: now[0]))
    assert all(by_cpu(predictor) for _ in range(3))
    assert said_in(caplog) == [
        'pictures of 90x70 are prepared on the CPU: for 300 s: out of memory']
    assert len(tries) == 1 and predictor._preprocess.ready(BGR.shape)
    now[0] += tensorrt_picture.PAUSE
    assert [by_cpu(predictor) for _ in range(2)] == [True, False]
    assert len(tries) == 2


def test_a_plan_that_makes_something_else_than_the_cpu_is_left(
        predictor, driver, monkeypatch, caplog):
    real = tensorrt_picture.picture_graph
    monkeypatch.setattr(tensorrt_picture, 'picture_graph', lambda image, size, mean, std: real(
        image, size, [one - 5 for one in mean], std))
    assert by_cpu(predictor)
    before = driver.host_live()
    assert all(by_cpu(predictor) for _ in range(2))
    said, = said_in(caplog)
    assert "TensorRT's are off by 6 grey levels, want at most 3: update" in said
    assert driver.host_live() == before


def test_what_is_built_for_a_closed_engine_is_ended_and_not_spoken_of(
        predictor, monkeypatch, caplog):
    def build(name, order, say, wanted, remedy):
        assert wanted()
        predictor.close()
        assert not wanted()
        raise EngineError('nobody wants it any more')

    monkeypatch.setattr(tensorrt_picture, 'run_apart', build)
    predictor._preprocess(BGR)
    assert not said_in(caplog)


def test_what_another_process_cannot_keep_is_not_built_again_and_again(predictor, monkeypatch):
    calls = []
    monkeypatch.setattr(tensorrt_picture, 'run_apart', lambda *order: calls.append(order))
    assert all(by_cpu(predictor) for _ in range(4))
    assert len(calls) == 1


def test_without_a_cache_this_process_builds(predictor, trt, monkeypatch):
    monkeypatch.setenv('DEMT_CACHE', 'off')
    before = len(trt.builds)
    assert not by_cpu(predictor)
    assert len(trt.builds) == before + 1


def test_buffers_of_a_plan_that_fails_are_freed_and_the_cpu_goes_on(
        predictor, driver, monkeypatch):
    def fail(self, size):
        taken.append(pinned(self, (9,), np.dtype(np.uint8)))
        raise BusyError('out of memory (2)')

    pinned, taken = cuda.Device.pinned, []
    assert by_cpu(predictor)
    before = driver.host_live()
    monkeypatch.setattr(cuda.Device, 'memory', fail)
    assert all(by_cpu(predictor) for _ in range(3))
    assert len(taken) == 1
    assert driver.host_live() == before
    assert predictor.predict(BGR).depth.shape == (70, 90)


def test_a_lost_gpu_is_told_and_not_taken_for_a_plan_that_cannot_be_had(predictor, driver):
    assert by_cpu(predictor)
    driver.host_break(700)
    with pytest.raises(LostError):
        predictor._preprocess(BGR)


def test_warm_up_prepares_for_the_pictures_to_come_and_no_other_size(
        tiny_model, driver, trt, monkeypatch):
    orders = []
    monkeypatch.setattr(tensorrt_picture, 'run_apart', lambda name, order, *rest: orders.append(
        order['shape']))
    for size in (None, (70, 90)):
        predictor = Predictor(tiny_model, 'tensorrt', 1, SIZE, size, 'f32')
        before = driver.host_copies()
        predictor.warm_up()
        assert driver.host_copies() - before >= 3
        predictor.close()
    assert orders == [(70, 90, 3)]
