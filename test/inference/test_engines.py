import os
import subprocess
import sys

import numpy as np
import pytest

from demt_perception.inference import engines
from demt_perception.inference.cpu import cpu_name, default_threads, MOST_THREADS, usable_cores
from demt_perception.inference.engines import create_engine, EngineError

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
