"""What fails now and may work later deletes nothing, and decides nothing for good."""

import importlib

import numpy as np
import pytest

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

from host_tensorrt import NAME
from known_engines import Clock, Compared

from demt_perception.inference import EngineError
from demt_perception.inference.engines import BusyError, create_engine, cuda, LostError
from demt_perception.inference.engines.cuda_errors import LOST_CODES, of_code, of_words
from demt_perception.inference.engines.onnxruntime import OnnxRuntimeEngine
from demt_perception.inference.engines.precision import settle
from demt_perception.inference.engines.tensorrt_build import logger

# TensorRT-RTX keeps no timings, and says so.
pytestmark = pytest.mark.filterwarnings('ignore::DeprecationWarning')
SHAPE = (1, 3, 96, 160)


@pytest.fixture(scope='module')
def graph(tiny_model):
    return (tiny_model / 'model.onnx').read_bytes()


def no_memory(monkeypatch, trt):
    """TensorRT says so, and nothing else, where a plan is loaded."""
    def refuse(runtime, plan):
        runtime.log.log(trt.ILogger.Severity.ERROR, '[defaultAllocator.cpp::allocateAsync::48] '
                        'Error Code 1: Cuda Runtime (out of memory)')

    monkeypatch.setattr(trt.Runtime, 'deserialize_cuda_engine', refuse)


def no_context(monkeypatch, trt):
    """NVIDIA's bindings give None where there is too little memory for one."""
    real = trt.Runtime.deserialize_cuda_engine

    def without(self, plan):
        engine = real(self, plan)
        engine.create_execution_context = lambda: None
        return engine

    monkeypatch.setattr(trt.Runtime, 'deserialize_cuda_engine', without)


def no_driver(monkeypatch, trt):
    monkeypatch.setattr(cuda, 'LIBRARY', 'libno_such_driver.so')


def no_start(monkeypatch, trt):
    def refuse(self, log):
        raise TypeError('pybind11::init(): factory function returned nullptr')

    monkeypatch.setattr(trt.Runtime, '__init__', refuse)


@pytest.mark.parametrize('fails', [no_memory, no_context, no_driver, no_start])
@pytest.mark.parametrize('precision', ['f32', 'auto'])
def test_plan_and_choice_stay_and_serve_when_it_has_passed(
        graph, driver, trt, tmp_path, fails, precision):
    def entries():
        return {path.name: path.read_bytes() for path in (tmp_path / 'cache').glob('*.engine')}

    create_engine('tensorrt', graph, SHAPE, 1, precision).close()
    before, builds = entries(), len(trt.builds)
    with pytest.MonkeyPatch.context() as monkeypatch:
        fails(monkeypatch, trt)
        with pytest.raises(BusyError):
            create_engine('tensorrt', graph, SHAPE, 1, precision)
    assert entries() == before
    engine = create_engine('tensorrt', graph, SHAPE, 1, precision)
    assert 'as chosen before' in engine.reason
    engine.close()
    assert len(trt.builds) == builds


def test_a_plan_that_is_damaged_is_still_built_again(graph, driver, trt, monkeypatch):
    create_engine('tensorrt', graph, SHAPE, 1, 'f32').close()
    real = trt.Runtime.deserialize_cuda_engine
    refused = []
    monkeypatch.setattr(trt.Runtime, 'deserialize_cuda_engine', lambda self, plan: real(
        self, plan if refused else refused.append(1) or b'damaged'))
    create_engine('tensorrt', graph, SHAPE, 1, 'f32').close()
    assert len(trt.builds) == 2


def test_a_precision_that_is_out_of_memory_is_not_refused_for_good():
    made = []

    def make(precision):
        made.append(precision)
        if precision == 'f16':
            raise BusyError('out of memory')
        return Clock(precision)

    with pytest.raises(BusyError, match='out of memory'):
        settle('auto', ['f16', 'f32'], make, Compared)
    assert made == ['f16']


def test_a_precision_for_whose_building_memory_is_short_is_not_refused_for_good(
        graph, driver, trt, monkeypatch, tmp_path):
    """TensorRT says so among other things, and gives no plan."""
    def refuse(builder, network, config):
        log = logger(trt)
        for said in ('[resize::133] Error Code 2: OutOfMemory (Requested size was 9 bytes)',
                     'Error Code 10: Could not find any implementation for node {conv}'):
            log.log(trt.ILogger.Severity.ERROR, said)

    with monkeypatch.context() as short:
        short.setattr(trt.Builder, 'build_serialized_network', refuse)
        with pytest.raises(BusyError, match=r'cannot build .*OutOfMemory.*close what else uses'):
            create_engine('tensorrt', graph, SHAPE, 1)
    assert not list((tmp_path / 'cache').glob('*.engine')), 'nothing was chosen'
    engine = create_engine('tensorrt', graph, SHAPE, 1)
    assert 'not f16' not in engine.reason
    engine.close()


def test_a_graph_that_the_parser_has_no_memory_for_is_not_refused_for_good(
        graph, driver, trt, monkeypatch):
    class Said:
        def desc(self):
            return 'out of memory'

    monkeypatch.setattr(trt.OnnxParser, 'parse', lambda self, model: False)
    monkeypatch.setattr(trt.OnnxParser, 'num_errors', 1)
    monkeypatch.setattr(trt.OnnxParser, 'get_error', lambda self, index: Said())
    with pytest.raises(BusyError, match='refuses the graph'):
        create_engine('tensorrt', graph, SHAPE, 1)


@pytest.mark.parametrize(('said', 'kind'), [
    ('CUDA out of memory. Tried to allocate 2.00 GiB', BusyError),
    ('bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 9', BusyError),
    ('There may not be enough free memory for allocation to succeed', BusyError),
    ('Error Code 2: OutOfMemory (Requested size was 9 bytes.)', BusyError),
    ('CUDA failure 700: an illegal memory access was encountered ; GPU=0', LostError),
    ('CUDA error: unspecified launch failure', LostError),
    ('CUDA error: device-side assert triggered', LostError),
    ('CUDA error: context is destroyed', LostError),
    ('CUDA error: tensor memory not completely freed', LostError),
    ('CUDA error: the MPS client has been terminated by the server', LostError),
    ('Invalid access of peer GPU memory over nvlink or a hardware error', LostError),
    ('CUDA error: an async error has occured in external entity outside of CUDA', LostError),
    ('shapes cannot be multiplied', EngineError)])
def test_the_words_of_libraries(said, kind):
    assert type(of_words(said)) is type(of_words(said, 'export it again')) is kind


@pytest.mark.parametrize('said', [
    'CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(handle)`',
    'cuDNN error: CUDNN_STATUS_EXECUTION_FAILED', 'CUDA error: unknown error',
    'CUDA failure 999: unknown error ; GPU=0'])
def test_words_that_only_at_work_say_that_the_gpu_is_lost(said):
    """While loading it may be a kernel that this GPU cannot run: another precision may go."""
    assert type(of_words(said)) is LostError
    assert type(of_words(said, 'export the model again')) is EngineError


def test_the_codes_of_the_driver():
    assert {code for code in range(1000) if type(of_code(code, '')) is LostError} == LOST_CODES
    assert {226, 700, 709, 716, 717, 718, 719, 721, 810} <= LOST_CODES
    assert not {1, 2, 100, 701, 801, 805, 999} & LOST_CODES


def test_an_unknown_error_of_the_driver_is_a_lost_gpu_only_where_it_was_at_work(
        graph, driver, trt):
    """When cuInit says it, after a suspend for one, the driver may come back."""
    assert type(of_code(999, '')) is BusyError
    engine = create_engine('tensorrt', graph, SHAPE, 1, 'f32')
    driver.host_break(999)
    with pytest.raises(LostError, match='cuStreamSynchronize failed'):
        engine.run(np.zeros(SHAPE, np.float32))
    engine.close()


def test_a_driver_that_is_too_old_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(cuda, 'LIBRARY', 'libm.so.6')   # which has none of its calls
    with pytest.raises(EngineError, match=r'CUDA 11\.4 or newer') as told:
        cuda.Device()
    assert not isinstance(told.value, BusyError)


def test_what_onnxruntime_says_of_a_lost_gpu_is_understood():
    class Session:
        def get_outputs(self):
            return []

        def run(self, names, inputs):
            raise RuntimeError('CUDA failure 719: unspecified launch failure ; GPU=0')

    with pytest.raises(LostError, match='onnxruntime failed on a frame: CUDA failure 719'):
        OnnxRuntimeEngine(Session(), 'GPU', 'f32', '').run(np.zeros(SHAPE, np.float32))


def test_a_frame_that_tensorrt_refuses_is_asked_of_the_driver_too(graph, driver, trt):
    engine = create_engine('tensorrt', graph, SHAPE, 1, 'f32')
    context = type(engine._runner._context)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(context, 'execute_async_v3', lambda self, stream: False)
        with pytest.raises(EngineError, match='tensorrt failed on a frame') as told:
            engine.run(np.zeros(SHAPE, np.float32))
        assert not isinstance(told.value, BusyError)
        driver.host_break(700)
        with pytest.raises(LostError, match=r'\(700\)'):
            engine.run(np.zeros(SHAPE, np.float32))
    engine.close()


def test_a_gpu_that_is_lost_while_work_is_recorded_is_told(graph, driver, trt, monkeypatch):
    load = importlib.import_module(NAME).load
    monkeypatch.setattr(cuda.Device, 'record', lambda self, work: (_ for _ in ()).throw(
        LostError('an illegal memory access (700)')))
    with pytest.raises(LostError):
        load(graph, SHAPE, 1, '')
