import contextlib
import os
import subprocess
import sys

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from demt_perception.inference import engines
from demt_perception.inference.cpu import cpu_name, default_threads, MOST_THREADS, usable_cores
from demt_perception.inference.engines import create_engine, EngineError
from demt_perception.inference.engines.building import Build
from demt_perception.inference.engines.precision import settle, SPEED_UP, speed_up, Trial
from demt_perception.inference.external_data import has_external_data
from demt_perception.inference.models import DEFAULT_MODEL, find_model
from demt_perception.inference.parity import trouble

SHAPE = (1, 3, 96, 160)
WITHOUT = """
import sys
for name in sys.argv[2].split():
    sys.modules[name] = None
from demt_perception.inference import EngineError, Predictor
try:
    engine = Predictor(sys.argv[1], sys.argv[3]).engine
    print(engine.name, '|', engine.reason)
except EngineError as error:
    print('EngineError', error)
"""


@pytest.fixture(scope='module')
def graph(tiny_model):
    return (tiny_model / 'model.onnx').read_bytes()


def without(model, missing, engine):
    done = subprocess.run([sys.executable, '-c', WITHOUT, str(model), missing, engine],
                          capture_output=True, text=True, timeout=100, check=True)
    return done.stdout.strip()


def test_auto_falls_back_and_says_why(tiny_model):
    pytest.importorskip('onnxruntime')
    said = without(tiny_model, 'openvino', 'auto')
    assert said.startswith('onnxruntime |')
    assert 'not openvino' in said


def test_missing_engine_names_the_command(tiny_model):
    said = without(tiny_model, 'openvino', 'openvino')
    assert said.startswith('EngineError')
    assert 'pip install openvino' in said


def test_auto_tries_the_gpu_first_where_there_is_one(graph, monkeypatch):
    """A GPU that no engine here can use: each is named with its reason, then the CPU serves."""
    monkeypatch.setattr(engines, 'has_gpu', lambda: True)
    for name in engines.AUTO_GPU:
        with pytest.raises(EngineError):
            create_engine(name, graph, SHAPE, 1)
    reason = create_engine('auto', graph, SHAPE, 1).reason
    order = [reason.index(f'not {name}: ') for name in engines.AUTO_GPU]
    assert order == sorted(order)


def test_no_engine_at_all_names_both_commands(tiny_model):
    said = without(tiny_model, 'openvino onnxruntime', 'auto')
    assert 'pip install openvino' in said
    assert 'pip install onnxruntime' in said


@pytest.mark.parametrize('name', ['openvino', 'onnxruntime'])
def test_engines_call_nobody_and_leave_the_process_alone(name, tiny_model, tmp_path):
    pytest.importorskip(name)
    code = ('import os, sys; os.register_at_fork(before=lambda: print("forked"))\n'
            'from demt_perception.inference import Predictor\n'
            'Predictor(sys.argv[1], sys.argv[2], threads=1).warm_up()\n'
            'print([name for name in sys.modules if "telemetry.backend" in name])')
    environment = {**os.environ, 'HOME': str(tmp_path)}
    for variable in ('CI', 'ORT_DISABLE_TELEMETRY'):  # there they would hold back by themselves
        environment.pop(variable, None)
    done = subprocess.run([sys.executable, '-c', code, str(tiny_model), name], capture_output=True,
                          text=True, timeout=100, check=True, env=environment)
    assert done.stdout.strip() == '[]'
    assert list(tmp_path.iterdir()) == []


def test_unknown_engine_and_threads_are_refused(graph):
    with pytest.raises(EngineError, match=r'tensorflow.*openvino'):
        create_engine('tensorflow', graph, SHAPE)
    for threads in (-1, 5000):
        with pytest.raises(EngineError, match='threads'):
            create_engine('auto', graph, SHAPE, threads)


@pytest.mark.parametrize('name', ['openvino', 'onnxruntime'])
def test_outputs_are_fresh_arrays(graph, name):
    pytest.importorskip(name)
    engine = create_engine(name, graph, SHAPE, 1)
    image = np.zeros(SHAPE, np.float32)
    first = engine.run(image)
    kept = {key: value.copy() for key, value in first.items()}
    image[:] = 0.5
    engine.run(image)
    for key in kept:
        np.testing.assert_array_equal(first[key], kept[key])


@pytest.mark.parametrize('name', ['openvino', 'onnxruntime'])
def test_wrong_input_shape_is_an_engine_error(graph, name):
    pytest.importorskip(name)
    with pytest.raises(EngineError, match='failed on a frame'):
        create_engine(name, graph, SHAPE, 1).run(np.zeros((1, 3, 7), np.float32))


def test_precision_is_chosen_once_a_process(graph):
    openvino = pytest.importorskip('openvino')
    first, second = (create_engine('openvino', graph, SHAPE, 1) for _ in range(2))
    assert first.precision == second.precision
    # The measured ratio is the same too: it was not measured again. Last is what the cache did.
    assert first.reason.split('; ')[:-1] == second.reason.split('; ')[:-1]
    has_bf16 = 'BF16' in openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
    assert ('bf16' in first.reason) or not has_bf16


class Clock:
    """An engine of known speed and error: it only has to be measured."""

    name = reason = 'clock'

    def __init__(self, precision, milliseconds=0.0, error=0.0):
        self.precision, self.error, self.loops = precision, error, int(milliseconds * 1000)
        self.closed = False

    def run(self, image):
        import time
        end = time.perf_counter() + self.loops * 1e-6
        while time.perf_counter() < end:
            pass
        return {'depth': np.full((1, 4, 4), 10 * (1 + self.error), np.float32)}

    def close(self):
        self.closed = True


def test_speed_is_a_ratio():
    assert 1 < SPEED_UP < 1.5
    image = np.zeros(SHAPE, np.float32)
    assert speed_up(Clock('f32', 6), Clock('bf16', 2), image) > SPEED_UP
    assert speed_up(Clock('f32', 2), Clock('bf16', 6), image) < 1


def test_a_bad_moment_does_not_decide():
    fast = Clock('bf16', 12)

    def run(image, run=fast.run):
        fast.loops = max(fast.loops - 1000, 2000)  # other load ends meanwhile
        return run(image)

    fast.run = run
    assert speed_up(Clock('f32', 4), fast, np.zeros(SHAPE, np.float32)) >= SPEED_UP


class Compared(Trial):
    """A trial whose reference is a clock that never errs."""

    def __init__(self):
        self.inputs, self.against, self._limits = [None], 'a clock', {}
        self._quantised = False
        self._progress, self._wanted = lambda line: None, [Clock('f32').run(None)]


@pytest.mark.parametrize(('error', 'wanted', 'said'), [
    (0.01, 'f16', 'depth off by 1.00%'), (0.2, 'bf16', 'depth off by 20.00%, want at most 5.00%'),
    (float('nan'), 'bf16', 'depth off by nan')])
def test_the_next_precision_is_taken_aloud(error, wanted, said, caplog):
    errors = {'f16': error, 'bf16': 0.02, 'f32': 0.0}
    engine, why = settle('auto', list(errors), lambda name: Clock(name, 0, errors[name]), Compared)
    assert engine.precision == wanted
    assert why.startswith(wanted)
    assert said in why
    assert (said in caplog.text) == (wanted != 'f16')


def test_a_precision_asked_for_outside_the_limits_is_an_error():
    made = []
    with pytest.raises(EngineError, match=r'f16 is too far off a clock \(depth off by 20.*auto'):
        settle('f16', ['f16', 'f32'],
               lambda name: made.append(Clock(name, 0, 0.2)) or made[-1], Compared)
    assert made[0].closed
    with pytest.raises(EngineError, match='no precision is close enough'):
        settle('auto', ['f16', 'f32'], lambda name: Clock(name, 0, 0.2), Compared)


def test_f32_is_held_to_rounding_and_not_to_the_limits_of_lower_precisions():
    """An engine that samples at the nearest pixel is off by as little: see ``parity.py``."""
    with pytest.raises(EngineError, match=r'f32 is .*want at most 0.10%\): use another engine'):
        settle('f32', ['f16', 'f32'], lambda name: Clock(name, 0, 0.003), Compared)
    with pytest.raises(EngineError, match=r'no precision is close enough: .*TF32'):
        settle('auto', ['f32'], lambda name: Clock(name, 0, 0.003), Compared)
    engine, _ = settle('auto', ['f16', 'f32'], lambda name: Clock(name, 0, 0.003), Compared)
    assert engine.precision == 'f16'
    quantised = Compared()
    quantised._quantised = True   # its f32 is that of what is not in int8
    settle('f32', ['f32'], lambda name: Clock(name, 0, 0.003), lambda: quantised)


def test_an_engine_that_samples_at_the_nearest_pixel_is_seen():
    onnx = pytest.importorskip('onnx', reason='changes the graph')
    onnxruntime = pytest.importorskip('demt_perception.inference.engines.onnxruntime')
    graph = (find_model(DEFAULT_MODEL) / 'model.onnx').read_bytes()
    model, changed = onnx.load_from_string(graph), 0
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == 'GridSample' and attribute.name == 'mode':
                attribute.s, changed = b'nearest', changed + 1
    assert changed
    trial = Trial(graph, SHAPE, 1, Build())
    right, wrong = (onnxruntime.load_cpu(content, SHAPE, 1, '')
                    for content in (graph, model.SerializeToString()))
    assert not trouble(trial.figures(right, None))
    outside = trouble(trial.figures(wrong, None))
    assert 'depth' in outside and 'normals' in outside
    wrong.precision = 'f16'
    assert not trouble(trial.figures(wrong, None))


def test_without_onnxruntime_the_engine_s_own_f32_is_the_reference(graph, monkeypatch):
    monkeypatch.setitem(sys.modules, 'demt_perception.inference.engines.onnxruntime', None)
    engines = sys.modules['demt_perception.inference.engines']
    monkeypatch.delattr(engines, 'onnxruntime', raising=False)
    trial = Trial(graph, SHAPE, 1, Build())
    exact, fast = Clock('f32'), Clock('bf16', 0, 0.1)
    figure, = trial.figures(fast, lambda: exact)
    assert trial.against == 'clock f32'
    assert figure.value == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize(('name', 'precision', 'said'), [
    ('onnxruntime', 'f16', 'f32 on the CPU'), ('onnxruntime', 'int8', 'demt quantize'),
    ('openvino', 'f64', 'f64.*bf16'), ('onnxruntime:cuda', 'auto', 'onnxruntime-gpu'),
    ('onnxruntime:tpu', 'auto', "no device 'tpu'"),
    ('openvino:npu', 'auto', 'no device npu here, it has cpu')])
def test_what_cannot_work_is_an_error_with_the_remedy(graph, name, precision, said):
    pytest.importorskip(name.partition(':')[0])
    with pytest.raises(EngineError, match=said):
        create_engine(name, graph, SHAPE, 1, precision)


def test_openvino_in_the_precision_that_is_asked_for(graph):
    openvino = pytest.importorskip('openvino')
    has = openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
    assert create_engine('openvino', graph, SHAPE, 1, 'f32').precision == 'f32'
    for precision, name in (('bf16', 'BF16'), ('f16', 'FP16')):
        if name in has:
            engine = create_engine('openvino', graph, SHAPE, 1, precision)
            assert engine.precision == precision
            assert 'within the limits of onnxruntime f32' in engine.reason
        else:
            with pytest.raises(EngineError, match=r'only imitate.*f32'):
                create_engine('openvino', graph, SHAPE, 1, precision)


def test_threads_follow_the_usable_cores():
    assert cpu_name()
    assert usable_cores() >= 1
    assert 1 <= default_threads() <= min(usable_cores(), MOST_THREADS)


def test_graph_without_external_data(graph):
    assert not has_external_data(graph)


@pytest.mark.parametrize('wrong', [b'\xff' * 20, b'\x3a\x7f\x01', b'\x08', b'\x0b'])
def test_what_is_no_protobuf_is_an_error(wrong):
    with pytest.raises(ValueError, match='ONNX file'):
        has_external_data(wrong)


@given(st.binary(max_size=300))
@settings(max_examples=500)
def test_any_bytes_are_an_answer_or_a_value_error(content):
    with contextlib.suppress(ValueError):
        assert has_external_data(content) in (True, False)


def make(tensor_place):
    """Return a model with an external tensor as initializer, attribute, nested or sparse."""
    onnx = pytest.importorskip('onnx', reason='makes graphs with the onnx package')
    from onnx import helper, TensorProto
    tensor = TensorProto(name='w', data_type=1, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key='location', value='/etc/passwd')
    graph = helper.make_graph([], 'g', [], [])
    if tensor_place == 'initializer':
        graph.initializer.append(tensor)
    elif tensor_place == 'attribute':
        graph.node.append(helper.make_node('Constant', [], ['w'], value=tensor))
    elif tensor_place == 'subgraph':
        inner = helper.make_graph([], 'inner', [], [], [tensor])
        graph.node.append(helper.make_node('If', ['c'], ['y'], then_branch=inner))
    elif tensor_place == 'sparse':
        graph.sparse_initializer.append(onnx.SparseTensorProto(values=tensor, dims=[1]))
    model = helper.make_model(graph)
    if tensor_place == 'function':
        model.functions.append(helper.make_function(
            'd', 'f', [], ['w'], [helper.make_node('Constant', [], ['w'], value=tensor)],
            [helper.make_opsetid('', 17)]))
    return model.SerializeToString()


@pytest.mark.parametrize(
    'place', ['initializer', 'attribute', 'subgraph', 'sparse', 'function'])
def test_external_data_is_found_everywhere(place):
    assert has_external_data(make(place))


@pytest.fixture
def cuda_without_its_libraries(monkeypatch):
    """ONNX Runtime says that it has CUDA; its session cannot begin there and takes the CPU."""
    onnxruntime = pytest.importorskip('onnxruntime')
    if 'CUDAExecutionProvider' in onnxruntime.get_available_providers():
        pytest.skip('this one has CUDA')
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: [
        'CUDAExecutionProvider', 'CPUExecutionProvider'])


@pytest.mark.filterwarnings('ignore:Specified provider')
def test_a_session_that_takes_the_cpu_in_silence_is_not_called_cuda(
        graph, cuda_without_its_libraries):
    with pytest.raises(EngineError, match=r'cannot start on cuda, it took CPUE.*nvidia-smi'):
        create_engine('onnxruntime:cuda', graph, SHAPE, 1, 'f32')
    engine = create_engine('onnxruntime', graph, SHAPE, 1)
    assert (engine.device, engine.precision) == (cpu_name(), 'f32')
    assert 'not on cuda: ' in engine.reason


def test_without_a_device_of_use_the_remedy_is_named(graph, monkeypatch):
    onnxruntime = pytest.importorskip('onnxruntime')
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: ['XnnpackProvider'])
    with pytest.raises(EngineError, match=r'it has XnnpackProvider: pip install onnxruntime'):
        create_engine('onnxruntime', graph, SHAPE, 1)
    with pytest.raises(EngineError, match=r"no device 'cuda'.*onnxruntime-gpu"):
        create_engine('onnxruntime:cuda', graph, SHAPE, 1)


def test_a_lower_precision_without_onnx_names_the_command(tiny_model):
    pytest.importorskip('onnxruntime')
    code = ('import sys; sys.modules["onnx"] = None\n'
            'from pathlib import Path\n'
            'from demt_perception.inference import EngineError\n'
            'from demt_perception.inference.conversion import converted\n'
            'graph = Path(sys.argv[1], "model.onnx").read_bytes()\n'
            'assert converted(graph, "f32") is graph\n'
            'try:\n    converted(graph, "f16")\n'
            'except EngineError as error:\n    print(error)\n')
    done = subprocess.run([sys.executable, '-c', code, str(tiny_model)], capture_output=True,
                          text=True, timeout=100, check=True)
    assert 'f16 needs the package onnx' in done.stdout and 'pip install onnx' in done.stdout
