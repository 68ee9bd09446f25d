"""One function over many shards gives the same by whichever way it is spread."""

from functools import partial
import math
import operator
import os

import pytest

from demt_perception.training.spread import spread

# Of the standard library, so that every process can import it.
RECIPROCAL = partial(operator.truediv, 1)


@pytest.mark.parametrize('ways', [{}, {'processes': 3}, {'processes': 2, 'fresh': True}])
def test_every_shard_is_done_once(ways):
    assert sorted(spread(math.factorial, range(7), **ways)) == [1, 1, 2, 6, 24, 120, 720]
    assert list(spread(math.factorial, [], **ways)) == []


def test_a_ray_that_runs_is_used_and_gives_the_same():
    ray = pytest.importorskip('ray', reason='pip install ray')
    try:
        ray.init(address='local', num_cpus=2, include_dashboard=False, log_to_driver=False,
                 object_store_memory=100 * 2 ** 20)
        assert sorted(spread(math.factorial, range(7), ray='local')) == [
            1, 1, 2, 6, 24, 120, 720]
        with pytest.raises(ZeroDivisionError):
            list(spread(RECIPROCAL, [0], ray='local'))
        assert ray.is_initialized()
    finally:
        ray.shutdown()


def test_fresh_processes_are_not_used_twice():
    pids = list(spread(eval, ["__import__('os').getpid()"] * 3, processes=2, fresh=True))
    assert len({*pids, os.getpid()}) == 4


@pytest.mark.parametrize('ways', [{}, {'processes': 2}, {'fresh': True}])
def test_an_error_of_the_function_is_raised_as_it_is(ways):
    with pytest.raises(ZeroDivisionError):
        list(spread(RECIPROCAL, [1, 0, 2], **ways))


def test_a_process_that_dies_is_an_error_and_no_endless_wait():
    for fresh in (False, True):
        with pytest.raises(ChildProcessError, match='fewer processes'):
            list(spread(os._exit, [3, 3], processes=2, fresh=fresh))


@pytest.mark.parametrize('address', ['127.0.0.1:1', 'nonsense'])
def test_a_cluster_that_is_not_there_says_what_to_do(address, monkeypatch):
    pytest.importorskip('ray', reason='pip install ray')
    monkeypatch.delenv('RAY_ADDRESS', raising=False)
    with pytest.raises(ConnectionError, match='ray start'):
        list(spread(math.factorial, [1], ray=address))


def test_no_process_at_all_is_refused():
    with pytest.raises(ValueError, match='processes 0'):
        list(spread(math.factorial, [1], processes=0))
