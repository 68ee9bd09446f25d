"""The two threads with a real predictor; the camera is a plain object."""

import threading
import time

import numpy as np
import pytest

from demt_perception.inference import EngineError, Predictor
from demt_perception.inference.task_sets import TaskSets
from demt_perception.ros.bad_image import BadImageError
from demt_perception.ros.frame import Picture, too_old_text, Wanted
from demt_perception.ros.frame_statistics import Statistics
from demt_perception.ros.pipeline import Pipeline

SECOND = 1_000_000_000
IMAGE = np.full((96, 160, 3), 100, np.uint8)


class Camera:
    """Messages are BGR arrays; what is published is kept."""

    def __init__(self, statistics):
        self.statistics = statistics
        self.published = []
        self.drops = []
        self.listeners = Wanted(frozenset({'semantic/image'}), ('semseg',), 1.0)
        self.info = self.focal = None
        self.max_age = 0.5
        self.time, self.is_simulated = 100 * SECOND, True
        self.sending = ''
        self.may_publish = threading.Event()
        self.may_publish.set()

    def look(self, message, card):
        assert card.name == 'tiny_model'
        if message is None:
            raise BadImageError('short_data', 'nothing there')
        return Picture(message, self.info, self.focal)

    def now(self):
        return self.time

    def wanted(self, card):
        return self.listeners

    def publish(self, result):
        assert self.may_publish.wait(20)
        assert result.predictions.semantic.shape == (96, 160)
        assert result.predictions.tasks == ('semseg',)
        self.published.append(result.frame.stamp)
        return {'semantic/image': 0.001}

    def report_drop(self, reason, text):
        self.statistics.drop(reason, text)


@pytest.fixture
def predictor(tiny_model):
    return TaskSets(Predictor(tiny_model, 'onnxruntime', 1))


@pytest.fixture
def work(predictor):
    """Return (pipeline, camera, statistics), running."""
    statistics = Statistics()
    camera = Camera(statistics)
    pipeline = Pipeline(predictor, [camera])
    pipeline.start()
    yield pipeline, camera, statistics
    camera.may_publish.set()
    pipeline.stop()


def wait_for(condition):
    limit = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.002)


def test_frames_come_out_in_order_with_all_their_stages(work):
    pipeline, node, statistics = work
    for n in range(5):
        pipeline.submit(node, IMAGE, 100 * SECOND - 1000 + n)
        wait_for(lambda n=n: len(node.published) == n + 1)
    assert node.published == [100 * SECOND - 1000 + n for n in range(5)]
    wait_for(lambda: statistics.snapshot().processed == 5)
    assert set(statistics.snapshot().stages) == {
        'receive', 'wait', 'convert', 'preprocess', 'engine', 'handover', 'semantic', 'publish',
        'publish semantic/image', 'total'}


def test_a_slow_publication_never_blocks_reception_and_the_newest_wins(work):
    pipeline, node, statistics = work
    node.may_publish.clear()
    begin = time.monotonic()
    for n in range(200):
        pipeline.submit(node, IMAGE, 99 * SECOND + SECOND // 2 + n)
        time.sleep(0.0005)
    assert time.monotonic() - begin < 10
    node.may_publish.set()
    wait_for(lambda: node.published and node.published[-1] == 99 * SECOND + SECOND // 2 + 199)
    wait_for(lambda: statistics.snapshot().processed == len(node.published))
    snapshot = statistics.snapshot()
    assert len(node.published) <= 4, 'one published, one ready, the newest'
    assert snapshot.drops['superseded'] + snapshot.processed == 200


@pytest.fixture
def before_run(work, predictor):
    """Return a list of functions that are called before each run of the engine."""
    calls, engine = [], predictor.whole.engine
    run = engine.run

    def called(image):
        for call in calls:
            call()
        return run(image)

    engine.run = called
    return calls


def test_old_frames_are_not_worked_on_unless_their_age_is_unknown(work, before_run):
    pipeline, node, statistics = work
    runs = []
    before_run.append(lambda: runs.append('run'))
    pipeline.submit(node, IMAGE, 99 * SECOND)
    wait_for(lambda: statistics.snapshot().drops.get('too_old') == 1)
    assert not runs
    node.time = 0
    pipeline.submit(node, IMAGE, 99 * SECOND)
    wait_for(lambda: len(node.published) == 1)
    assert runs == ['run']


def test_a_frame_that_becomes_too_old_in_the_engine_is_not_published(work, before_run):
    pipeline, node, statistics = work
    before_run.append(lambda: setattr(node, 'time', 101 * SECOND))
    pipeline.submit(node, IMAGE, 100 * SECOND)
    wait_for(lambda: node.published or statistics.snapshot().dropped)
    assert (node.published, statistics.snapshot().drops) == ([], {'too_old': 1})
    assert statistics.snapshot().processed == 0


def test_without_listeners_nothing_is_computed(work):
    pipeline, node, statistics = work
    node.listeners = None
    pipeline.submit(node, IMAGE, 100 * SECOND)
    wait_for(lambda: statistics.snapshot().idle == 1)
    assert not node.published
    assert statistics.snapshot().dropped == 0


def test_a_frame_that_fails_does_not_end_the_work(work):
    pipeline, node, statistics = work
    for bad, reason in ((None, 'short_data'), (np.zeros((2, 2), np.float32), 'engine_error')):
        pipeline.submit(node, bad, 100 * SECOND)
        wait_for(lambda reason=reason: statistics.snapshot().drops.get(reason) == 1)
    pipeline.submit(node, IMAGE, 100 * SECOND)
    wait_for(lambda: len(node.published) == 1)


@pytest.fixture
def together(free_model, any_batch):
    """Return (model, two unlike cameras, a function that starts a pipeline with frames in it).

    The model takes two images at once, as where a batch is faster: here whatever it gains.
    """
    model = Predictor(free_model, 'onnxruntime', 1)
    assert 'times as fast' in model.batch_with(2)
    assert model.together == 2
    cameras = [Camera(Statistics()) for _ in range(2)]
    for camera, focal in zip(cameras, (80.0, 160.0), strict=True):
        camera.focal, camera.info = (focal, focal), object()
    running = []

    def start(*messages):
        for pipeline in running:
            pipeline.stop()
        running[:] = [Pipeline(TaskSets(model), cameras)]
        for camera, message in zip(cameras, messages, strict=True):
            camera.results = []
            camera.publish = lambda result, camera=camera: camera.results.append(result) or {}
            running[0].submit(camera, message, 100 * SECOND)
        running[0].start()
        return running[0]

    yield model, cameras, start
    for pipeline in running:
        pipeline.stop()
    model.close()


def test_frames_of_several_cameras_go_together_and_come_out_apart(together):
    model, cameras, start = together
    rng = np.random.default_rng(3)
    images = [rng.integers(0, 256, (96, 160, 3), np.uint8) for _ in range(2)]
    pipeline = start(*images)
    wait_for(lambda: all(len(camera.results) == 1 for camera in cameras))
    for camera, image in zip(cameras, images, strict=True):
        assert np.array_equal(camera.results[0].predictions.semantic,
                              model.predict(image).semantic)
        assert camera.results[0].camera_info is camera.info
        assert camera.results[0].predictions.depth_scale == pytest.approx(
            camera.focal[0] / model.card.focal)
    # Of a batch each has the same share: that is how it is known to have been one.
    assert len({camera.results[0].predictions.timings['engine'] for camera in cameras}) == 1
    pipeline.submit(cameras[1], images[0], 100 * SECOND)
    wait_for(lambda: len(cameras[1].results) == 2)   # one alone waits for nobody


@pytest.mark.parametrize('bad', [False, True])
def test_what_is_not_alike_goes_one_by_one_and_a_bad_one_spoils_no_other(together, bad):
    model, cameras, start = together
    cameras[0].listeners = Wanted(frozenset({'depth/image'}), ('depth',), 1.0)
    start(None if bad else IMAGE, IMAGE)
    wait_for(lambda: len(cameras[1].results) == 1)
    assert cameras[1].results[0].predictions.tasks == ('semseg',)
    if bad:
        assert cameras[0].statistics.snapshot().drops == {'short_data': 1}
    else:
        wait_for(lambda: len(cameras[0].results) == 1)
        assert cameras[0].results[0].predictions.tasks == ('depth',)


def test_of_a_batch_that_fails_only_the_bad_frame_is_dropped(together):
    """At this scale nothing is left of a small picture: seen only when the model is to run."""
    model, cameras, start = together
    for camera in cameras:
        camera.listeners = Wanted(frozenset({'semantic/image'}), ('semseg',), 0.01)
    start(np.full((720, 1280, 3), 90, np.uint8), np.full((120, 160, 3), 90, np.uint8))
    wait_for(lambda: cameras[0].results and cameras[1].statistics.snapshot().dropped)
    assert cameras[0].results[0].predictions.size == (7, 13)
    assert not cameras[1].results
    assert [camera.statistics.snapshot().drops for camera in cameras] == [{}, {'engine_error': 1}]


def test_where_only_the_batch_fails_no_frame_is_dropped_and_the_engine_works(together):
    model, cameras, start = together
    batches = []

    def fail(images):
        batches.append(len(images))
        raise EngineError('out of memory')

    model._batch.run = fail
    pipeline = start(IMAGE, IMAGE)
    wait_for(lambda: all(camera.results for camera in cameras))
    assert batches == [2]
    assert [camera.statistics.snapshot().drops for camera in cameras] == [{}, {}]
    assert pipeline.works and pipeline._failures.frames == 0


def test_a_batch_that_fails_after_it_was_given_up_is_not_run_one_by_one(together):
    """Each frame of it could hang as long again, in an engine that is to be closed."""
    model, cameras, start = together
    at_work, go_on, runs = threading.Event(), threading.Event(), []

    def hang(images):
        at_work.set()
        assert go_on.wait(20)
        raise EngineError('the device is lost')

    model._batch.run, model.engine.run = hang, runs.append
    pipeline = start(IMAGE, IMAGE)
    assert at_work.wait(20)
    pipeline.give_up_hung(1.0)   # sees it inside
    assert 'has not come back' in pipeline.give_up_hung(3600.0)
    go_on.set()
    wait_for(lambda: not pipeline.lost)
    assert not runs
    assert [camera.statistics.snapshot().drops for camera in cameras] == [{'engine_hung': 1}] * 2


def test_stop_ends_both_threads_at_any_moment(predictor):
    statistics = Statistics()
    threads = []
    for n in range(20):
        node = Camera(statistics)
        pipeline = Pipeline(predictor, [node])
        pipeline.start()
        for _ in range(n % 4):
            pipeline.submit(node, IMAGE, 1)
        pipeline.stop()
        assert not pipeline.publication.thread.is_alive()
        assert not pipeline._worker.thread.is_alive()
        threads.append({thread for thread in threading.enumerate() if thread.name == 'spare'})
        pipeline.submit(node, IMAGE, 1)
    assert len(threads[0]) > 1 and set.union(*threads) == threads[0], 'they are used again'


def test_another_model_takes_over_between_two_frames(tiny_model, work):
    pipeline, node, statistics = work
    model = TaskSets(Predictor(tiny_model, 'onnxruntime', 1))
    at_work, go_on = threading.Event(), threading.Event()
    look = node.look

    def slow(message, card):
        at_work.set()
        assert go_on.wait(20)
        return look(message, card)

    other = TaskSets(Predictor(tiny_model, 'onnxruntime', 1))
    first = pipeline.go_on_with(model)   # the one before is closed: nobody is in it
    first.join(20)
    assert not first.is_alive()
    node.look = slow
    pipeline.submit(node, IMAGE, 100 * SECOND - 2)
    assert at_work.wait(20)
    pipeline.submit(node, IMAGE, 100 * SECOND - 1)   # it waits, and is not thrown away
    retiring = pipeline.go_on_with(other)
    assert retiring.is_alive(), 'a frame is in it'
    go_on.set()
    retiring.join(20)
    assert not retiring.is_alive()
    wait_for(lambda: len(node.published) == 2)
    assert not statistics.snapshot().dropped
    other.close()


def test_the_cure_fits_the_age():
    assert 'use_sim_time' in too_old_text(1e6, 0.5)
    assert 'clocks' in too_old_text(0.8, 0.5)
