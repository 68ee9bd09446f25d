"""Errors of callbacks: outlived and told, unless they come one upon another."""

from demt_perception.ros import mishaps
from demt_perception.ros.mishaps import Mishaps, MOST, WITHIN


def fail(kept):
    try:
        raise MemoryError('no 24 MB')
    except MemoryError as error:
        return kept.outlive(error)


def test_an_error_is_outlived_and_told_once():
    kept = Mishaps()
    assert kept.take() == ''
    goes_on, text = fail(kept)
    assert goes_on
    assert 'a callback failed: MemoryError: no 24 MB' in text
    assert 'test_mishaps.py:' in text
    assert kept.take() == text
    assert kept.take() == ''


def test_too_many_at_once_are_not_outlived(monkeypatch):
    now = 0.0
    monkeypatch.setattr(mishaps.time, 'monotonic', lambda: now)
    kept = Mishaps()
    for _ in range(3 * MOST):   # far enough apart
        assert fail(kept)[0]
        now += 2 * WITHIN / MOST
    assert [fail(kept)[0] for _ in range(MOST)] == [True] * 4 + [False] * 6
