"""The two threads with a real predictor; the node around them is a plain object."""

import threading
import time

import numpy as np
import pytest

from demt_perception.inference import Predictor
from demt_perception.ros.bad_image import BadImageError
from demt_perception.ros.frame_statistics import Statistics
from demt_perception.ros.pipeline import Pipeline, too_old_text

SECOND = 1_000_000_000
IMAGE = np.full((96, 160, 3), 100, np.uint8)


class Surroundings:
    """Messages are BGR arrays; what is published is kept."""

    def __init__(self, statistics):
        self.statistics = statistics
        self.published = []
        self.drops = []
        self.listeners = frozenset({'semantic/image'})
        self.time = 100 * SECOND
        self.may_publish = threading.Event()
        self.may_publish.set()

    def decode(self, message):
        if message is None:
            raise BadImageError('short_data', 'nothing there')
        return message

    def now(self):
        return self.time

    def wanted(self):
        return self.listeners

    def camera_info(self, width, height):
        return None

    def publish(self, result):
        assert self.may_publish.wait(20)
        assert result.predictions.semantic.shape == (96, 160)
        self.published.append(result.frame.stamp)
        return 0.001

    def report_drop(self, reason, text):
        self.statistics.drop(reason, text)


@pytest.fixture(scope='module')
def predictor(tiny_model):
    return Predictor(tiny_model, 'onnxruntime', 1)


@pytest.fixture
def work(predictor):
    """Return (pipeline, surroundings, statistics), running."""
    statistics = Statistics()
    surroundings = Surroundings(statistics)
    pipeline = Pipeline(predictor, surroundings, statistics, max_age=0.5, output_scale=1.0)
    pipeline.start()
    yield pipeline, surroundings, statistics
    surroundings.may_publish.set()
    pipeline.stop()


def wait_for(condition):
    limit = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.002)


def test_frames_come_out_in_order_with_all_their_stages(work):
    pipeline, node, statistics = work
    for n in range(5):
        pipeline.submit(IMAGE, 100 * SECOND - 1000 + n)
        wait_for(lambda n=n: len(node.published) == n + 1)
    assert node.published == [100 * SECOND - 1000 + n for n in range(5)]
    wait_for(lambda: statistics.snapshot().processed == 5)
    assert set(statistics.snapshot().stages) == {
        'wait', 'convert', 'preprocess', 'engine', 'handover', 'semantic', 'publish', 'total'}


def test_a_slow_publication_never_blocks_reception_and_the_newest_wins(work):
    pipeline, node, statistics = work
    node.may_publish.clear()
    begin = time.monotonic()
    for n in range(200):
        pipeline.submit(IMAGE, 99 * SECOND + SECOND // 2 + n)
        time.sleep(0.0005)
    assert time.monotonic() - begin < 10
    node.may_publish.set()
    wait_for(lambda: node.published and node.published[-1] == 99 * SECOND + SECOND // 2 + 199)
    wait_for(lambda: statistics.snapshot().processed == len(node.published))
    snapshot = statistics.snapshot()
    assert len(node.published) <= 4, 'one published, one ready, the newest'
    assert snapshot.drops['superseded'] + snapshot.processed == 200


def test_old_frames_are_dropped_unless_their_age_is_unknown(work):
    pipeline, node, statistics = work
    pipeline.submit(IMAGE, 99 * SECOND)
    wait_for(lambda: statistics.snapshot().drops.get('too_old') == 1)
    node.time = 0
    pipeline.submit(IMAGE, 99 * SECOND)
    wait_for(lambda: len(node.published) == 1)


def test_without_listeners_nothing_is_computed(work):
    pipeline, node, statistics = work
    node.listeners = frozenset()
    pipeline.submit(IMAGE, 100 * SECOND)
    wait_for(lambda: statistics.snapshot().idle == 1)
    assert not node.published
    assert statistics.snapshot().dropped == 0


def test_a_frame_that_fails_does_not_end_the_work(work):
    pipeline, node, statistics = work
    for bad, reason in ((None, 'short_data'), (np.zeros((2, 2), np.float32), 'engine_error')):
        pipeline.submit(bad, 100 * SECOND)
        wait_for(lambda reason=reason: statistics.snapshot().drops.get(reason) == 1)
    pipeline.submit(IMAGE, 100 * SECOND)
    wait_for(lambda: len(node.published) == 1)


def test_stop_ends_both_threads_at_any_moment(predictor):
    statistics = Statistics()
    for n in range(20):
        before = threading.active_count()
        pipeline = Pipeline(predictor, Surroundings(statistics), statistics, 0, 1.0)
        pipeline.start()
        for _ in range(n % 4):
            pipeline.submit(IMAGE, 1)
        pipeline.stop()
        assert threading.active_count() == before
        pipeline.submit(IMAGE, 1)


def test_the_cure_fits_the_age():
    assert 'use_sim_time' in too_old_text(1e6, 0.5)
    assert 'clocks' in too_old_text(0.8, 0.5)
