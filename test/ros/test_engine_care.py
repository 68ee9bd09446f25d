"""An engine that hangs or fails: given up, replaced, and when the process is to end."""

import threading

import cv2
from hanging_work import fail_until_it_counts, hold_up, looks, working
import numpy as np
import pytest
from test_pipeline import SECOND, wait_for

from demt_perception.inference import EngineError, Predictor
from demt_perception.inference.engines.cuda_errors import of_code, of_words
from demt_perception.inference.task_sets import TaskSets
from demt_perception.ros import failures
from demt_perception.ros.engine_care import EngineCare, HungError, LOADING, LONGEST, PERIOD
from demt_perception.ros.frame import Picture
from demt_perception.ros.pipeline import FEWEST, FIRST
from demt_perception.ros.publication import HANGS_AFTER


@pytest.fixture
def work(tiny_model):
    with working(tiny_model) as work:
        yield work


def test_what_a_hung_engine_returns_is_thrown_away_and_another_goes_on(work):
    work.send()
    wait_for(lambda: len(work.camera.published) == 1)
    work.lose()
    assert not work.pipeline.give_up_hung(PERIOD)
    assert not work.pipeline.give_up_hung(FEWEST - 0.1), 'within the limit'
    assert 'has not come back' in work.pipeline.give_up_hung(0.2)
    assert work.pipeline.lost == 1
    assert work.drops == {'engine_hung': 1}
    work.send()   # waits for another engine
    retiring = work.replace()
    wait_for(lambda: len(work.camera.published) == 2)
    assert retiring.is_alive(), 'the first is not closed under the thread that is in it'
    work.go_on.set()
    retiring.join(20)
    wait_for(lambda: not work.pipeline.lost)
    work.send()
    wait_for(lambda: len(work.camera.published) == 3)
    assert work.camera.published == [100 * SECOND - 1000 + n for n in (1, 3, 4)]
    snapshot = work.camera.statistics.snapshot()
    assert snapshot.drops == {'engine_hung': 1}
    assert snapshot.processed == 3


def test_the_limit_follows_the_engine_and_doubles_until_there_is_a_result(work):
    work.predictors[0].whole.pace.usual = 0.5
    work.lose()
    work.pipeline.give_up_hung(1.0)   # sees it inside
    assert not work.pipeline.give_up_hung(9.9), '20 times its usual time'
    assert work.pipeline.give_up_hung(0.2)
    work.replace()
    work.predictors[-1].whole.pace.usual = 0.0
    work.lose()
    work.pipeline.give_up_hung(1.0)
    assert not work.pipeline.give_up_hung(2 * FEWEST - 0.1)
    assert work.pipeline.give_up_hung(0.2)
    work.replace()
    work.send()
    wait_for(lambda: work.camera.published)
    work.lose()
    work.pipeline.give_up_hung(1.0)
    assert work.pipeline.give_up_hung(FEWEST + 0.1)


def test_the_first_picture_of_a_size_may_take_as_long_as_a_gpu_is_prepared_for_it(work):
    """TensorRT builds an engine for each size, that prepares pictures."""
    predictor = work.predictors[0].whole
    prepare, seen, at_work = predictor._preprocess, [], threading.Event()

    def on_gpu(bgr):
        if bgr.shape not in seen:
            at_work.set()
            assert work.go_on.wait(30)
            seen.append(bgr.shape)
        return prepare(bgr)

    on_gpu.ready = seen.__contains__
    predictor._preprocess = on_gpu
    for size, count in ((96, 160), 1), ((50, 70), 2):
        work.go_on.clear()
        at_work.clear()
        work.camera.publish = lambda result: work.camera.published.append(0) or {}
        work.camera.look = lambda message, card, size=size: Picture(
            np.zeros((*size, 3), np.uint8), None, None)
        work.send()
        assert at_work.wait(20)
        work.pipeline.give_up_hung(1.0)   # sees it inside
        assert not work.pipeline.give_up_hung(FIRST - 1)
        work.go_on.set()
        wait_for(lambda count=count: len(work.camera.published) == count)
    assert not work.drops
    work.go_on.clear()
    work.lose()   # in the engine, with a size that it knows
    work.pipeline.give_up_hung(1.0)
    assert 'has not come back' in work.pipeline.give_up_hung(FEWEST)
    work.go_on.set()
    wait_for(lambda: not work.pipeline.lost)
    work.replace()
    predictor = work.predictors[-1].whole
    predictor._preprocess = on_gpu
    work.go_on.clear()
    at_work.clear()
    seen.clear()
    work.send()
    assert at_work.wait(20)
    work.pipeline.give_up_hung(1.0)
    assert not work.pipeline.give_up_hung(2 * FIRST - 1), 'one has hung before'
    assert 'has not come back' in work.pipeline.give_up_hung(2), 'but not for ever'


def test_a_model_that_came_meanwhile_goes_on_at_once(work):
    work.lose()
    retiring = work.replace()
    work.send()
    work.pipeline.give_up_hung(PERIOD)
    assert not work.pipeline.give_up_hung(FEWEST), 'nothing has to be loaded'
    wait_for(lambda: len(work.camera.published) == 1)
    assert work.drops == {'engine_hung': 1}
    work.go_on.set()
    retiring.join(20)


def test_stop_does_not_wait_for_a_hung_engine_for_ever(work, monkeypatch):
    monkeypatch.setattr('demt_perception.ros.pipeline.PATIENCE', 0.1)
    work.lose()
    work.pipeline.stop()
    assert work.pipeline.lost == 1


def test_care_has_another_engine_loaded_and_ends_the_process_at_the_third(work):
    care, now = EngineCare(), 0.0
    for lost in range(3):
        work.lose()
        if lost == 2:
            break
        wanted, now = looks(care, work.pipeline, 60, now)
        assert wanted
        assert 'has not come back' in care.trouble
        assert care.name == 'engine_hung'
        care.begin()
        assert 'another one is being loaded' in care.trouble
        assert looks(care, work.pipeline, 5, now)[0] is False, 'once'
        work.replace()
        care.renew()
        care.end()
        care.look(work.pipeline, now)
        assert not care.trouble
        assert care.restarts == lost + 1
    with pytest.raises(HungError, match=r'for [\d.]+ s, as 2 before it'):
        looks(care, work.pipeline, 60, now)


def test_care_tries_again_with_longer_pauses_and_forgets_them(work):
    care, now, pauses = EngineCare(), 0.0, []
    work.lose()
    wanted, now = looks(care, work.pipeline, 60, now)
    for _ in range(8):
        assert wanted
        care.begin()
        care.end('no such file')
        assert 'no such file, the next try is in' in care.trouble
        before = now
        wanted, now = looks(care, work.pipeline, 100, now)
        pauses.append(now - before)
    assert pauses == sorted(pauses)
    assert pauses[:3] == [2.0, 4.0, 8.0]
    assert pauses[-1] == LONGEST
    work.replace()
    care.renew()
    work.send()
    wait_for(lambda: work.camera.published)
    looks(care, work.pipeline, 1, now)
    assert care.trouble == ''


def test_an_engine_that_fails_on_everything_is_replaced_until_it_does_not(work, monkeypatch):
    monkeypatch.setattr(failures, 'SECONDS', 0.0)
    care, work.fail = EngineCare(), EngineError('of no use')
    for n in range(failures.FRAMES):
        assert not care.look(work.pipeline, n * PERIOD)
        work.send()
        wait_for(lambda n=n: work.drops.get('engine_error') == n + 1)
    assert care.look(work.pipeline, 2.0)
    assert care.name == 'engine_error'
    assert 'in a row: of no use' in care.trouble
    care.begin()
    care.end()
    assert not care.look(work.pipeline, 2.1)
    assert 'did not help' in care.trouble
    work.fail = None
    work.send()
    wait_for(lambda: work.camera.published)
    care.look(work.pipeline, 2.2)
    assert care.trouble == ''


@pytest.mark.parametrize('error', [
    of_code(719, 'cuStreamSynchronize failed: unspecified launch failure (719)'),
    of_words('torch failed on a frame: CUDA error: an illegal memory access was encountered')])
def test_a_gpu_that_is_lost_to_the_process_ends_it_instead_of_loading_in_vain(
        work, monkeypatch, error):
    monkeypatch.setattr(failures, 'SECONDS', 0.0)
    care, work.fail = EngineCare(), error
    assert not care.look(work.pipeline, 0.0)
    fail_until_it_counts(work)
    with pytest.raises(HungError, match=r'in a row: .*; the GPU is lost to this process: start'):
        care.look(work.pipeline, PERIOD)


@pytest.mark.parametrize('error', [MemoryError('for the picture'), TypeError('a library'),
                                   cv2.error('resize')])
def test_an_error_that_is_none_of_ours_is_the_engines_too(work, monkeypatch, error):
    monkeypatch.setattr(failures, 'SECONDS', 0.0)
    work.fail = error
    fail_until_it_counts(work)
    assert f'frames in a row: {type(error).__name__}: {error}' in work.pipeline.failure


def test_what_an_engine_says_of_its_values_is_its_own_fault(work, monkeypatch):
    monkeypatch.setattr(failures, 'SECONDS', 0.0)
    work.fail = ValueError('shapes that do not fit')
    fail_until_it_counts(work)
    assert 'onnxruntime failed: shapes that do not fit' in work.pipeline.failure


def test_a_picture_that_cannot_be_is_not_the_engines_fault(work, monkeypatch):
    monkeypatch.setattr(failures, 'SECONDS', 0.0)
    work.camera.look = lambda message, card: Picture(np.zeros((2, 2), np.float32), None, None)
    fail_until_it_counts(work)
    assert work.pipeline.failure == ''


def test_an_engine_that_had_no_frame_yet_is_not_replaced_and_pauses_are_kept(work, monkeypatch):
    monkeypatch.setattr(failures, 'SECONDS', 0.0)
    care, now, work.fail = EngineCare(), 0.0, EngineError('of no use')
    pauses = []
    for tries in range(3):
        fail_until_it_counts(work)
        wanted, at = looks(care, work.pipeline, 60, now)
        assert wanted
        pauses.append(at - now)
        care.begin()
        _, now = looks(care, work.pipeline, 20, at)   # it takes long to load
        work.replace()
        care.renew()
        care.end()
        if tries == 0:
            wanted, now = looks(care, work.pipeline, 300, now)   # the camera rests
            assert not wanted
            assert care.trouble == care.name == ''
    assert pauses == [PERIOD, PERIOD, 4.0], 'from the end of the loading, the first long over'
    work.fail = None
    work.send()
    wait_for(lambda: work.camera.published)
    assert not care.look(work.pipeline, now)
    work.fail = EngineError('again')
    fail_until_it_counts(work)
    assert care.look(work.pipeline, now), 'at once: the last engine gave a result'


def test_a_loading_that_hangs_ends_the_process(work):
    care = EngineCare()
    care.begin()
    with pytest.raises(HungError, match='loading'):
        looks(care, None, LOADING + 1)


def test_while_nothing_is_at_work_only_a_lost_engine_is_a_trouble(work, monkeypatch):
    monkeypatch.setattr(failures, 'SECONDS', 0.0)
    failing, hung, held_up = (EngineCare() for _ in range(3))
    work.fail = EngineError('of no use')
    fail_until_it_counts(work)
    assert failing.look(work.pipeline, 0.0)
    assert not failing.look(None, PERIOD)
    assert failing.trouble == failing.name == ''
    work.fail = None
    hold_up(work, '/node/depth/image')
    _, now = looks(held_up, work.pipeline, HANGS_AFTER + 1)
    assert held_up.name == 'publication_hung'
    held_up.look(None, now)
    assert held_up.trouble == held_up.name == ''
    work.camera.may_publish.set()
    work.lose()
    _, now = looks(hung, work.pipeline, 60)
    hung.look(None, now)
    assert hung.name == 'engine_hung'
    assert hung.trouble


def test_time_in_which_the_whole_process_stood_still_does_not_count(work):
    care = EngineCare()
    work.lose()
    for now in 0.0, 0.25, 1000.0, 2000.0:   # as after SIGSTOP and SIGCONT
        assert not care.look(work.pipeline, now)


def test_the_pace_of_an_engine(tiny_model):
    predictor = Predictor(tiny_model, 'onnxruntime', 1)
    assert 0 < predictor.pace.usual < 5, 'known from its first run on'
    predictors = TaskSets(predictor)
    for _ in range(30):
        predictors.predict(np.zeros((96, 160, 3), np.uint8))
    assert predictors.slow == ''
    for _ in range(20):
        predictor.pace.note(predictor.pace.usual + 0.05)
    assert 'the engine takes' in predictors.slow
    predictors.close()
