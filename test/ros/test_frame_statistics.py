import threading
import time

import pytest

from demt_perception.ros.frame_statistics import Statistics, total


def test_counts_and_growth():
    statistics = Statistics()
    for _ in range(5):
        statistics.receive()
    assert statistics.drop('too_old', 'first') is True
    assert statistics.drop('too_old', 'second') is False
    statistics.note('resolution_changed')
    statistics.note('lost', times=7)
    statistics.rest()
    statistics.process({'engine': 0.010})
    first = statistics.snapshot()
    assert (first.received, first.processed, first.idle, first.dropped) == (5, 1, 1, 2)
    assert first.new == {'too_old': 2, 'resolution_changed': 1, 'lost': 7}
    assert first.details['too_old'] == 'second'
    statistics.drop('too_old')
    second = statistics.snapshot()
    assert second.new == {'too_old': 1}
    assert second.drops == {'too_old': 3}
    assert statistics.snapshot().new == {}


def test_rates_are_since_the_last_snapshot():
    statistics = Statistics()
    statistics.snapshot()
    begin = time.monotonic()
    for _ in range(10):
        statistics.receive()
    time.sleep(0.05)
    rate = statistics.snapshot().input_rate
    assert rate == pytest.approx(10 / (time.monotonic() - begin), rel=0.1)
    time.sleep(0.01)
    assert statistics.snapshot().input_rate == 0


def test_percentiles_in_milliseconds():
    statistics = Statistics()
    for n in range(100):
        statistics.process({'engine': n / 1000})
    p50, p95 = statistics.snapshot().stages['engine']
    assert p50 == pytest.approx(50, abs=1)
    assert p95 == pytest.approx(95, abs=1)


def test_old_samples_leave_the_window(monkeypatch):
    import demt_perception.ros.frame_statistics as module
    monkeypatch.setattr(module, 'WINDOW', 0.02)
    statistics = Statistics()
    statistics.process({'engine': 1.0})
    time.sleep(0.03)
    statistics.process({'wait': 0.5})
    assert set(statistics.snapshot().stages) == {'wait'}


def test_the_sum_of_several_cameras():
    one, two = Statistics(), Statistics()
    for _ in range(3):
        one.receive()
    two.receive()
    one.process({'engine': 1.0})
    one.drop('too_old', 'old')
    two.drop('too_old')
    two.drop('superseded')
    two.note('camera_infos')
    whole = total([one.snapshot(), two.snapshot()])
    assert (whole.received, whole.processed, whole.dropped) == (4, 1, 3)
    assert whole.drops == {'too_old': 2, 'superseded': 1}
    assert whole.new == {'too_old': 2, 'superseded': 1, 'camera_infos': 1}
    assert not whole.stages, "percentiles of different cameras' frames have no sum"
    single = one.snapshot()
    assert total([single]) is single
    assert total([]).received == 0


def test_threads_lose_no_count():
    statistics = Statistics()

    def count():
        for _ in range(2000):
            statistics.receive()
            statistics.drop('superseded')

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    snapshot = statistics.snapshot()
    assert snapshot.received == snapshot.dropped == 8000
