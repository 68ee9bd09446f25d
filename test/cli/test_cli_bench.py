"""`demt bench` as a user runs it, on a tiny model: real processes, engines and DDS."""

import importlib.util
import shutil
import sys
from types import ModuleType

import pytest

pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')

from demt_perception.bench import engines
from demt_perception.bench import node as node_bench
from demt_perception.bench.results import BenchError, load_report, NodeMeasurement, Spread
from demt_perception.cli.main import main

SMALL = ('--image-size', '96x160', '--threads', '1')


def node_measurement(**changes):
    return NodeMeasurement(**{
        'model': 'tiny_model', 'engine': 'onnxruntime', 'precision': 'f32', 'device': 'CPU',
        'threads': 1, 'image_size': (96, 160), 'rate': 10.0, 'seconds': 2.0, 'sent': 20,
        'lost': 0.0, 'lost_where': {}, 'latency': Spread(1.0, 1.0, 1.0, 1.0, 20), 'topics': {},
        'stages': {'total': (1.0, 1.0)}, 'overhead': 0.5, 'memory_mb': 90.0,
        'peak_memory_mb': 90.0, 'cpu': {}, 'first_frame_s': 1.0, 'torch_loaded': False,
        'peak_hz': None, 'trials': (), **changes})


@pytest.fixture(scope='module')
def measured(tiny_model, tmp_path_factory):
    """Two engines, one that cannot do what is asked, and two sizes: file and exit code."""
    pytest.importorskip('openvino', reason='openvino is not installed')
    path = tmp_path_factory.mktemp('bench') / 'a.json'
    code = main(['bench', str(tiny_model), '--engine', 'onnxruntime', 'openvino', 'nothing',
                 '--precision', 'f32', '--seconds', '0.1', '--json', str(path), *SMALL])
    return path, code


def test_combinations_are_measured_and_compared_with_the_first(measured):
    path, code = measured
    report = load_report(path)
    assert code == 1   # as one failed
    (name, why), = report.failures.items()
    assert 'nothing f32' in name
    assert 'want auto or one of' in why
    assert [row.combination.engine for row in report.engines] == ['onnxruntime', 'openvino']
    for row in report.engines:
        way = row.combination
        assert (way.model, way.size, way.threads) == ('tiny_model', (96, 160), 1)
        assert len(row.engine_rounds) == len(row.moment_rounds) >= 3
        assert row.engine.count == row.moment.count >= len(row.engine_rounds)
        assert 0 < row.engine.median < row.moment.median <= row.moment.p90 <= row.moment.p99
        assert {'preprocess', 'engine', 'semantic', 'overlay', 'depth', 'other'} <= (
            row.stages.keys())
        assert row.used.startswith(f'f32 on {row.combination.engine}, ')
        for start in (row.cold, row.warm):
            assert 0 < start.imported < start.loaded < start.first
        assert 20 < row.peak_mb < 2000
        assert row.torch_loaded is False
    first, second = report.engines
    assert first.agreement == ''
    assert 'semantic' in second.agreement
    assert 'outside' not in second.agreement
    assert 'loaded from the cache' in second.used   # that of the cold start
    assert report.host['onnxruntime']
    assert report.energy
    assert (report.image_size, report.source) == ((96, 160), '')


def test_a_file_compared_with_itself_has_not_changed(measured, capsys):
    path = str(measured[0])
    assert main(['bench', '--compare', path, path]) == 0
    lines = capsys.readouterr().out.splitlines()
    changes = [line.split() for line in lines if 'spread' in line]
    assert len(changes) == 5
    assert all('within' in line for line in changes)
    assert all(' 1.000 ' in line for line in lines if 'peak memory' in line)


def test_sizes_and_cameras_make_a_plot(tiny_model, tmp_path, capsys):
    pytest.importorskip('matplotlib', reason='matplotlib is not installed')
    import cv2
    for name, option in (('size', ('--size', '32x64', '96x160')),
                         ('cameras', ('--cameras', '1', '3'))):
        path = tmp_path / f'{name}.json'
        assert main(['bench', str(tiny_model), '--engine', 'onnxruntime', *option, '--seconds',
                     '0.1', '--plot', str(tmp_path / f'{name}.png'), '--json', str(path),
                     *SMALL]) == 0
        picture = cv2.imread(str(tmp_path / f'{name}.png'))
        assert picture.shape[0] > 400
        assert len(load_report(path).engines) == 2
    assert [row.combination.cameras for row in load_report(path).engines] == [1, 3]
    assert 'grows as pixels^' in capsys.readouterr().out


@pytest.mark.parametrize(('arguments', 'text'), [
    (['nowhere'], "model 'nowhere'"),
    (['--plot', 'a.png'], 'give several --size or --cameras'),
    (['--rate', '10'], '--rate is for --node'),
    (['--output-scale', '0.4'], '--output-scale 0.4 is for --node'),
    (['--reference', 'torch-eager'], 'is for networks of `demt models --table`'),
    (['--compare', 'gone.json', 'gone.json'], 'gone.json'),
    (['--image-size', '96x160', '192x320'], '--image-size 96x160 192x320: several are for --node'),
    (['--node', '--reference', 'torch-eager'], '--reference torch-eager is no engine of the node'),
    (['--node', '--cameras', '1', '4'], '--cameras 1 4: with --node there is one camera'),
    (['--node', '--size', '96x160', '192x320'], '--size 96x160 192x320: with --node give one'),
])
def test_what_makes_no_sense_is_refused(arguments, text, capsys):
    assert main(['bench', *arguments]) == 1
    assert text in capsys.readouterr().err


@pytest.mark.parametrize('arguments', [
    ['--json', 'none/a.json'], ['--plot', 'none/a.png', '--cameras', '1', '2']])
def test_a_file_that_cannot_be_written_is_told_before_the_work(
        arguments, tiny_model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, 'matplotlib', ModuleType('matplotlib'))
    monkeypatch.setattr(engines, 'measure', lambda *_: pytest.fail('it was measured'))
    assert main(['bench', str(tiny_model), *arguments]) == 1
    assert f'{" ".join(arguments[:2])}: there is no folder none' in capsys.readouterr().err


@pytest.mark.parametrize('command', ['outputs', 'end'])
def test_a_worker_that_dies_costs_its_own_combination_only(
        command, tiny_model, tmp_path, monkeypatch, capsys):
    ask = engines.Worker.ask
    workers = []

    def dying(self, **words):
        if self not in workers:
            workers.append(self)
        if command in words and self is workers[0]:   # the one that others are compared with
            raise BenchError('the process ended with code -9')
        return ask(self, **words)

    monkeypatch.setattr(engines.Worker, 'ask', dying)
    path = tmp_path / 'a.json'
    assert main(['bench', str(tiny_model), '--engine', 'onnxruntime', '--cameras', '1', '2', '3',
                 '--precision', 'f32', '--seconds', '0.1', '--json', str(path), *SMALL]) == 1
    report = load_report(path)
    assert list(report.failures.values()) == ['the process ended with code -9']
    assert [row.combination.cameras for row in report.engines] == [2, 3]
    assert 'semantic' in report.engines[1].agreement


@pytest.fixture
def namesakes(tiny_model, tmp_path):
    """Return two model folders whose last part of the path is the same."""
    return [shutil.copytree(tiny_model, tmp_path / parent / 'm') for parent in 'ab']


def test_models_of_one_name_are_told_apart_by_their_paths(namesakes, tiny_model, monkeypatch):
    jobs = []
    monkeypatch.setattr(engines, 'measure', lambda found, *_: (jobs.extend(found), ([], {}))[1])
    names = [*map(str, namesakes), str(tiny_model)]
    main(['bench', *names])
    assert [job.folder for job in jobs] == names
    assert [job.combination.model for job in jobs] == [*names[:2], 'tiny_model']


def test_a_model_that_is_given_twice_is_refused(namesakes, capsys, monkeypatch):
    monkeypatch.chdir(namesakes[0].parent)
    assert main(['bench', str(namesakes[0]), 'm']) == 1
    assert f"model 'm' is given twice, as {namesakes[0]}" in capsys.readouterr().err


def test_what_the_node_did_measure_is_kept_where_the_next_one_fails(
        namesakes, tmp_path, monkeypatch, capsys):
    scales = []

    def measure_node(model, engine, precision, size, threads, image_size, *rest):
        scales.append(rest[-1])
        if model == namesakes[1] and image_size == (720, 1280):
            raise BenchError('none came out')
        return node_measurement(image_size=image_size)

    monkeypatch.setattr(node_bench, 'measure_node', measure_node)
    path = tmp_path / 'node.json'
    names = [str(one) for one in namesakes]
    assert main(['bench', '--node', *names, '--size', '96x160', '--output-scale', '0.4',
                 '--json', str(path)]) == 1
    assert scales == [0.4] * 4
    report = load_report(path)
    assert [(one.model, one.image_size[0]) for one in report.nodes] == [
        (names[0], 720), (names[0], 1080), (names[1], 1080)]
    assert report.failures == {f'{names[1]} auto auto, 1280x720': 'none came out'}
    said = capsys.readouterr().out
    assert f'node: {names[0]} on' in said
    assert 'not measured' in said


def test_the_node_from_camera_to_topic(tiny_model, tmp_path, capsys):
    pytest.importorskip('rclpy', reason='rclpy is not installed')
    pytest.importorskip('demt_msgs.msg', reason='demt_msgs is not built')
    path = tmp_path / 'node.json'
    code = main(['bench', str(tiny_model), '--node', '--rate', '20', '--seconds', '2', '--engine',
                 'onnxruntime', '--image-size', '96x160', '--json', str(path)])
    output = capsys.readouterr().out
    assert code == 0, output
    node, = load_report(path).nodes
    assert (node.model, node.engine, node.image_size) == ('tiny_model', 'onnxruntime', (96, 160))
    assert node.sent == 240   # 12 s: the node's percentiles look back 10
    assert node.input_size == (96, 160)
    assert 0 <= node.lost < 1
    assert node.peak_hz is None
    assert not node.trials
    assert 0 < node.latency.median <= node.latency.p95
    stages = node.stages
    assert {'receive', 'wait', 'convert', 'preprocess', 'engine', 'handover', 'semantic',
            'publish semantic/image', 'publish semantic/overlay', 'total'} <= set(stages)
    assert 0 < node.overhead < 1
    assert node.overhead == pytest.approx(1 - stages['engine'][0] / stages['total'][0])
    assert 20 < node.memory_mb <= node.peak_memory_mb < 2000
    assert set(node.cpu) == {'camera', 'listener', 'node'}
    assert 0 < node.first_frame_s < 60
    assert node.torch_loaded is False
    for text in ('stamp to publication', 'semantic/overlay', 'torch is not loaded'):
        assert text in output


@pytest.mark.skipif(importlib.util.find_spec('torch') is None, reason='torch is not installed')
def test_the_reference_is_the_same_each_time_and_its_outputs_are_named_as_the_engines():
    import numpy as np

    from demt_perception.bench.reference import export_random
    from demt_perception.bench.results import BenchError
    from demt_perception.networks.eager import Eager

    image = np.random.default_rng(0).normal(size=(1, 3, 32, 64)).astype(np.float32)
    first, second = (Eager('DeMT light EfficientNet-Lite0 driving', 1).run(image)
                     for _ in range(2))
    assert list(first) == ['semantic', 'confidence', 'depth', 'normals', 'boundary']
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])
    with pytest.raises(BenchError, match="'no such' is neither"):
        export_random('no such', None)
