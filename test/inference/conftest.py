"""Fixtures of the tests of inference: one picture, and TensorRT without a GPU."""

import ctypes
import json
import sys

from host_tensorrt import make_driver, make_tensorrt, NAME
import numpy as np
import pytest


@pytest.fixture
def quarters():
    """Four quarters: red, green, blue, white; 192x320, twice the size of the network input."""
    bgr = np.zeros((192, 320, 3), np.uint8)
    bgr[:96, :160, 2] = 200
    bgr[:96, 160:, 1] = 200
    bgr[96:, :160, 0] = 200
    bgr[96:, 160:] = 255
    return bgr


@pytest.fixture(scope='module')
def library(tmp_path_factory):
    """Return the file of what stands for NVIDIA's driver."""
    return make_driver(tmp_path_factory.mktemp('driver'))


class AtOnce:
    """A ``Work`` that is done when it has been started."""

    def __init__(self, target, *arguments, name):
        self._do = lambda: target(*arguments)

    def start(self):
        self._do()

    def is_alive(self):
        return False


@pytest.fixture
def trt(monkeypatch, library, tmp_path):
    """Put both stand-ins in place, with a cache of the test's own."""
    from demt_perception.inference import engines
    from demt_perception.inference.engines import cuda, tensorrt_picture

    module = make_tensorrt(ctypes.CDLL(str(library)))
    monkeypatch.setitem(sys.modules, 'tensorrt', module)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    monkeypatch.delattr(engines, 'tensorrt', raising=False)
    monkeypatch.setattr(cuda, 'LIBRARY', str(library))
    monkeypatch.setenv('DEMT_CACHE', str(tmp_path / 'cache'))
    # What another process builds is there at the next picture.
    monkeypatch.setattr(tensorrt_picture, 'Work', AtOnce)
    monkeypatch.setattr(tensorrt_picture, 'run_apart', lambda name, order, say, *rest: (
        tensorrt_picture.build_plan(json.loads(json.dumps(order)), say)))
    yield module
    sys.modules.pop(NAME, None)


@pytest.fixture
def driver(library, trt):
    """Return the driver; a test is to leave nothing on its GPU."""
    opened = ctypes.CDLL(str(library))
    before = opened.host_live()
    yield opened
    opened.host_break(0)
    opened.host_graphs(0)
    assert opened.host_live() == before
