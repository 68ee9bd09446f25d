import contextlib
import os
import subprocess
import sys

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from demt_perception.inference.cpu import cpu_name, default_threads, MOST_THREADS, usable_cores
from demt_perception.inference.engines import create_engine, EngineError
from demt_perception.inference.engines.precision import (
    choose_precision,
    disagreement,
    probe,
    SPEED_UP,
)
from demt_perception.inference.external_data import has_external_data

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


def test_no_engine_at_all_names_both_commands(tiny_model):
    said = without(tiny_model, 'openvino onnxruntime', 'auto')
    assert 'pip install openvino' in said
    assert 'pip install onnxruntime' in said


def test_openvino_calls_nobody_and_leaves_the_process_alone(tiny_model, tmp_path):
    pytest.importorskip('openvino')
    code = ('import os, sys; os.register_at_fork(before=lambda: print("forked"))\n'
            'from demt_perception.inference import Predictor\n'
            'Predictor(sys.argv[1], "openvino", threads=1).warm_up()\n'
            'print([name for name in sys.modules if "telemetry.backend" in name])')
    environment = {**os.environ, 'HOME': str(tmp_path)}
    environment.pop('CI', None)  # there it would hold back by itself
    done = subprocess.run([sys.executable, '-c', code, str(tiny_model)], capture_output=True,
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
    assert first.reason == second.reason  # the measured ratio too: it was not measured again
    has_bf16 = 'BF16' in openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
    assert ('bf16' in first.reason) or not has_bf16


class Clock:
    """An engine of known speed and error: it only has to be measured."""

    def __init__(self, precision, milliseconds, error=0.0):
        self.precision, self.error, self.loops = precision, error, int(milliseconds * 1000)

    def run(self, image):
        import time
        end = time.perf_counter() + self.loops * 1e-6
        while time.perf_counter() < end:
            pass
        return {'depth': np.full((1, 4, 4), 10 * (1 + self.error), np.float32)}


@pytest.mark.parametrize(('speed', 'error', 'wanted', 'said'), [
    (3.0, 0.01, 'bf16', 'times as fast as f32'), (0.4, 0.0, 'f32', 'only 0.'),
    (3.0, 0.2, 'f32', 'depth differs by 20'), (3.0, float('nan'), 'f32', 'depth differs by nan')])
def test_bf16_must_be_faster_and_close(speed, error, wanted, said):
    assert 1 < SPEED_UP < 1.5
    precision, why = choose_precision(
        Clock('f32', 6), Clock('bf16', 6 / speed, error), (1, 3, 32, 32))
    assert precision == wanted
    assert said in why


def test_ids_must_agree():
    exact = {'semantic': np.zeros((10, 10), np.uint8)}
    nearly, off = np.zeros((2, 10, 10), np.uint8)
    nearly.flat[:4], off.flat[:6] = 1, 1
    assert disagreement(exact, {'semantic': nearly}) == ''
    assert 'semantic has 94' in disagreement(exact, {'semantic': off})


def test_probe_is_always_the_same_and_fits_the_network():
    image = probe(SHAPE)
    assert image.shape == SHAPE
    assert image.dtype == np.float32
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, probe(SHAPE))
    assert 0.3 < image.std() < 3


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
