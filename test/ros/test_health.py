import pytest

from demt_perception.ros.frame_statistics import Snapshot
from demt_perception.ros.health import ERROR, Inference, memory_mb, OK, values, verdict, WARN


@pytest.mark.parametrize(('state', 'failure', 'snapshot', 'trouble', 'level', 'word'), [
    ('unconfigured', 'no such model', Snapshot(), '', ERROR, 'no such model'),
    ('unconfigured', '', Snapshot(), '', WARN, 'unconfigured'),
    ('inactive', '', Snapshot(), '', OK, 'inactive'),
    ('active', '', Snapshot(new={'engine_error': 3}, details={'engine_error': 'boom'}), '',
     ERROR, '3 new, boom'),
    ('active', '', Snapshot(), 'no frame on /image', WARN, 'no frame'),
    ('active', '', Snapshot(new={'wrong_step': 2}, details={'wrong_step': 'step is 1'}), '',
     WARN, 'wrong_step: 2 new, step is 1'),
    ('active', '', Snapshot(new={'superseded': 9}, input_rate=30, output_rate=21), '', OK,
     '30.0 Hz in, 21.0 Hz out'),
    ('active', '', Snapshot(idle=3, input_rate=30), '', OK, 'at rest'),
    ('active', '', Snapshot(input_rate=30, output_rate=30, stages={'total': (31.4, 40)}), '', OK,
     '31 ms from camera'),
])
def test_verdicts(state, failure, snapshot, trouble, level, word):
    seen, text = verdict(state, failure, snapshot, trouble)
    assert seen == level
    assert word in text


def test_values_hold_everything_as_text():
    snapshot = Snapshot(received=9, processed=5, idle=1, drops={'too_old': 3},
                        events={'bad_camera_info': 2}, stages={'engine': (1.234, 5.678)})
    pairs = values(Inference('m', 'openvino', 'CPU', 'bf16'), snapshot, 0.0123, 345.6)
    assert pairs['dropped'] == pairs['dropped_too_old'] == '3'
    assert pairs['bad_camera_info'] == '2'
    assert (pairs['engine_p50_ms'], pairs['engine_p95_ms']) == ('1.23', '5.68')
    assert (pairs['last_frame_age_s'], pairs['rss_mb']) == ('0.012', '346')
    assert {'engine', 'model', 'device', 'precision', 'input_rate', 'output_rate', 'received',
            'processed'} <= pairs.keys()


def test_memory_is_that_of_this_process():
    assert 5 < memory_mb() < 100_000
