"""The figures' file and their arithmetic: no process is started, nothing is timed."""

from dataclasses import fields, replace
import json
import time

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from demt_perception.bench.compare import compare, comparison_table
from demt_perception.bench.energy import open_meter
from demt_perception.bench.figures import growth, paired_ratio, spread
from demt_perception.bench.host import describe_host
from demt_perception.bench.results import (
    BenchError,
    Combination,
    load_report,
    Measurement,
    NodeMeasurement,
    Report,
    save_report,
    Spread,
    Start,
    Trial,
)
from demt_perception.bench.table import growths, make_table
from demt_perception.ros.bench.search import find_peak, GREATEST, LEAST, TOLERANCE

numbers = st.floats(allow_nan=False, allow_infinity=False)
pairs = st.tuples(numbers, numbers)
sizes = st.tuples(st.integers(), st.integers())
spreads = st.builds(Spread, *[numbers] * 4, st.integers())
starts = st.builds(Start, *[numbers] * 3)
combinations = st.builds(Combination, st.text(), st.text(), st.text(), sizes, st.integers(),
                         st.integers())
measurements = st.builds(
    Measurement, combinations, st.text(), spreads, spreads, st.lists(numbers).map(tuple),
    st.lists(numbers).map(tuple), st.dictionaries(st.text(), numbers, max_size=3), numbers,
    numbers, st.none() | numbers, starts, starts, st.booleans(), st.text())
nodes = st.builds(
    NodeMeasurement, *[st.text()] * 4, st.integers(), sizes, numbers, numbers, st.integers(),
    numbers, st.dictionaries(st.text(), st.integers(), max_size=2), spreads,
    *[st.dictionaries(st.text(), pairs, max_size=2)] * 2, *[numbers] * 3,
    st.dictionaries(st.text(), numbers, max_size=2), numbers, st.booleans(),
    st.none() | numbers, st.lists(st.builds(Trial, *[numbers] * 3), max_size=2).map(tuple))
reports = st.builds(
    Report, st.dictionaries(st.text(), st.text(), max_size=2), st.text(), pairs, st.text(),
    st.lists(measurements, max_size=2).map(tuple), st.lists(nodes, max_size=2).map(tuple),
    st.dictionaries(st.text(), st.text(), max_size=2))


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    return tmp_path_factory.mktemp('bench') / 'a.json'


def measured(size=(96, 160), engine='onnxruntime', rounds=(2.0, 2.1, 2.2), model='m'):
    ms = spread(rounds)
    return Measurement(
        Combination(model, engine, 'f32', size, 1, 1), 'f32', ms, ms, tuple(rounds),
        tuple(rounds), {'engine': 2.0}, 500.0, 90.0, None, Start(0.1, 0.2, 0.3),
        Start(0.1, 0.2, 0.3), False, '')


def report(*rows, **changes):
    return replace(Report({'processor': 'a', 'cores': '2'}, 'bench', (0.0, 0.0), '', rows),
                   **changes)


@given(report=reports)
def test_a_file_holds_what_was_written(path, report):
    save_report(report, path)
    assert load_report(path) == report
    assert [p.name for p in path.parent.iterdir()] == ['a.json']


@given(content=st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5))
def test_any_other_json_is_refused_by_name(path, content):
    path.write_text(json.dumps(content))
    with pytest.raises(BenchError, match=r'a\.json'):
        load_report(path)


@pytest.mark.parametrize(('key', 'value', 'text'), [
    ('load', [1.0], 'report.load is .*want 2 values'),
    ('load', [1.0, 'x'], r"report.load\[1\] is 'x', want a number"),
    ('host', [], 'report.host is'),
    ('engines', {}, 'want a list'),
    ('failures', {'a': 1}, r"report.failures\['a'\] is 1, want str"),
    ('more', 1, 'want keys'),
])
def test_a_wrong_value_is_told_with_its_place(key, value, text, tmp_path):
    path = tmp_path / 'a.json'
    save_report(report(measured()), path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {key: value}))
    with pytest.raises(BenchError, match=text):
        load_report(path)


def test_what_is_no_json_is_refused(tmp_path):
    (tmp_path / 'a.json').write_text('{')
    with pytest.raises(BenchError, match='is not JSON'):
        load_report(tmp_path / 'a.json')


def test_percentiles():
    assert spread(range(101)) == Spread(50, 90, 95, 99, 101)
    assert spread([3]) == Spread(3, 3, 3, 3, 1)


@given(st.lists(st.tuples(st.floats(0.1, 1e3), st.floats(0.1, 1e3)), min_size=1, max_size=9),
       st.floats(0.5, 20))
def test_the_ratio_is_of_rounds_so_that_load_cancels(rounds, ratio):
    # The load of each round slows both down by the same factor: the ratio does not see it.
    other = [time * load for time, load in rounds]
    reference = [ratio * time for time in other]
    assert paired_ratio(reference, other) == pytest.approx((ratio, ratio, ratio))


@given(st.floats(0.3, 2), st.floats(1e-6, 1))
def test_growth_finds_the_exponent(exponent, scale):
    pixels = np.array([32768, 147456, 1179648])
    assert growth(pixels, scale * pixels ** exponent) == pytest.approx(exponent)


@pytest.mark.parametrize(('pixels', 'times'), [
    ([100, 100], [1, 2]), ([100], [1]), ([], []), ([0, 100], [1, 2]), ([100, 200], [0, 1])])
def test_no_growth_without_two_sizes_and_times(pixels, times):
    assert growth(pixels, times) is None


def test_growth_of_integers_beyond_floats():
    assert growth([10**400, 10**401], [1, 10]) == pytest.approx(1)


def test_growth_is_in_the_table():
    rows = [measured((96, 160), rounds=(1, 1, 1)), measured((192, 320), rounds=(4, 4, 4))]
    assert growths(rows) == {'m onnxruntime f32': pytest.approx(1)}
    assert 'grows as pixels^1.00' in make_table(report(*rows))


def test_comparison_tells_change_from_spread():
    before = report(measured(), measured(engine='openvino', rounds=(1.0, 1.1, 1.2)))
    after = report(measured(rounds=(4.0, 4.2, 4.4)),   # the machine is half as fast ...
                   measured(engine='openvino', rounds=(2.0, 2.2, 2.4)))
    found = {(change.name.split(' 1 threads: ')[-1], change.name.split()[2]): change
             for change in compare(before, after)}
    engine = found['engine', 'openvino']
    assert (engine.before, engine.after) == (1.1, 2.2)
    assert engine.ratio == pytest.approx(2)
    assert engine.beyond
    paired = found['times faster than the first', 'openvino']
    assert paired.ratio == pytest.approx(1)   # ... but not in relation to the other
    assert not paired.beyond
    assert found['peak memory', 'openvino'].beyond is None
    text = comparison_table(before, after)
    assert 'beyond the spread' in text
    assert 'within the spread' in text


def test_comparison_of_other_machines_says_so():
    text = comparison_table(report(measured()), report(measured(), host={'processor': 'b'}))
    assert 'processor: a, then b: the times do not compare' in text


@pytest.mark.parametrize(('changes', 'line'), [
    ({'image_size': (1080, 1920)}, 'size of the pictures: 720x1280, then 1080x1920'),
    ({'source': '/a.mp4'}, "source of the pictures: the package's, then /a.mp4"),
    ({'host': {'processor': 'a', 'cores': '2', 'gpu': 'H200'}}, 'gpu: -, then H200'),
    ({'engines': (replace(measured(), used='bf16 on openvino, CPU: as asked'),)},
     'm 96x160 onnxruntime f32, 1 threads ran in: f32, then bf16 on openvino, CPU'),
])
def test_what_does_not_compare_is_said(changes, line):
    before = report(measured(), image_size=(720, 1280))
    after = replace(before, **changes)
    assert f'{line}: the times do not compare\n' in comparison_table(before, after)
    assert 'do not compare' not in comparison_table(before, before)
    assert 'do not compare' not in comparison_table(after, after)


def test_why_an_engine_was_taken_is_no_difference():
    before, after = (report(replace(measured(), used=f'f32 on openvino, CPU: {why}'))
                     for why in ('built', 'loaded from the cache'))
    assert 'do not compare' not in comparison_table(before, after)


def node(**changes):
    ms = Spread(1.0, 1.0, 1.0, 1.0, 20)
    return NodeMeasurement(**{
        'model': 'm', 'engine': 'e', 'precision': 'f32', 'device': 'CPU', 'threads': 1,
        'image_size': (96, 160), 'rate': 10.0, 'seconds': 12.0, 'sent': 20, 'lost': 0.0,
        'lost_where': {}, 'latency': ms, 'topics': {}, 'stages': {}, 'overhead': 0.5,
        'memory_mb': 90.0, 'peak_memory_mb': 90.0, 'cpu': {}, 'first_frame_s': 1.0,
        'torch_loaded': False, 'peak_hz': None, 'trials': (), 'input_size': (96, 160), **changes})


@pytest.mark.parametrize(('changes', 'line'), [
    ({'rate': 20.0}, 'rate: 10.0 Hz, then 20.0 Hz'),
    ({'threads': 2}, 'threads: 1, then 2'),
    ({'device': 'GPU'}, 'device: CPU, then GPU'),
    ({'input_size': (192, 320)}, 'input size: 96x160, then 192x320'),
    ({'output_scale': 0.4}, 'output scale: 1, then 0.4'),
])
def test_nodes_that_do_not_compare_are_named(changes, line):
    before, after = report(nodes=(node(),)), report(nodes=(node(**changes),))
    assert f'node m e f32 160x96: {line}: the times do not compare\n' in comparison_table(
        before, after)
    assert 'do not compare' not in comparison_table(before, before)


def test_nodes_of_one_name_are_compared_each_with_its_own():
    both = report(nodes=(node(memory_mb=90.0), node(memory_mb=120.0)))
    found = [change for change in compare(both, both) if change.name.endswith('memory')]
    assert [change.before for change in found] == [change.after for change in found] == [90, 120]
    assert found[1].name == 'node m e f32 160x96 (2): memory'


def test_an_older_file_is_read_and_what_it_does_not_tell_is_not_known(tmp_path):
    path = tmp_path / 'a.json'
    save_report(report(measured(), nodes=(node(),), image_size=(720, 1280)), path)
    content = json.loads(path.read_text())
    del content['image_size'], content['source'], content['nodes'][0]['input_size']
    del content['nodes'][0]['output_scale']
    path.write_text(json.dumps(content))
    old = load_report(path)
    assert old.image_size is old.nodes[0].input_size is None and old.nodes[0].output_scale == 1
    new = report(measured(), image_size=(720, 1280))
    assert 'size of the pictures: not known, then 720x1280' in comparison_table(old, new)


def test_comparison_of_nothing_in_common():
    text = comparison_table(report(measured()), report(measured(model='other')))
    assert 'nothing in common' in text


@given(reports)
def test_every_report_has_a_table(report):
    rows = [replace(row, moment_rounds=row.moment_rounds or (1.0,),
                    engine_rounds=(1.0, *(abs(ms) + 1 for ms in row.engine_rounds)),
                    engine=replace(row.engine, median=abs(row.engine.median) + 1))
            for row in report.engines]
    text = make_table(replace(report, engines=tuple(rows)))
    for node in report.nodes:
        assert f'{node.sent} frames' in text
    for name in report.failures:
        assert f'not measured: {name}' in text


def test_a_combination_has_a_name_of_its_own():
    names = {str(Combination('m', 'e', 'f32', size, cameras, threads))
             for size in ((32, 64), (64, 64)) for cameras in (1, 2) for threads in (1, 2)}
    assert len(names) == 8


@given(peak=st.floats(0.1, 1000), start=st.floats(0.01, 1e4))
def test_search_finds_the_peak(peak, start):
    tried = []

    def is_good(rate):
        tried.append(rate)
        return rate <= peak

    found = find_peak(is_good, start)
    assert len(tried) < 30
    if peak < LEAST:
        assert found == 0
    elif peak >= GREATEST:
        assert found == GREATEST
    else:
        assert found <= peak <= found * TOLERANCE * 1.001


def powercap(root, microjoules, limit=1_000_000, number=0, name='package-0'):
    zone = root / f'sys/class/powercap/intel-rapl:{number}'
    part = root / f'sys/class/powercap/intel-rapl:{number}:0'
    for folder, label in ((zone, name), (part, 'core')):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'name').write_text(f'{label}\n')
        (folder / 'max_energy_range_uj').write_text(str(limit))
        (folder / 'energy_uj').write_text(str(microjoules))


def test_rapl_counts_on_where_its_counter_wraps(tmp_path):
    powercap(tmp_path, 900_000)
    meter, text = open_meter(tmp_path)
    assert text == 'RAPL, package-0'
    assert meter.read() == 0
    powercap(tmp_path, 100_000)
    assert meter.read() == pytest.approx(0.2, abs=1e-5)
    powercap(tmp_path, 600_000)
    assert meter.read() == pytest.approx(0.7, abs=1e-5)
    meter.close()


def test_what_the_board_counts_is_not_added_to_its_packages(tmp_path):
    powercap(tmp_path, 0, number=2, name='psys')
    assert open_meter(tmp_path)[1] == 'RAPL, psys'
    powercap(tmp_path, 0)
    powercap(tmp_path, 0, number=1, name='package-1')
    powercap(tmp_path, 0, number=3, name='dram')
    meter, text = open_meter(tmp_path)
    assert text == 'RAPL, package-0 + package-1'
    powercap(tmp_path, 500_000)
    powercap(tmp_path, 900_000, number=2, name='psys')
    assert meter.read() == pytest.approx(0.5)


def test_a_jetson_tells_watts(tmp_path):
    folder = tmp_path / 'sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3'
    folder.mkdir(parents=True)
    for name, text in (('in1_label', 'VDD_IN\n'), ('in1_input', '5000'), ('curr1_input', '2000'),
                       ('in2_label', 'VDD_CPU_GPU_CV'), ('in2_input', '1'), ('curr2_input', '1')):
        (folder / name).write_text(text)
    meter, text = open_meter(tmp_path)
    assert text == 'INA3221, VDD_IN'
    assert meter._watts() == 10
    limit = time.monotonic() + 20
    while not meter.read():
        assert time.monotonic() < limit
        time.sleep(0.01)
    meter.close()
    assert meter.read() > 0


def test_a_machine_that_tells_no_energy_says_so(tmp_path):
    assert open_meter(tmp_path) == (
        None, 'not told: neither RAPL counters nor an INA3221 sensor')


def test_the_host_is_described():
    host = describe_host()
    assert {'processor', 'cores', 'system', 'python', 'numpy', 'onnxruntime'} <= host.keys()
    assert all(isinstance(value, str) and value for value in host.values())


@pytest.mark.parametrize('name', ['NVIDIA H200, driver 570', ''])
def test_a_gpu_is_named_where_there_is_one(name, monkeypatch):
    monkeypatch.setattr('demt_perception.bench.host.gpu_name', lambda: name)
    assert describe_host().get('gpu', '') == name


def test_the_node_measurement_has_all_that_it_needs():
    assert {'peak_hz', 'overhead', 'first_frame_s', 'torch_loaded', 'cpu', 'memory_mb'} <= {
        one.name for one in fields(NodeMeasurement)}
