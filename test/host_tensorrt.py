"""TensorRT for machines without a GPU: builds for real, runs on the host.

Parser, network and builder are NVIDIA's own, of TensorRT-RTX, which need no GPU. A plan cannot
run here, so what is kept beside it is the graph, which ONNX Runtime runs on the very addresses
that TensorRT would be given; ``data/host_cuda.c`` stands for the driver.
"""

import ctypes
from pathlib import Path
import shutil
import subprocess
import types

import numpy as np
import pytest

from demt_perception.inference.engines.grid_sample import linear_samples

NAME = 'demt_perception.inference.engines.tensorrt'
"""What has to be imported anew, with this in place."""


def make_tensorrt(driver=None):
    """Return a module that does for ``tensorrt``; ``driver`` is asked whether it records."""
    rtx = pytest.importorskip('tensorrt_rtx_bindings', reason='pip install '
                              'tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings')
    onnxruntime = pytest.importorskip('onnxruntime')
    types_by_name = {'tensor(float)': rtx.DataType.FLOAT, 'tensor(uint8)': rtx.DataType.UINT8}
    numpy_types = {rtx.DataType.FLOAT: np.float32, rtx.DataType.UINT8: np.uint8}
    module = types.ModuleType('tensorrt')
    module.__dict__.update({name: getattr(rtx, name) for name in dir(rtx)
                            if not name.startswith('_')})
    module.__version__ = '10.3.0'
    module.builds = []
    module.sampled = []   # how, by build
    parsed = []

    def samplers(network):
        for index in range(network.num_layers):
            layer = network.get_layer(index)
            if layer.type == rtx.LayerType.GRID_SAMPLE:
                layer.__class__ = rtx.IGridSampleLayer
                yield layer

    class OnnxParser(rtx.OnnxParser):
        def __init__(self, network, log):
            super().__init__(network, log)
            self.network = network

        def parse(self, model):
            parsed.append(bytes(model))
            done = super().parse(model)
            # As those of 10.3 to 11.1 do, and TensorRT-RTX's no more: see ``grid_sample.py``.
            for layer in samplers(self.network):
                if done and layer.get_output(0).name in linear_samples(model):
                    layer.interpolation_mode = rtx.InterpolationMode.NEAREST
            return done

    class Builder(rtx.Builder):
        def create_builder_config(self):
            config = super().create_builder_config()
            config.num_compute_capabilities = 1
            config.set_compute_capability(rtx.ComputeCapability.SM86, 0)
            return config

        def build_serialized_network(self, network, config):
            module.sampled.append([one.interpolation_mode.name for one in samplers(network)])
            plan = super().build_serialized_network(network, config)
            module.builds.append(plan and bytes(plan))
            return plan and b'HOST' + parsed[-1]

    class Runtime:
        def __init__(self, log):
            self.log = log

        def deserialize_cuda_engine(self, plan):
            if plan[:4] != b'HOST':
                self.log.log(rtx.ILogger.Severity.ERROR, 'this is no plan')
                return None
            return Engine(onnxruntime.InferenceSession(
                plan[4:], providers=['CPUExecutionProvider']))

    class Engine:
        def __init__(self, session):
            self.session = session
            self.tensors = {tensor.name: tensor for tensor in
                            (*session.get_inputs(), *session.get_outputs())}
            self.num_io_tensors = len(self.tensors)

        def get_tensor_name(self, place):
            return list(self.tensors)[place]

        def get_tensor_mode(self, name):
            inputs = [tensor.name for tensor in self.session.get_inputs()]
            return rtx.TensorIOMode.INPUT if name in inputs else rtx.TensorIOMode.OUTPUT

        def get_tensor_dtype(self, name):
            return types_by_name[self.tensors[name].type]

        def create_execution_context(self):
            return Context(self)

    class Context:
        def __init__(self, engine):
            self.engine, self.addresses, self.shapes = engine, {}, {}

        def set_input_shape(self, name, shape):
            dtype = numpy_types[self.engine.get_tensor_dtype(name)]
            try:
                outputs = self.engine.session.run(None, {name: np.zeros(shape, dtype)})
            except Exception:
                return False
            self.name = name
            self.shapes = {name: shape, **{
                one.name: output.shape for one, output in
                zip(self.engine.session.get_outputs(), outputs, strict=True)}}
            return True

        def get_tensor_shape(self, name):
            return self.shapes[name]

        def set_tensor_address(self, name, address):
            self.addresses[name] = address
            return True

        def execute_async_v3(self, stream):
            assert stream
            if driver is not None and driver.host_recording():
                self.recorded = ctypes.CFUNCTYPE(None)(self.work)
                driver.host_work(self.recorded)
            else:
                self.work()
            return True

        def work(self):
            outputs = self.engine.session.run(None, {self.name: self.at(self.name)})
            for one, output in zip(self.engine.session.get_outputs(), outputs, strict=True):
                self.at(one.name)[...] = output

        def at(self, name):
            shape, dtype = self.shapes[name], numpy_types[self.engine.get_tensor_dtype(name)]
            size = int(np.prod(shape)) * np.dtype(dtype).itemsize
            memory = (ctypes.c_ubyte * size).from_address(self.addresses[name])
            return np.frombuffer(memory, dtype).reshape(shape)

    for one in (OnnxParser, Builder, Runtime):
        setattr(module, one.__name__, one)
    return module


def make_driver(folder: Path) -> Path:
    """Compile the driver; return its file."""
    compiler = shutil.which('cc') or shutil.which('gcc')
    if compiler is None:
        pytest.skip('no C compiler')
    library = folder / 'libhost_cuda.so'
    subprocess.run([compiler, '-shared', '-fPIC', '-o', library,
                    Path(__file__).parent / 'data' / 'host_cuda.c'], check=True)
    return library
