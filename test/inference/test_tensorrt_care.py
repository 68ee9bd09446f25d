"""The TensorRT engine where something is missing, and what it lets go; without a GPU."""

import gc
import sys
import weakref

import cv2
import numpy as np
import pytest

pytest.importorskip('onnx')

from demt_perception.inference import EngineError, Predictor
import demt_perception.inference.engines as engines
from demt_perception.inference.engines import (
    create_engine,
    cuda,
    NotBuiltError,
    tensorrt_picture,
)
from demt_perception.inference.engines.building import Build

# TensorRT-RTX keeps no timings, and says so.
pytestmark = pytest.mark.filterwarnings('ignore::DeprecationWarning')
SHAPE = (1, 3, 96, 160)
ONLY_CACHED = Build(only_cached=True)


@pytest.fixture(scope='module')
def graph(tiny_model):
    return (tiny_model / 'model.onnx').read_bytes()


def picture(*size):
    """Return a soft picture, as a camera's are."""
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3)


def load(model):
    return Predictor(model, 'tensorrt', 1, SHAPE[2:], precision='f32')


def assert_same(seen, wanted):
    """As in ``test_tensorrt.py``: a GPU does not round between its steps."""
    for name in ('confidence', 'depth', 'normals'):
        np.testing.assert_allclose(
            seen._outputs[name], wanted._outputs[name], rtol=0.05, atol=0.05)


def test_only_what_is_cached_is_never_built_and_the_choice_is_kept(
        graph, driver, trt, tmp_path, monkeypatch):
    """After an update of a Jetson's driver its plan is of no use, what was chosen still is."""
    def entries():
        return {path.name: path.read_bytes() for path in (tmp_path / 'cache').glob('*.engine')}

    def create(build=None):
        return create_engine('tensorrt', graph, SHAPE, 1, 'f32', build)

    with pytest.raises(NotBuiltError, match='demt build'):
        create(ONLY_CACHED)
    create().close()
    before = entries()
    assert len(before) == 3, 'the choice, the plan and what was timed for it'
    create(ONLY_CACHED).close()
    monkeypatch.setattr(cuda, '_driver_release', lambda: '999.1')
    with pytest.raises(NotBuiltError, match='demt build'):
        create(ONLY_CACHED)
    assert len(trt.builds) == 1
    assert entries() == before
    create().close()
    create(ONLY_CACHED).close()
    assert len(trt.builds) == 2


def test_another_gpu_is_not_chosen_by_name(graph, driver, trt):
    for name in ('tensorrt:1', 'tensorrt:cuda'):
        with pytest.raises(EngineError, match=rf'engine is {name}, .*CUDA_VISIBLE_DEVICES'):
            create_engine(name, graph, SHAPE, 1, 'f32')
    assert not trt.builds


def test_what_a_closed_engine_held_goes_though_its_predictor_stays(tiny_model, driver):
    """With the predictor stays the way of its pictures, which needs the network's input."""
    predictor, bgr = load(tiny_model), picture(70, 90)
    for _ in range(2):
        predictor.predict(bgr)
    held = [weakref.ref(predictor.engine._runner),
            weakref.ref(predictor._preprocess._runners[bgr.shape])]
    predictor.close()
    gc.collect()
    assert [one() for one in held] == [None, None]
    for _ in range(2):
        with pytest.raises(EngineError, match='closed; create another'):
            predictor.predict(bgr)
    with pytest.raises(EngineError, match='closed; create another'):
        predictor._preprocess(bgr)


def test_sizes_of_pictures_beyond_those_it_is_prepared_for_go_by_the_cpu(
        tiny_model, driver, trt, monkeypatch):
    predictor, plain = load(tiny_model), Predictor(tiny_model, 'onnxruntime', 1, SHAPE[2:])
    monkeypatch.setattr(tensorrt_picture, 'SIZES', 2)
    pictures = [picture(96, 160), picture(70, 90), picture(200, 330)]
    ready = []
    for bgr in pictures[:2] * 2 + pictures * 2:
        ready.append(predictor._preprocess.ready(bgr.shape))
        assert_same(predictor.predict(bgr), plain.predict(bgr))
    assert ready == [False] * 4 + [True] * 6
    assert len(trt.builds) == 3, 'the network, and two sizes of pictures'
    predictor.close()


def test_bindings_that_raise_what_they_like_leave_auto_the_next_engine(
        graph, driver, trt, monkeypatch):
    """NVIDIA's raise a TypeError where the driver does not suit them."""
    def refuse(log):
        raise TypeError('pybind11::init(): factory function returned nullptr')

    monkeypatch.setattr(trt, 'Builder', refuse)
    monkeypatch.setattr(engines, 'has_gpu', lambda: True)
    said = r'tensorrt cannot start \(TypeError: pybind11.* returned nullptr\): check its driver'
    with pytest.raises(EngineError, match=said):
        create_engine('tensorrt', graph, SHAPE, 1, 'f32')
    engine = create_engine('auto', graph, SHAPE, 1, 'f32')
    assert engine.name != 'tensorrt'
    assert 'not tensorrt: tensorrt cannot start (TypeError' in engine.reason
    engine.close()


@pytest.mark.parametrize('names', [['torch', f'{engines.__name__}.torch_maps'], ['onnx']])
def test_a_package_that_is_there_but_broken_is_done_without(
        tiny_model, driver, tmp_path, monkeypatch, names):
    """It makes the outputs, or the pictures ready, on the GPU: the CPU can do both."""
    wanted = Predictor(tiny_model, 'onnxruntime', 1, SHAPE[2:]).predict(picture(70, 90))
    (tmp_path / f'{names[0]}.py').write_text(
        "raise OSError('libcudnn.so.8: cannot open shared object file')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    predictor = load(tiny_model)
    seen = predictor.predict(picture(70, 90))
    assert seen.depth.shape == (70, 90)
    assert_same(seen, wanted)
    predictor.close()
