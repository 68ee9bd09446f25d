"""The torch engine gives what ONNX Runtime gives."""

from dataclasses import replace
import subprocess
import sys
import weakref

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='pip install torch onnx')
onnx = pytest.importorskip('onnx', reason='pip install torch onnx')
onnxruntime = pytest.importorskip('onnxruntime')

from six_task_model import make_model

from demt_perception.inference import EngineError, Predictor
from demt_perception.inference.engines import create_engine, torch_gpu
from demt_perception.inference.engines import torch as engine
from demt_perception.inference.engines.picture import halvings, picture_graph, SIZES
from demt_perception.inference.engines.torch_graph import convert
from demt_perception.inference.engines.torch_ops import cut
from demt_perception.inference.engines.torch_picture import TorchPicture
from demt_perception.inference.models import DEFAULT_MODEL, find_model
from demt_perception.inference.parity import Check
from demt_perception.inference.preprocess import Preprocessor
from demt_perception.inference.spare_threads import Work
from demt_perception.model_card import load_card

SHAPE = (1, 3, 96, 160)


@pytest.fixture(scope='module')
def graph(tiny_model):
    return (tiny_model / 'model.onnx').read_bytes()


def assert_close(seen, wanted, limit=1e-4, same_ids=0.995):
    assert seen.keys() == wanted.keys()
    for name, value in wanted.items():
        assert seen[name].dtype == value.dtype
        assert seen[name].shape == value.shape
        if value.dtype == np.uint8:  # what is a tie to the last bit may fall either way
            assert (seen[name] == value).mean() >= same_ids, name
        else:
            assert np.abs(seen[name] - value).max() <= limit * np.abs(value).max(), name


def test_threads_are_those_of_the_engine_in_a_thread_that_ran_another(graph):
    """Torch's number belongs to the thread, and threads are used again."""
    one = create_engine('torch:cpu', graph, SHAPE, 1)
    image, seen = np.zeros(SHAPE, np.float32), []

    def run(engine):
        engine.run(image)
        seen.append(torch.get_num_threads())

    for chosen in (one, create_engine('torch:cpu', graph, SHAPE, 2), one):
        work = Work(run, chosen, name='inference')
        work.start()
        work.join()
    assert seen == [1, 2, 1]
    torch.set_num_threads(1)


@pytest.mark.parametrize('which', ['tiny', 'six', 'shipped'])
def test_same_as_onnxruntime(which, tiny_model, tmp_path):
    folder = {'tiny': lambda: tiny_model, 'six': lambda: make_model(tmp_path / 'm', tiny_model),
              'shipped': lambda: find_model(DEFAULT_MODEL)}[which]()
    content, image = (folder / 'model.onnx').read_bytes(), Check().inputs(SHAPE)[0]
    seen, wanted = (create_engine(name, content, SHAPE, 1).run(image)
                    for name in ('torch', 'onnxruntime'))
    assert_close(seen, wanted)


@pytest.mark.parametrize(('mode', 'precision', 'limit'), [
    ('eager', 'bf16', 0.05), ('compile', 'f32', 1e-4)])
def test_modes_and_precisions(graph, mode, precision, limit, monkeypatch):
    if mode == 'compile':  # the graph is seen whole; making machine code of it is torch's matter
        monkeypatch.setattr(torch, 'compile', _only_captured(torch.compile))
    image = Check().inputs(SHAPE)[0]
    seen = engine.load(graph, SHAPE, 1, 'told', precision, 'cpu', mode)
    assert seen.reason == f'told; {mode}, {precision}; 1 threads'
    assert seen.precision == precision
    assert_close(seen.run(image), create_engine('onnxruntime', graph, SHAPE, 1).run(image),
                 limit, 0.9)


def _only_captured(real):
    return lambda module, **options: real(module, backend='eager', **options)


@pytest.mark.parametrize(('arguments', 'said'), [
    (('f64',), 'precision'), (('f16', 'cpu'), 'f16 is slower'), (('f32', 'tpu'), 'cpu or cuda'),
    (('f32', 'cpu', 'fast'), 'want one of eager'), (('f32', 'cpu', 'graphs'), 'NVIDIA GPU')])
def test_what_cannot_be_is_refused(graph, arguments, said):
    with pytest.raises(EngineError, match=said):
        engine.load(graph, SHAPE, 1, '', *arguments)


def test_no_gpu_names_the_remedy(graph):
    if torch.cuda.is_available():
        pytest.skip('this machine has one')
    with pytest.raises(EngineError, match='nvidia-smi'):
        engine.load(graph, SHAPE, 1, '', 'f32', 'cuda')


def test_a_graph_it_does_not_know_is_an_engine_error(graph):
    model = onnx.load_from_string(graph)
    model.graph.node[0].op_type = 'Celu'
    for content, said in ((model.SerializeToString(), r'operator Celu.*another engine'),
                          (b'nothing', 'no ONNX file|inputs')):
        with pytest.raises(EngineError, match=said):
            create_engine('torch', content, SHAPE)


def test_faults_on_a_frame(graph):
    loaded = create_engine('torch', graph, SHAPE, 1)
    first = loaded.run(np.zeros(SHAPE, np.float32))
    kept = {name: value.copy() for name, value in first.items()}
    loaded.run(np.ones(SHAPE, np.float32))
    for name, value in kept.items():
        np.testing.assert_array_equal(first[name], value)
    with pytest.raises(EngineError, match=r'shape \(1, 3, 7\), want \(1, 3, 96, 160\)'):
        loaded.run(np.zeros((1, 3, 7), np.float32))
    loaded.close()
    with pytest.raises(EngineError, match='closed'):
        loaded.run(np.zeros(SHAPE, np.float32))


def test_predictor_takes_it(tiny_model):
    bgr = np.random.default_rng(0).integers(0, 256, (70, 100, 3), np.uint8)
    seen, wanted = (Predictor(tiny_model, name, 1).predict(bgr)
                    for name in ('torch', 'onnxruntime'))
    np.testing.assert_allclose(seen.depth, wanted.depth, rtol=1e-4)


def test_other_engines_do_not_import_torch(tiny_model):
    code = ('import sys; from demt_perception.inference import Predictor\n'
            'Predictor(sys.argv[1], "onnxruntime", 1).warm_up()\n'
            'print([name for name in ("torch", "onnx", "tensorrt") if name in sys.modules])')
    done = subprocess.run([sys.executable, '-c', code, str(tiny_model)], capture_output=True,
                          text=True, timeout=100, check=True)
    assert done.stdout.strip() == '[]'


def run_onnx(content, name, value):
    session = onnxruntime.InferenceSession(content, providers=['CPUExecutionProvider'])
    return session.run(None, {name: value})[0]


@given(st.tuples(st.integers(2, 90), st.integers(2, 90)),
       st.tuples(st.integers(1, 2), st.integers(1, 3)), st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_the_picture_graph_is_the_cpu_path(tiny_model, size, steps, seed):
    card = replace(load_card(tiny_model), mean=(10.0, 60.0, 200.0), std=(20.0, 40.0, 80.0))
    input_size = (16 * steps[0], 16 * steps[1])
    bgr = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    bgr = cv2.GaussianBlur(bgr, (3, 3), 0)
    wanted = Preprocessor(card, input_size)(bgr)
    content = picture_graph(size, input_size, card.mean, card.std)
    # A rounding to grey levels at each step down, and OpenCV's 11 bits of weight at the last.
    limit = 0.5 * len(halvings(size, input_size)) + 1.1
    seen = run_onnx(content, 'picture', bgr[None])
    assert (np.abs(seen - wanted).max((0, 2, 3)) * card.std).max() <= limit
    again = TorchPicture(torch.empty(1, 3, *input_size), card)(bgr)
    np.testing.assert_allclose(again.numpy(), seen, atol=2e-3)


@pytest.fixture
def prepared(monkeypatch):
    """Return the list of the shapes of pictures that torch is prepared for."""
    shapes, prepare = [], TorchPicture._prepare
    monkeypatch.setattr(TorchPicture, '_prepare', lambda self, shape, image: (
        shapes.append(shape), prepare(self, shape, image))[1])
    return shapes


def test_pictures_of_two_cameras_in_turn_are_prepared_for_once_each(tiny_model, prepared):
    def fresh():
        return TorchPicture(torch.empty(1, 3, 64, 96), load_card(tiny_model))

    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (*size, 3), np.uint8) for size in ((70, 90), (150, 200))]
    wanted = [fresh()(bgr) for bgr in pictures]
    prepared.clear()
    make, ready = fresh(), []
    for bgr, image in list(zip(pictures, wanted, strict=True)) * 3:
        ready.append(make.ready(bgr.shape))
        np.testing.assert_array_equal(make(bgr), image)
    assert ready == [False] * 2 + [True] * 4
    assert prepared == [(70, 90, 3), (150, 200, 3)]


def test_sizes_beyond_those_that_torch_is_prepared_for_are_left_to_the_cpu(tiny_model, prepared):
    card, size = load_card(tiny_model), (64, 96)
    image = torch.empty(1, 3, *size)
    make, on_cpu = TorchPicture(image, card), Preprocessor(card, size)
    pictures = [cv2.GaussianBlur(np.random.default_rng(n).integers(
        0, 256, (40 + 9 * n, 130, 3), np.uint8), (3, 3), 0) for n in range(SIZES + 2)]
    for n, bgr in enumerate(pictures):
        assert make.ready(bgr.shape) == (n >= SIZES)
        seen, wanted = np.asarray(make(bgr)), on_cpu(bgr)
        # As of the picture graph above; none of these is halved.
        assert np.abs(seen - wanted).max() <= (1.1 if n < SIZES else 0) / min(card.std)
        assert make.ready(bgr.shape)
    assert prepared == [bgr.shape for bgr in pictures[:SIZES]]
    assert make(pictures[0]) is image, 'those that it is prepared for go on'


def test_a_closed_engine_s_pictures_hold_none_of_its_memory(tiny_model):
    """The predictor holds them as long as itself is held."""
    image = torch.empty(1, 3, 64, 96)
    make = TorchPicture(image, load_card(tiny_model))
    bgr = np.zeros((70, 90, 3), np.uint8)
    make(bgr)
    seen = weakref.ref(image)
    make.close()
    del image
    assert seen() is None
    with pytest.raises(EngineError, match='closed; create another'):
        make(bgr)


def quantised():
    """Return a graph with int8 weights and activations, by hand."""
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    rng = np.random.default_rng(0)
    weights = {'w': rng.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8),
               'ws': rng.uniform(0.01, 0.02, 4).astype(np.float32), 'wz': np.zeros(4, np.int8),
               's': np.float32(0.02), 'z': np.uint8(120)}
    nodes = [helper.make_node('QuantizeLinear', ['image', 's', 'z'], ['q']),
             helper.make_node('DequantizeLinear', ['q', 's', 'z'], ['x']),
             helper.make_node('DequantizeLinear', ['w', 'ws', 'wz'], ['wf'], axis=0),
             helper.make_node('Conv', ['x', 'wf'], ['y'], pads=[1, 0, 0, 1], strides=[2, 2])]
    info = helper.make_tensor_value_info
    return helper.make_model(helper.make_graph(
        nodes, 'g', [info('image', 1, [1, 3, 9, 12])], [info('y', 1, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]),
        opset_imports=[helper.make_opsetid('', 20)], ir_version=9).SerializeToString()


@given(st.integers(1, 6), st.integers(-8, 8), st.integers(-8, 8),
       st.sampled_from([-3, -2, -1, 1, 2, 3]))
def test_cut_is_python_s(length, start, end, step):
    values = np.arange(2 * length).reshape(2, length)
    seen = cut(torch.from_numpy(values), [start], [end], [-1], [step])
    np.testing.assert_array_equal(seen.numpy(), values[:, start:end:step])


def test_quantised_graphs():
    image = np.random.default_rng(1).uniform(-2, 2, (1, 3, 9, 12)).astype(np.float32)
    seen = convert(quantised(), image.shape)(torch.from_numpy(image))[0].numpy()
    np.testing.assert_allclose(seen, run_onnx(quantised(), 'image', image), rtol=1e-4, atol=1e-4)


def test_f32_is_f32_on_a_gpu_and_all_is_as_before_afterwards():
    flags = torch.backends.cudnn
    before = flags.allow_tf32, flags.benchmark, flags.deterministic
    assert before[0], 'as torch has it by default'
    for low, measured in (None, False), (torch.float16, True):
        with torch_gpu.numerics('cuda', low):
            assert (flags.allow_tf32, flags.benchmark) == (False, measured)
        with torch_gpu.numerics('cpu', low):
            assert (flags.allow_tf32, flags.benchmark) == before[:2]
    assert (flags.allow_tf32, flags.benchmark, flags.deterministic) == before


def test_the_layout_for_gpus_changes_no_result():
    content = (find_model(DEFAULT_MODEL) / 'model.onnx').read_bytes()
    image = torch.from_numpy(Check().inputs(SHAPE)[0])
    with torch.inference_mode():
        module = convert(content, SHAPE)
        wanted = module(image)
        turned = torch_gpu.laid_out(module, image)
        seen = module(turned)
    weights = [one for one in module.buffers() if one.dim() == 4]
    assert len(weights) > 50
    for one in (turned, *weights):
        assert one.is_contiguous(memory_format=torch.channels_last)
    for name, a, b in zip(module.names, wanted, seen, strict=True):
        assert_close({name: b.numpy()}, {name: a.numpy()})
