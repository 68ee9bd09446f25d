"""Where the frames of a phase are lost, told of made-up processes; and a node that ends early."""

from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('demt_msgs.msg', reason='demt_msgs is not built')

from demt_perception.bench import node
from demt_perception.bench.results import BenchError
from demt_perception.ros import frame_statistics
from demt_perception.ros.bench import run
from demt_perception.ros.bench.listener import figures
from demt_perception.ros.processes import ProcessError

TOPICS = ('semantic/image', 'depth/image')
RATE, SECONDS = 12.0, 5.0
SETTLING, COUNTED = 6, 60


@pytest.fixture
def phase(monkeypatch):
    """Return a function: a phase of which these frames are processed, and these arrive whole."""
    def play(processed, missing=()):
        stamps = [round(1e9 * index / RATE) for index in range(SETTLING + COUNTED)]
        newest = SimpleNamespace(
            received=len(stamps), processed=processed, drop_reasons=['superseded'],
            drop_counts=[len(stamps) - processed], model='m', engine='e', precision='f32',
            device='CPU', stage_names=[], stage_p50_ms=[], stage_p95_ms=[], stage_max_ms=[])
        recorder = SimpleNamespace(topics=TOPICS, stats=[newest], received={
            topic: [(0.0, stamp, 5.0) for index, stamp in enumerate(stamps)
                    if topic == TOPICS[0] or index not in missing] for topic in TOPICS})
        asked = {}
        process = SimpleNamespace(command=lambda **words: asked.update(words), name='node',
                                  memory_mb=lambda: (1.0, 1.0), has_mapped=lambda _: False)

        def answer(process, event, timeout):
            if event == 'sent':
                assert asked['count'] == len(stamps)
                return {'stamps': stamps}
            return figures(recorder, asked['stamps'], asked['settling'])

        bench = run.Bench.__new__(run.Bench)
        bench._camera = bench._listener = bench._node = process
        bench._counts = dict.fromkeys(('received', 'processed', 'superseded'), 0)
        bench._cpu, bench._await = dict, answer
        return bench.phase(RATE, SECONDS)

    monkeypatch.setattr(run, 'TRAIL', 0.0)
    monkeypatch.setattr('demt_perception.ros.bench.listener.stages_of', lambda _: {})
    return play


def test_frames_at_the_beginning_are_not_lost_behind_the_node(phase):
    found = phase(SETTLING + COUNTED)
    assert found['lost'] == 0
    assert found['lost_where'] == {'before the node': 0, 'superseded': 0, 'behind the node': 0}


def test_frames_are_lost_where_they_are(phase):
    found = phase(SETTLING + COUNTED - 2, missing=(0, 20, 21, 30, 31))   # 0 in the beginning
    assert found['lost'] == pytest.approx(4 / COUNTED)
    assert found['lost_where'] == {'before the node': 0, 'superseded': 2, 'behind the node': 3}


@pytest.mark.parametrize(('rate', 'seconds', 'wanted'), [
    (30.0, 5.0, 12.0), (30.0, 60.0, 60.0), (None, 5.0, 12.0)])
def test_what_is_measured_is_longer_than_the_nodes_percentiles_look_back(
        monkeypatch, tmp_path, rate, seconds, wanted):
    phases = []

    class Bench:
        first_frame_s = 1.0

        def __init__(self, *_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def phase(self, rate, seconds):
            phases.append((rate, seconds))
            return {'stages': {}}

        def search(self, start, seconds):
            return 40.0, []

    monkeypatch.setattr(run, 'Bench', Bench)
    found = run.run_bench(None, rate, seconds, tmp_path, lambda _: None)
    assert phases[-1] == (rate or 40.0 * run.CALM, wanted)
    assert wanted >= frame_statistics.WINDOW + run.SETTLING
    assert found['peak_hz'] == (None if rate else 40.0)


def test_a_node_that_ends_early_is_a_combination_that_failed(tiny_model, tmp_path, monkeypatch):
    scales = []

    def run_bench(setup, *_):
        scales.append(setup.output_scale)
        raise ProcessError('the node ended with code 1')

    monkeypatch.setattr(run, 'run_bench', run_bench)
    monkeypatch.setattr(node, 'Worker', lambda *_: SimpleNamespace(close=lambda: None))
    progress = SimpleNamespace(show=lambda _: None, close=lambda: None)
    with pytest.raises(BenchError, match='ended with code 1'):
        node.measure_node(tiny_model, 'onnxruntime', 'f32', None, 1, (96, 160), '', 10.0, 1.0,
                          tmp_path, progress, 0.5)
    assert scales == [0.5]


def test_the_node_is_started_as_it_is_to_be_measured(tmp_path, monkeypatch):
    commands = {}

    class Process:
        started = 0.0

        def __init__(self, name, command, *_, **__):
            commands[name] = command

        def command(self, **_):
            pass

    monkeypatch.setattr(run, 'Process', Process)
    monkeypatch.setattr(run, 'Lines', lambda _: None)
    monkeypatch.setattr(run, 'WARM_UP', 0.0)
    monkeypatch.setattr(run.Bench, '_await', lambda *_: {'time': 1.0})
    monkeypatch.setattr(run.Bench, 'phase', lambda *_: {})
    run.Bench(run.Setup('a/model', 'openvino', 'bf16', 2, (96, 160), (48, 80), '', tmp_path, 0.5),
              tmp_path, lambda _: None)
    assert {'model:="a/model"', 'engine:="openvino"', 'precision:="bf16"', 'threads:=2',
            'input_size:=[96, 160]', 'output_scale:=0.5'} <= set(commands['node'])
    assert {'48', '80'} <= set(commands['camera'])
