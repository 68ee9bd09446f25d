"""Which precision an engine gets: measured, compared with f32, and refused outside the limits."""

import sys

from known_engines import Clock, Compared, SHAPE
import numpy as np
import pytest

from demt_perception.inference.engines import create_engine, EngineError
from demt_perception.inference.engines.building import Build
from demt_perception.inference.engines.precision import settle, SPEED_UP, speed_up, Trial
from demt_perception.inference.models import DEFAULT_MODEL, find_model
from demt_perception.inference.parity import trouble


@pytest.fixture(scope='module')
def graph(tiny_model):
    return (tiny_model / 'model.onnx').read_bytes()


def test_precision_is_chosen_once_a_process(graph):
    openvino = pytest.importorskip('openvino')
    first, second = (create_engine('openvino', graph, SHAPE, 1) for _ in range(2))
    assert first.precision == second.precision
    # The measured ratio is the same too: it was not measured again. Last is what the cache did.
    assert first.reason.split('; ')[:-1] == second.reason.split('; ')[:-1]
    has_bf16 = 'BF16' in openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
    assert ('bf16' in first.reason) or not has_bf16


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
