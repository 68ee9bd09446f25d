"""The TensorRT engine without a GPU: real builder, its plan run by ONNX Runtime."""

import ast
import ctypes
import importlib
import json
from pathlib import Path
import subprocess
import sys
import threading

import cv2
import numpy as np
import pytest

onnx = pytest.importorskip('onnx')

from host_tensorrt import make_tensorrt, NAME
from six_task_model import make_model

from demt_perception.inference import EngineError, Predictor
import demt_perception.inference.engines as engines
from demt_perception.inference.engines import create_engine, cuda, tensorrt_build
from demt_perception.inference.engines.tensorrt_run import TYPES
from demt_perception.inference.models import DEFAULT_MODEL, find_model

# TensorRT-RTX keeps no timings, and says so.
pytestmark = pytest.mark.filterwarnings('ignore::DeprecationWarning')
SHAPE = (1, 3, 96, 160)
SYMBOLS = json.loads(
    (Path(__file__).parents[1] / 'data' / 'tensorrt_symbols.json').read_text(encoding='ascii'))


@pytest.fixture(scope='module')
def graph(tiny_model):
    return (tiny_model / 'model.onnx').read_bytes()


@pytest.mark.parametrize('which', ['tiny', 'six', 'shipped'])
def test_the_real_builder_takes_every_graph(which, tiny_model, tmp_path):
    folder = {'tiny': lambda: tiny_model, 'six': lambda: make_model(tmp_path / 'm', tiny_model),
              'shipped': lambda: find_model(DEFAULT_MODEL)}[which]()
    said = []
    module = make_tensorrt()
    plan, _ = tensorrt_build.build(
        module, (folder / 'model.onnx').read_bytes(), SHAPE, progress=said.append)
    assert plan[:4] == b'HOST'
    assert len(module.builds[0]) > 1000
    assert said[0].startswith('TensorRT: ')
    assert module.sampled == [['LINEAR'] * (4 if which == 'shipped' else 0)]


def test_same_as_onnxruntime_and_cached(graph, driver, trt):
    image = probe(SHAPE)
    wanted = create_engine('onnxruntime', graph, SHAPE, 1).run(image)
    for kept in ('kept for the next start', 'loaded from the cache'):
        engine = create_engine('tensorrt', graph, SHAPE, precision='f32')
        assert engine.reason.endswith(kept)
        assert 'no CUDA graph (cuStreamBeginCapture_v2 failed: operation not' in engine.reason
        assert (engine.name, engine.device, engine.precision) == ('tensorrt', 'Host', 'f32')
        first = engine.run(image)
        engine.run(np.zeros(SHAPE, np.float32))
        for name, value in wanted.items():  # copies: the next frame did not change them
            np.testing.assert_array_equal(first[name], value)
        engine.close()
    assert len(trt.builds) == 1


def test_frames_are_launches_of_cuda_graphs(tiny_model, driver):
    driver.host_graphs(1)
    predictor = Predictor(tiny_model, 'tensorrt', input_size=(96, 160))
    assert '; CUDA graph; ' in predictor.engine.reason
    plain = Predictor(tiny_model, 'onnxruntime', 1, (96, 160))
    predictor.predict(np.zeros((70, 90, 3), np.uint8))   # from the next one on on the GPU
    for seed in range(3):
        bgr = cv2.GaussianBlur(np.random.default_rng(seed).integers(
            0, 256, (70, 90, 3), np.uint8), (0, 0), 3)
        before = driver.host_launches()
        seen, wanted = predictor.predict(bgr), plain.predict(bgr)
        np.testing.assert_allclose(seen._outputs['depth'], wanted._outputs['depth'], rtol=0.05)
    assert driver.host_launches() - before == 2  # the picture, the network
    predictor.close()


def test_a_launch_that_fails_is_an_engine_error(graph, driver):
    driver.host_graphs(1)
    engine = create_engine('tensorrt', graph, SHAPE, precision='f32')
    driver.host_break(700)
    with pytest.raises(EngineError, match=r'cuGraphLaunch failed.*\(700\)'):
        engine.run(probe(SHAPE))
    engine.close()


def test_another_driver_or_precision_is_another_engine(graph, driver, trt, monkeypatch):
    load = importlib.import_module(NAME).load
    load(graph, SHAPE, 1, '').close()
    monkeypatch.setattr(cuda, '_driver_release', lambda: '999.1')
    load(graph, SHAPE, 1, '').close()
    load(graph, SHAPE, 1, '', 'f16').close()
    assert len(trt.builds) == 3


def test_a_plan_that_does_not_load_is_built_again(graph, driver, trt, monkeypatch):
    create_engine('tensorrt', graph, SHAPE, precision='f32').close()
    refused = []
    real = trt.Runtime.deserialize_cuda_engine
    monkeypatch.setattr(trt.Runtime, 'deserialize_cuda_engine', lambda self, plan: real(
        self, plan if refused else refused.append(1) or b'other version'))
    engine = create_engine('tensorrt', graph, SHAPE, precision='f32')
    assert 'was of no use (TensorRT 10.3.0 cannot load the engine (this is no' in engine.reason
    engine.close()
    assert len(trt.builds) == 2


@pytest.mark.parametrize('size', [(96, 160), (70, 90), (400, 660)])
def test_pictures_are_made_ready_on_the_device(tiny_model, driver, size):
    bgr = probe((1, 3, *size))[0].transpose(1, 2, 0) * 50 + 128
    bgr = np.ascontiguousarray(bgr.clip(0, 255).astype(np.uint8))
    predictor = Predictor(tiny_model, 'tensorrt', input_size=(96, 160))
    predictor.predict(bgr)
    assert predictor._preprocess(bgr) is predictor.engine._runner.input, 'not of the CPU'
    seen, wanted = predictor.predict(bgr), Predictor(
        tiny_model, 'onnxruntime', 1, (96, 160)).predict(bgr)
    for name in ('confidence', 'depth', 'normals'):
        np.testing.assert_allclose(
            seen._outputs[name], wanted._outputs[name], rtol=0.05, atol=0.05)
    # Its classes are colours, and a street is grey: a tie often.
    assert (seen._outputs['semantic'] == wanted._outputs['semantic']).mean() > 0.9
    copies = driver.host_copies()
    predictor.predict(bgr)
    # The picture up, the outputs down, nothing else.
    assert driver.host_copies() - copies == 1 + len(predictor.card.outputs)
    predictor.close()
    with pytest.raises(EngineError, match='closed'):
        predictor.predict(bgr)


def test_frames_come_from_any_thread(graph, driver):
    engine, results = create_engine('tensorrt', graph, SHAPE, precision='f32'), []
    thread = threading.Thread(target=lambda: results.append(engine.run(probe(SHAPE))))
    thread.start()
    thread.join()
    assert results[0]
    engine.close()


def test_faults_are_engine_errors_and_leave_nothing_behind(graph, driver, trt, monkeypatch):
    with pytest.raises(EngineError, match=r'TensorRT 10.3.0 refuses the graph'):
        create_engine('tensorrt', b'nothing', SHAPE, precision='f32')
    with pytest.raises(EngineError, match=r'takes \(1, 3, 96, 160\) only, want'):
        create_engine('tensorrt', fixed(graph), (1, 3, 64, 64), precision='f32')
    engine = create_engine('tensorrt', graph, SHAPE, precision='f32')
    with pytest.raises(EngineError, match=r'shape \(1, 3, 7\)'):
        engine.run(np.zeros((1, 3, 7), np.float32))
    driver.host_break(719)
    with pytest.raises(EngineError, match=r'failure \(719\); the GPU is lost to this process'):
        engine.run(probe(SHAPE))
    engine.close()
    with pytest.raises(EngineError, match='closed'):
        engine.run(probe(SHAPE))
    driver.host_break(0)
    monkeypatch.setenv('HOST_CUDA_NONE', '1')
    with pytest.raises(EngineError, match=r'no CUDA-capable device.*nvidia-smi'):
        create_engine('tensorrt', graph, SHAPE, precision='f32')
    monkeypatch.setattr(trt, '__version__', '8.5.2')
    with pytest.raises(EngineError, match=r'8\.5\.2, want 10\.3 .JetPack 6.'):
        create_engine('tensorrt', graph, SHAPE, precision='f32')


def probe(shape):
    """Return a soft image, about as networks are fed."""
    noise = np.random.default_rng(0).standard_normal((*shape[2:], 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 4)
    return np.ascontiguousarray((soft / soft.std()).transpose(2, 0, 1)[None])


def fixed(graph):
    model = onnx.load_from_string(graph)
    for place, length in enumerate(SHAPE):
        model.graph.input[0].type.tensor_type.shape.dim[place].dim_value = length
    return model.SerializeToString()


def test_too_little_memory_is_told(driver):
    device = cuda.Device()
    with pytest.raises(EngineError, match=r'out of memory \(2\).*smaller input size'):
        device.memory(3 << 30)
    device.close()


def test_no_driver_names_the_remedy(monkeypatch):
    monkeypatch.setattr(cuda, 'LIBRARY', 'libno_such_driver.so')
    with pytest.raises(EngineError, match='nvidia-smi'):
        cuda.Device()


def test_missing_tensorrt_names_both_commands(tiny_model):
    code = ('import sys; sys.modules["tensorrt"] = None\n'
            'from demt_perception.inference import EngineError, Predictor\n'
            'try: Predictor(sys.argv[1], "tensorrt")\n'
            'except EngineError as error: print(error)')
    said = subprocess.run([sys.executable, '-c', code, str(tiny_model)], capture_output=True,
                          text=True, timeout=100, check=True).stdout
    assert 'pip install tensorrt' in said
    assert 'python3-libnvinfer' in said
    assert '--system-site-packages' in said


def test_the_driver_has_every_call(library):
    opened = ctypes.CDLL(str(library))
    assert all(hasattr(opened, name) for name in cuda.SIGNATURES)


OBJECTS = {
    'trt': '', 'builder': 'Builder', 'network': 'INetworkDefinition', 'parser': 'OnnxParser',
    'config': 'IBuilderConfig', 'profile': 'IOptimizationProfile', 'image': 'ITensor',
    'learned': 'ITimingCache', 'runtime': 'Runtime', 'engine': 'ICudaEngine',
    'context': 'IExecutionContext', '_context': 'IExecutionContext',
    'NetworkDefinitionCreationFlag': 'NetworkDefinitionCreationFlag', 'ILogger': 'ILogger',
    'MemoryPoolType': 'MemoryPoolType', 'BuilderFlag': 'BuilderFlag',
    'TensorIOMode': 'TensorIOMode', 'IProgressMonitor': 'IProgressMonitor',
    'layer': 'IGridSampleLayer', 'LayerType': 'LayerType',
    'InterpolationMode': 'InterpolationMode'}


def used_symbols():
    """Yield (class, symbol) for what the engine's files take from TensorRT's objects."""
    folder = Path(engines.__file__).parent
    for name in ('tensorrt_build.py', 'tensorrt_run.py', 'tensorrt.py', 'tensorrt_plan.py',
                 'tensorrt_picture.py', 'grid_sample.py'):
        for node in ast.walk(ast.parse((folder / name).read_text(encoding='utf-8'))):
            if isinstance(node, ast.Attribute) and not node.attr.startswith('_'):
                owner = getattr(node.value, 'attr', getattr(node.value, 'id', None))
                # In these an image is NumPy's, and a network a Runner.
                if owner in OBJECTS and not (owner in ('image', 'network') and name in (
                        'tensorrt.py', 'tensorrt_picture.py')):
                    yield OBJECTS[owner], node.attr


@pytest.mark.parametrize('version', ['10.3.0', '11.4.0.106'])
def test_every_symbol_is_in_old_and_new(version):
    used = set(used_symbols())
    assert {('', 'Builder'), ('IExecutionContext', 'execute_async_v3'),
            ('IBuilderConfig', 'progress_monitor'), ('ICudaEngine', 'num_io_tensors')} <= used
    assert len(used) > 30
    missing = {(owner, name) for owner, name in used
               if name != '__version__' and name not in SYMBOLS[version][owner]}
    assert not missing
    assert {'desc'} <= set(SYMBOLS[version]['ParserError'])
    assert {'phase_start', 'step_complete', 'phase_finish'} <= set(
        SYMBOLS[version]['IProgressMonitor'])
    assert set(TYPES) <= set(SYMBOLS[version]['DataType'])


def test_the_list_tells_old_from_new():
    assert 'FP16' in SYMBOLS['10.3.0']['BuilderFlag']
    assert 'FP16' not in SYMBOLS['11.4.0.106']['BuilderFlag']
    assert 'EXPLICIT_BATCH' not in SYMBOLS['11.4.0.106']['NetworkDefinitionCreationFlag']
