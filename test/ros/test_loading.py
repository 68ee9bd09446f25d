"""What a node loads at once, and what it still waits for."""

from dataclasses import replace
import gc
from pathlib import Path
import threading
import time
import weakref

import pytest
import yaml

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
onnxruntime = pytest.importorskip('onnxruntime')

from demt_perception.inference import EngineError, engines, Predictor
from demt_perception.inference.building_apart import BuildBusyError
from demt_perception.inference.cpu import cpu_name
from demt_perception.inference.engines import BusyError, LostError, NotBuiltError
from demt_perception.inference.engines import onnxruntime as engine
from demt_perception.ros import loading
from demt_perception.ros.loading import aside, load_at_once, load_or_build
from demt_perception.ros.parameters import read_settings

REFERENCE = Path(__file__).resolve().parents[2] / 'config' / 'perception.yaml'


@pytest.fixture
def settings(tiny_model, tmp_path, monkeypatch):
    """Return the settings of a node with defaults, but for model, engine and cache."""
    monkeypatch.setenv('DEMT_CACHE', str(tmp_path / 'engines'))
    values = yaml.safe_load(REFERENCE.read_text())['/**']['ros__parameters']
    return replace(read_settings(values.__getitem__), model=str(tiny_model),
                   engine='onnxruntime', threads=1)


def test_onnxruntime_serves_on_the_cpu_until_its_engine_on_the_gpu_is_built(
        settings, monkeypatch):
    predictor, more_to_come = load_at_once(settings)
    if 'CUDAExecutionProvider' not in onnxruntime.get_available_providers():
        assert not more_to_come
    predictor.close()
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: [
        'CUDAExecutionProvider', 'CPUExecutionProvider'])
    predictor, more_to_come = load_at_once(settings)
    assert more_to_come
    assert (predictor.engine.full_name, predictor.engine.device) == ('onnxruntime:cpu', cpu_name())
    predictor.close()


def test_onnxruntime_serves_on_the_cpu_where_the_gpu_is_out_of_memory_now(settings, monkeypatch):
    def fail(graph, shape, threads, device):
        if device == 'cuda':
            raise BusyError('out of memory')
        return session(graph, shape, threads, device)

    session = engine._session
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: [
        'CUDAExecutionProvider', 'CPUExecutionProvider'])
    monkeypatch.setattr(engine, '_session', lambda graph, shape, threads, device: session(
        graph, shape, threads, 'cpu'))
    settings = replace(settings, engine='onnxruntime:cuda', precision='f32')
    Predictor(settings.model, settings.engine, 1, precision='f32').close()
    monkeypatch.setattr(engine, '_session', fail)
    predictor, more_to_come = load_at_once(settings)
    assert more_to_come
    assert predictor.engine.device == cpu_name()
    predictor.close()


@pytest.fixture
def tensorrt_is(monkeypatch, settings):
    """Return a function: what TensorRT, built or not, fails with; and whether others have CUDA."""
    real = engines._load

    def set_error(error, built=True, others=False):
        def load(name, order, why):
            if name == 'tensorrt':
                raise error if built or not order.build.only_cached else NotBuiltError('not yet')
            if order.device != 'cuda':
                return real(name, order, why)
            if not others:
                raise EngineError('no such device')
            engine = real(name, order._replace(device='cpu'), why)
            engine.full_name = f'{name}:cuda'
            return engine

        monkeypatch.setattr(engines, '_load', load)

    monkeypatch.setattr(engines, 'has_gpu', lambda: True)
    monkeypatch.setenv('DEMT_CACHE', 'off')   # so that no other process builds, which knows none
    return set_error


@pytest.mark.parametrize('built', [True, False])
@pytest.mark.parametrize('error', [BusyError('out of memory'), LostError('lost')])
def test_auto_waits_for_a_gpu_that_is_busy_and_takes_no_other_engine_for_good(
        settings, tensorrt_is, error, built):
    settings = replace(settings, engine='auto')
    tensorrt_is(error, built)
    predictor, more_to_come = load_at_once(settings)
    assert (predictor.engine.full_name, more_to_come) == ('onnxruntime:cpu', True)
    predictor.close()
    with pytest.raises(type(error), match=str(error)):
        load_or_build(settings, lambda line: None)


@pytest.mark.parametrize('built', [True, False])
def test_what_auto_takes_for_a_busy_gpu_serves_where_there_is_no_other_stand_in(
        settings, tensorrt_is, freed, monkeypatch, built):
    settings = replace(settings, engine='auto')
    tensorrt_is(BusyError('out of memory'), built)
    monkeypatch.setattr(loading, 'MEANWHILE', 'nothing of the kind')
    predictor, more_to_come = load_at_once(settings)
    assert more_to_come
    assert 'not tensorrt, busy now: out of memory; not onnxruntime:cuda: no such device' in (
        predictor.engine.reason)
    predictor.close()
    freed.clear()
    with pytest.raises(BusyError, match='out of memory') as caught:
        load_or_build(settings, lambda line: None)
    assert caught.type is (BusyError if built else BuildBusyError)
    assert len(freed) == (0 if built else 1), 'the stand-in that was loaded in vain'


def test_another_engine_on_the_gpu_is_no_stand_in(settings, tensorrt_is):
    """One on whose GPU there is never memory for TensorRT's builder would have none."""
    tensorrt_is(BusyError('out of memory'), built=False, others=True)
    predictor = load_or_build(replace(settings, engine='auto'), lambda line: None)
    assert predictor.engine.full_name == 'onnxruntime:cuda'
    assert 'not tensorrt, busy now' in predictor.engine.reason
    predictor.close()


def test_what_fails_to_load_keeps_nothing_that_it_had_loaded():
    """Nor until Python looks for circles: the next try needs the memory."""
    class Plan:
        pass

    held, done = [], threading.Event()

    def fail():
        plan = Plan()
        held.append(weakref.ref(plan))
        raise BusyError('out of memory')

    results = []
    gc.disable()
    try:
        aside(fail, lambda result: (results.append(str(result)), done.set()))
        assert done.wait(20)
        for _ in range(100):   # the thread lets go of it a little later
            if held[0]() is None:
                break
            time.sleep(0.05)
        assert held[0]() is None
    finally:
        gc.enable()
    assert results == ['out of memory']


@pytest.mark.parametrize('stage', ['warm_up', 'batch_with'])
@pytest.mark.parametrize('load', [
    lambda settings: load_at_once(settings),
    lambda settings: load_or_build(settings, lambda line: None)], ids=['at_once', 'or_build'])
def test_what_fails_while_it_is_warmed_up_is_closed(settings, freed, monkeypatch, stage, load):
    def fail(*arguments):
        raise EngineError('out of memory')

    monkeypatch.setattr(Predictor, stage, fail)
    monkeypatch.setattr(loading, 'has_gpu', lambda: True)
    monkeypatch.setattr(loading, 'cpu_name', lambda: 'as if the engine ran elsewhere')
    with pytest.raises(EngineError, match='out of memory'):
        load(replace(settings, cameras=('front', 'rear')))
    assert len(freed) == 1


@pytest.mark.parametrize(('cameras', 'on_gpu', 'asked'), [
    (('front', 'rear'), True, [2]), (('front', 'rear'), False, []), (('',), True, [])])
def test_frames_go_together_only_where_a_gpu_runs_them_for_several_cameras(
        settings, monkeypatch, cameras, on_gpu, asked):
    """An engine may run on the CPU though there is a GPU: there batches gain nothing."""
    counts = []
    monkeypatch.setattr(Predictor, 'batch_with', lambda self, count: counts.append(count))
    monkeypatch.setattr(loading, 'has_gpu', lambda: True)
    if on_gpu:
        monkeypatch.setattr(loading, 'cpu_name', lambda: 'as if the engine ran elsewhere')
    load_at_once(replace(settings, cameras=cameras))[0].close()
    assert counts == asked
