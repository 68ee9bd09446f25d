"""A GPU that is busy, or lost, while an engine is loaded: the stand-in serves, and it is tried on.

In one process, without a GPU: what loads says that it is so.
"""

from dataclasses import replace

import pytest

rclpy = pytest.importorskip('rclpy', reason='ROS 2 is not installed')
pytest.importorskip('onnxruntime')

from exchanging import exchanging, SECONDS

from demt_perception.inference import building_apart, EngineError, Predictor
from demt_perception.inference.engines import NotBuiltError
from demt_perception.inference.engines.cuda_errors import of_code
from demt_perception.ros import exchange
from demt_perception.ros.engine_care import HungError, LONGEST, pause
from demt_perception.ros.exchange import LONGEST_OF_BUILDS
from demt_perception.ros.frame_statistics import Statistics
from demt_perception.ros.health import degraded

BUSY = of_code(2, 'cuMemAlloc_v2 failed: out of memory (2)')
LOST = of_code(719, 'cuStreamSynchronize failed: unspecified launch failure (719)')


@pytest.fixture
def bench(tiny_model, tmp_path, monkeypatch):
    with exchanging(tiny_model, tmp_path, monkeypatch) as bench:
        monkeypatch.setattr(exchange, 'LONGEST', 0.2)
        yield bench


@pytest.fixture
def loads(bench, monkeypatch):
    """Return (what was said at each try, what the next ones raise)."""
    said, errors, load = [], [], exchange.load_or_build

    def failing(settings, progress):
        said.append(bench.perception.building)
        if errors and settings.engine == 'onnxruntime':
            raise errors.pop(0)
        return load(settings, progress)

    monkeypatch.setattr(exchange, 'load_or_build', failing)
    return said, errors


@pytest.fixture
def pauses(monkeypatch):
    """Return after which tries there was a pause; each is short."""
    asked = []
    monkeypatch.setattr(exchange, 'pause', lambda tries, longest: asked.append(tries) or 0.2)
    return asked


def test_pauses_stay_short_however_often_it_was_tried():
    assert [pause(tries) for tries in range(1, 7)] == [2, 4, 8, 16, 32, LONGEST]
    assert pause(5000) == LONGEST, 'after some days'


def test_pauses_between_builds_grow_to_an_hour():
    assert [pause(tries, LONGEST_OF_BUILDS) for tries in (1, 2, 6, 11, 12, 5000)] == [
        2, 4, 64, 2048, 3600, 3600]


def test_an_engine_that_is_busy_is_tried_again_until_it_is_there(bench, loads, pauses):
    said, errors = loads
    errors += [BUSY, BUSY]
    bench.do(bench.exchange.finish_building, bench.perception)
    assert pauses == [1, 2]
    assert len(said) == 3
    for line in said[1:]:
        assert 'out of memory (2); close what else uses' in line
        assert line.endswith('; the next try is in 0 s')
    assert bench.perception.loads == 1
    assert bench.perception.building == bench.perception.failure == ''


def want_building(bench, monkeypatch, *errors):
    """Have an engine wanted that the cache has not; a builder fails with one error after another.

    Return how long each pause could be.
    """
    pytest.importorskip('openvino')
    bench.perception.settings = replace(bench.perception.settings, engine='openvino',
                                        precision='f32')
    left, asked = list(errors), []

    def build(*order):
        raise left.pop(0)

    monkeypatch.setattr(building_apart, 'run_apart', build)
    monkeypatch.setattr(exchange, 'pause', lambda tries, longest: asked.append(longest) or 0.2)
    return asked


def test_an_engine_that_would_have_to_be_built_each_time_is_tried_ever_less_often(
        bench, monkeypatch, capfd):
    """A GPU that is too small for the builder stays so, and each try takes a core for minutes."""
    asked = want_building(bench, monkeypatch, BUSY, BUSY, EngineError('refuses the graph'))
    bench.do(bench.exchange.finish_building, bench.perception)
    assert asked == [LONGEST_OF_BUILDS] * 2
    assert capfd.readouterr().err.count('next try is in 0 s; pauses double, up to 3600 s') == 2
    assert bench.perception.failure == 'engine openvino cannot be built: refuses the graph'


@pytest.mark.parametrize('cached', [True, False])
def test_an_engine_that_was_built_is_tried_each_minute(bench, monkeypatch, cached):
    """It is only to be loaded, from the cache or after the builder has come to its end."""
    asked = want_building(bench, monkeypatch)
    busy = [BUSY]

    def load(build, **options):
        if not cached and build.only_cached:
            raise NotBuiltError('not there')
        if busy:
            raise busy.pop()
        return Predictor(**{**options, 'engine': 'onnxruntime'})

    monkeypatch.setattr(building_apart, 'Predictor', load)
    monkeypatch.setattr(building_apart, 'run_apart', lambda *order: ('openvino:cpu', 'built'))
    bench.do(bench.exchange.finish_building, bench.perception)
    assert asked == [exchange.LONGEST]
    assert bench.perception.failure == ''


def test_a_long_pause_ends_soon_where_nobody_waits_for_its_end(bench, monkeypatch):
    want_building(bench, monkeypatch, BUSY)
    monkeypatch.setattr(exchange, 'pause', lambda tries, longest: longest)
    task = wait_for_a_pause(bench, 'in 3600 s')
    done, _ = bench.do(bench.exchange.load_model, bench.perception, '', 'onnxruntime:cpu')
    assert done
    bench.executor.spin_until_future_complete(task, SECONDS)
    assert task.done()


def wait_for_a_pause(bench, how_long='in 0 s'):
    """Begin to finish building; return the task when it waits for the next try."""
    task = bench.executor.create_task(bench.exchange.finish_building, bench.perception)
    for _ in range(SECONDS):
        if how_long in bench.perception.building:
            return task
        bench.executor.spin_once(1)
    raise AssertionError(bench.perception.building)


def test_meanwhile_it_is_degraded_and_counts_as_no_loading(bench, loads, pauses):
    loads[1].append(BUSY)
    task = wait_for_a_pause(bench)
    assert degraded(bench.engine, Statistics().snapshot(), '') == ('engine_stand_in',)
    assert not bench.exchange.is_loading(), 'or the process would not end cleanly'
    bench.executor.spin_until_future_complete(task, SECONDS)
    assert degraded(bench.engine, Statistics().snapshot(), '') == ()


def test_nobody_waits_for_the_engine_of_a_model_that_was_replaced(bench, loads, pauses):
    loads[1].extend([BUSY] * 9)
    task = wait_for_a_pause(bench)
    done, _ = bench.do(bench.exchange.load_model, bench.perception, '', 'onnxruntime:cpu')
    assert done and bench.perception.building == ''
    bench.executor.spin_until_future_complete(task, SECONDS)
    assert len(loads[1]) == 8, 'no other try'
    assert (bench.perception.loads, bench.perception.failure) == (1, '')


def test_what_fails_for_good_after_it_was_busy_is_told(bench, loads, pauses):
    loads[1].extend([BUSY, EngineError('refuses the graph')])
    bench.do(bench.exchange.finish_building, bench.perception)
    assert bench.perception.failure == 'engine onnxruntime cannot be built: refuses the graph'
    assert bench.perception.building == ''


def test_a_lost_gpu_ends_the_process_after_frames_went_on_for_a_while(bench, loads, pauses):
    """Not at once: where the next process finds it lost, too, there would be hardly a frame."""
    loads[1].append(LOST)
    wait_for_a_pause(bench)
    assert 'lost to this process' in bench.perception.building
    assert bench.perception.building.endswith('the process ends in 0 s')
    with pytest.raises(HungError, match=r'\(719\); the GPU is lost to this process'):
        for _ in range(SECONDS):
            bench.executor.spin_once(1)


def test_a_lost_gpu_does_not_matter_to_a_model_that_came_meanwhile(bench, loads, pauses):
    loads[1].append(LOST)
    task = wait_for_a_pause(bench)
    bench.do(bench.exchange.load_model, bench.perception, '', 'onnxruntime:cpu')
    bench.executor.spin_until_future_complete(task, SECONDS)
    assert task.done()


@pytest.mark.parametrize('closed', [False, True])
def test_a_gpu_that_is_lost_when_an_engine_is_loaded_anew_ends_the_process(
        bench, monkeypatch, closed):
    """Where not even the stand-in is to be had: there is nothing that could serve meanwhile."""
    def lost(settings):
        raise LOST

    monkeypatch.setattr(exchange, 'load_at_once', lost)
    bench.perception.care._hung = 'the engine hangs'
    bench.perception.care.begin()
    if closed:
        bench.do(bench.exchange.restart_engine, bench.perception, meanwhile=bench.perception.close)
        return
    with pytest.raises(HungError, match='the GPU is lost to this process'):
        bench.do(bench.exchange.restart_engine, bench.perception)


def test_the_stand_in_of_an_engine_that_was_given_up_gives_way_when_the_gpu_is_free(
        bench, loads, pauses, monkeypatch):
    monkeypatch.setattr(exchange, 'load_at_once', lambda settings: (
        Predictor(bench.folder, 'onnxruntime:cpu', 1), True))
    loads[1].append(BUSY)
    bench.perception.care._hung = 'the engine hangs'
    bench.perception.care.begin()
    bench.do(bench.exchange.restart_engine, bench.perception)
    assert (bench.perception.loads, bench.perception.care.restarts) == (2, 1)
    assert loads[0][0].endswith(': begins'), 'it is said from the start on'
    assert bench.perception.building == bench.perception.failure == ''


def test_the_shape_of_the_images_waits_for_the_engine_that_is_being_built(bench, loads, pauses):
    perception = bench.perception
    perception.settings = replace(perception.settings, match_aspect=True)
    loads[1].append(BUSY)
    task = wait_for_a_pause(bench)
    bench.do(bench.exchange.match_aspect, perception, (96, 48))
    assert perception.settings.image_size is None and not perception.keeps_shape
    bench.executor.spin_until_future_complete(task, SECONDS)
    bench.do(bench.exchange.match_aspect, perception, (96, 48))
    assert perception.settings.image_size == (96, 48)
