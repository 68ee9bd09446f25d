import pytest

from demt_perception.ros.frame_statistics import Snapshot
from demt_perception.ros.health import (
    degraded,
    ERROR,
    Inference,
    OK,
    status_name,
    told_age,
    values,
    verdict,
    WARN,
    without,
)


@pytest.mark.parametrize(('state', 'failure', 'snapshot', 'trouble', 'level', 'word'), [
    ('unconfigured', 'no such model', Snapshot(), '', ERROR, 'no such model'),
    ('unconfigured', '', Snapshot(), '', WARN, 'unconfigured'),
    ('unconfigured, disabled by ~/enable', '', Snapshot(), '', WARN, 'unconfigured, disabled'),
    ('inactive', '', Snapshot(), '', OK, 'inactive'),
    ('active, disabled by ~/enable', '', Snapshot(), '', OK, 'active, disabled'),
    ('active', '', Snapshot(new={'engine_error': 3}, details={'engine_error': 'boom'}), '',
     ERROR, '3 new, boom'),
    ('active', '', Snapshot(), 'no frame on /image', WARN, 'no frame'),
    ('active', '', Snapshot(new={'wrong_step': 2}, details={'wrong_step': 'step is 1'}), '',
     WARN, 'wrong_step: 2 new, step is 1'),
    ('active', '', Snapshot(new={'superseded': 9}, input_rate=30, output_rate=21), '', OK,
     '30.0 Hz in, 21.0 Hz out'),
    ('active', '', Snapshot(idle=3, new={'not_wanted': 3}, input_rate=30), '', OK, 'at rest'),
    ('active', '', Snapshot(idle=9, new={'not_due': 3}, input_rate=30), '', OK,
     '30.0 Hz in, 0.0 Hz out: no task was due'),
    ('active', '', Snapshot(idle=9, new={'not_due': 9}, input_rate=30, output_rate=3), '', OK,
     '30.0 Hz in, 3.0 Hz out'),
    ('active', '', Snapshot(input_rate=30, output_rate=30, stages={'total': (31.4, 40)}), '', OK,
     '31 ms from camera'),
])
def test_verdicts(state, failure, snapshot, trouble, level, word):
    seen, text = verdict(state, failure, snapshot, trouble)
    assert seen == level
    assert word in text


def test_a_slow_engine_is_a_warning_unless_something_is_worse():
    snapshot = Snapshot(input_rate=30, output_rate=9, stages={'total': (90, 120)})
    assert verdict('active', '', snapshot, '', 'it takes 40 ms') == (WARN, 'it takes 40 ms')
    assert verdict('active', '', snapshot, 'no frame', 'it takes 40 ms') == (WARN, 'no frame')
    assert verdict('active', 'it hangs', snapshot, '', 'it takes 40 ms') == (ERROR, 'it hangs')


def test_all_that_is_not_as_it_should_be_has_a_name():
    usual = Snapshot(new={'superseded': 9, 'camera_infos': 30, 'resolution_changed': 1,
                          'not_due': 3, 'not_wanted': 2})
    assert degraded(Inference(), usual, '') == ()
    bad = Snapshot(new={'superseded': 9, 'too_old': 1, 'engine_error': 4})
    inference = Inference(building='9 s', slow='it takes 40 ms', trouble='engine_error')
    assert degraded(inference, bad, 'no frame on /image', ('covered', 'fog')) == (
        'engine_error', 'engine_slow', 'engine_stand_in', 'input', 'too_old',
        'self_check covered', 'self_check fog')


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


def test_nodes_of_one_name_in_two_namespaces_have_statuses_of_their_own():
    assert status_name('/front/eyes', 'inference') == 'front/eyes: inference'
    assert status_name('/eyes', 'inference') == 'eyes: inference'


@pytest.mark.parametrize(('age', 'told'), [
    (None, -1), (0.25, 0.25), (-0.02, -0.02), (-3600.0, -3600), (-1.0, -1.001),
    (-0.9997, -1.001), (-1.0004, -1.001), (-0.9993, -0.9993)])
def test_an_age_is_minus_one_only_where_it_is_not_known(age, told):
    assert told_age(age) == told


@pytest.mark.parametrize(('age', 'told'), [
    (None, 'unknown'), (0.25, '0.250'), (-1.0, '-1.000'), (-3600.0, '-3600.000')])
def test_diagnostics_say_that_an_age_is_not_known(age, told):
    assert values(Inference(), Snapshot(), age, 0)['last_frame_age_s'] == told


def test_an_event_that_troubles_nobody_is_counted_and_not_told():
    snapshot = Snapshot(events={'focal_assumed': 9}, new={'focal_assumed': 3, 'too_old': 1})
    less = without(snapshot, 'focal_assumed')
    assert degraded(Inference(), less, '') == ('too_old',)
    assert values(Inference(), less, None, 0)['focal_assumed'] == '9'
