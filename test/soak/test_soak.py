"""The soak in short, and what its report rests on: what grows is found, what does not is not."""

import json
import os
from pathlib import Path
import subprocess
import sys

import numpy as np
from process_figures import figures, mappings
import pytest
from soak_figures import in_latencies, judged, read_record, slope, slope_within, summary

HERE = Path(__file__).parent
FAULTS = ['malformed', 'stamps ahead', 'bad parameter', 'enable', 'deactivate', 'camera restarts',
          'subscribers', 'clean up']


def test_a_short_soak_is_as_it_has_to_be(tiny_model, tmp_path):
    pytest.importorskip('rclpy', reason='ROS 2 is not installed')
    done = subprocess.run(
        [sys.executable, HERE / 'soak.py', '--seconds', '9', '--sampling', '0.5', '--seed', '2',
         '--engine', 'onnxruntime', '--model', tiny_model, '--out', tmp_path, '--only', *FAULTS],
        env=os.environ, capture_output=True, text=True, timeout=300)
    records = read_record(tmp_path / 'soak.jsonl')
    found = summary(records)
    said = done.stdout + done.stderr
    for name in ('deaths', 'wrong_outputs', 'driver_errors', 'not_as_expected'):
        assert found[name] == 0, said
    assert all(fault['recovery'] is not None for fault in records['fault']), said
    assert found['faults'] >= 1
    assert found['ended']['code'] == 0
    assert found['ended']['tracebacks'] == 0 and 'log' not in found['ended']
    assert found['outputs']['semantic/image'] > 5
    assert {fault['name'] for fault in records['fault']} <= set(FAULTS)
    assert 'recovery p50' in (tmp_path / 'soak.md').read_text()
    assert (tmp_path / 'soak.png').read_bytes().startswith(b'\x89PNG')
    assert json.loads((tmp_path / 'soak.json').read_text())['faults'] == found['faults']

    # The report can be made while it runs: the last line may be cut.
    whole = (tmp_path / 'soak.jsonl').read_text()
    (tmp_path / 'soak.jsonl').write_text(whole[:len(whole) * 2 // 3])
    again = summary(read_record(tmp_path / 'soak.jsonl'))
    assert again['ended'] is None
    assert again['faults'] <= found['faults']


def test_the_page_has_a_place_for_the_report():
    pytest.importorskip('matplotlib')
    from soak_report import PAGE, ROOT

    page = (ROOT / 'docs' / 'reliability.md').read_text()
    assert PAGE.subn('new', page)[1] == 1


def test_a_way_back_is_measured_by_the_latency_before():
    samples = [{'t': t, 'latency': latency} for t, latency in (
        (0, [200, 0, 0]), (5, None), (10, [400, 0, 0]), (60, [9000, 0, 0]))]
    faults = [{'t': 25, 'seconds': 10, 'recovery': 0.6}, {'t': 8, 'seconds': 4, 'recovery': None}]
    assert in_latencies(faults, samples) == [pytest.approx(2)]


def test_growth_is_found_and_noise_is_not():
    times = np.arange(0, 7200, 5.0)
    noise = np.random.default_rng(0).normal(0, 3, len(times))
    rate, low, high = slope(times, 300 + noise)
    assert low < 0 < high
    assert high - low < 1
    rate, low, high = slope(times, 300 + 5 * times / 3600 + noise)
    assert low < 5 < high
    assert low > 1


def test_noise_that_stays_for_a_while_widens_the_interval():
    times = np.arange(0, 7200, 5.0)
    random = np.random.default_rng(1)
    wandering = np.cumsum(random.normal(0, 1, len(times)))
    independent = random.normal(0, wandering.std(), len(times))
    width = [high - low for _, low, high in (slope(times, wandering), slope(times, independent))]
    assert width[0] > 3 * width[1]


def test_growth_within_groups_is_found_below_levels_that_differ():
    random = np.random.default_rng(2)
    times = np.arange(0, 7200, 5.0)
    groups = (times // 200).astype(int)
    levels = random.normal(300, 30, groups.max() + 1)[groups] + random.normal(0, 0.05, len(times))
    rate, low, high = slope_within(groups, times, levels)
    assert low < 0 < high
    assert abs(rate) < 1
    rate, low, high = slope_within(groups, times, levels + 4 * times / 3600)
    assert low < 4 < high
    assert low > 3


def test_too_little_says_so():
    assert slope([], []) is None
    assert slope([0, 1, 2], [1, 2, 3], block=1) is None
    assert slope_within([1, 1, 2], [0, 1, 2], [1, 2, 3]) is None


def test_only_the_longest_life_after_the_warm_up_is_judged():
    records = {'begin': [{'seconds': 100, 'warm_up': 0.25}], 'sample': [
        {'t': t, 'pid': 1 if t < 20 else 2} for t in range(0, 100, 5)]}
    found = judged(records)
    assert {sample['pid'] for sample in found} == {2}
    assert found[0]['t'] == 35, 'a process needs time of its own to warm up'


def test_figures_of_a_process_follow_what_it_does():
    before = figures(os.getpid())
    block = np.ones(64 << 20, np.uint8)
    with open(os.devnull) as _:
        after = figures(os.getpid())
        assert after['fds'] == before['fds'] + 1
    for name in ('rss', 'pss', 'uss', 'anon'):
        assert after[name] - before[name] == pytest.approx(64, abs=8), name
    assert after['cpu'] >= before['cpu'] > 0
    assert after['threads'] >= 1
    assert sum(mappings(os.getpid()).values()) > block.nbytes / 2**20
    with pytest.raises(FileNotFoundError):
        figures(2**22 + 1)


def test_what_a_fault_keeps_is_measured(tiny_model, tmp_path):
    pytest.importorskip('rclpy', reason='ROS 2 is not installed')
    done = subprocess.run(
        [sys.executable, HERE / 'kept.py', 'nothing', 'bad parameter', '--count', '2', '--blocks',
         '2', '--model', tiny_model, '--out', tmp_path],
        env=os.environ, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    kept = json.loads((tmp_path / 'kept.json').read_text())
    assert list(kept) == ['nothing', 'bad parameter']
    assert all(len(blocks) == 2 and max(map(abs, blocks)) < 1000 for blocks in kept.values())
    assert '| bad parameter | ' in done.stdout
