"""What a node loads at once, and what it still waits for."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
onnxruntime = pytest.importorskip('onnxruntime')

from demt_perception.inference import EngineError, Predictor
from demt_perception.inference.cpu import cpu_name
from demt_perception.inference.engines import BusyError
from demt_perception.inference.engines import onnxruntime as engine
from demt_perception.ros import loading
from demt_perception.ros.loading import load_at_once, load_or_build
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
