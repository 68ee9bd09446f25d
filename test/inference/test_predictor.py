from dataclasses import replace
import hashlib
import math
import shutil
import threading

import numpy as np
import pytest
import yaml

from demt_perception.inference import EngineError, Predictor
from demt_perception.model_card import load_card, ModelCardError, save_card

ENGINES = ('openvino', 'onnxruntime')


@pytest.fixture(scope='module', params=ENGINES)
def predictor(request, tiny_model):
    pytest.importorskip(request.param)
    predictor = Predictor(tiny_model, request.param, threads=1)
    yield predictor
    predictor.close()


@pytest.fixture
def quarters():
    """Four quarters: red, green, blue, white; 192x320, twice the size of the network input."""
    bgr = np.zeros((192, 320, 3), np.uint8)
    bgr[:96, :160, 2] = 200
    bgr[:96, 160:, 1] = 200
    bgr[96:, :160, 0] = 200
    bgr[96:, 160:] = 255
    return bgr


CENTRES = ((48, 80), (48, 240), (144, 80), (144, 240))


def test_all_outputs_have_the_contracts_shapes_and_types(predictor, quarters):
    predictions = predictor.predict(quarters)
    for name, shape, dtype in (
            ('semantic', (192, 320), np.uint8), ('confidence', (192, 320), np.uint8),
            ('semantic_color', (192, 320, 3), np.uint8), ('overlay', (192, 320, 3), np.uint8),
            ('depth', (192, 320), np.float32), ('depth_uncertainty', (192, 320), np.float32),
            ('depth_uncertainty_color', (192, 320, 3), np.uint8),
            ('depth_color', (192, 320, 3), np.uint8),
            ('normals', (192, 320, 3), np.float32), ('normals_color', (192, 320, 3), np.uint8),
            ('boundary', (192, 320), np.uint8)):
        value = getattr(predictions, name)
        assert (value.shape, value.dtype) == (shape, dtype), name
        assert value.flags.c_contiguous, name


def test_classes_and_colours(predictor, quarters):
    predictions = predictor.predict(quarters)
    assert [predictions.semantic[at] for at in CENTRES[:3]] == [0, 1, 2]
    for at, color in zip(CENTRES, predictor.card.palette, strict=False):
        assert tuple(predictions.semantic_color[at]) == color
    # softmax of 4 * (0.57, -1, -1), and of three equal values
    assert predictions.confidence[CENTRES[0]] == pytest.approx(
        255 / (1 + 2 * math.exp(-4 * 200 / 127.5)), abs=1)
    assert predictions.confidence[CENTRES[3]] == pytest.approx(85, abs=1)


def test_only_some_classes(predictor, quarters):
    whole, some = predictor.predict(quarters), predictor.predict(quarters)
    some.show_only([1, 2])
    gone = whole.semantic == 0
    assert gone.any()
    assert not gone.all()
    np.testing.assert_array_equal(some.semantic, np.where(gone, 255, whole.semantic))
    np.testing.assert_array_equal(some.confidence, np.where(gone, 0, whole.confidence))
    np.testing.assert_array_equal(
        some.semantic_color, np.where(gone[..., None], 0, whole.semantic_color))
    np.testing.assert_array_equal(some.depth, whole.depth)


def test_depth_in_metres_by_focal_length(predictor, quarters):
    at, sky = CENTRES[0], CENTRES[3]
    brightness = (200 / 127.5 - 1 - 1 - 1) / 3
    # Input is half the image: focal 200 px there is the card's 100 at the network.
    same = predictor.predict(quarters, (200, 200))
    assert same.depth[at] == pytest.approx(40 * (1 + brightness), rel=1e-4)
    assert np.isnan(same.depth[sky])
    assert not same.focal_assumed
    half = predictor.predict(quarters, (100, 100))
    assert half.depth[at] == pytest.approx(same.depth[at] / 2, rel=1e-4)
    assert np.isnan(half.depth[sky])  # beyond range at the card's focal length: 40 m is no sky


def test_depth_uncertainty_is_a_share_of_depth_for_any_camera(predictor, quarters):
    for focal in ((200, 200), (100, 100), (None)):
        predictions = predictor.predict(quarters, focal)
        unsure, depth = predictions.depth_uncertainty, predictions.depth
        np.testing.assert_array_equal(np.isnan(unsure), np.isnan(depth))
        assert np.isnan(unsure[CENTRES[3]])
        for at, red in zip(CENTRES[:3], (200 / 127.5 - 1, -1, -1), strict=True):
            assert unsure[at] / depth[at] == pytest.approx(0.1 * math.exp(red), rel=1e-3)
            grey = predictions.depth_uncertainty_color[at]
            assert grey == pytest.approx(min(255, 51 * math.exp(red)), abs=1)
        assert tuple(predictions.depth_uncertainty_color[CENTRES[3]]) == (0, 0, 160)


def test_a_model_folder_of_before_works(tiny_model, tmp_path, quarters):
    """Its card has none of the new keys, its graph no uncertainty."""
    onnx = pytest.importorskip('onnx', reason='writing a model needs onnx')
    folder = shutil.copytree(tiny_model, tmp_path / 'old')
    graph = onnx.load(folder / 'model.onnx')
    outputs = [output for output in graph.graph.output if output.name != 'depth_uncertainty']
    del graph.graph.output[:]
    graph.graph.output.extend(outputs)
    onnx.save(graph, folder / 'model.onnx')
    values = yaml.safe_load((folder / 'card.yaml').read_text())
    values = {key: value for key, value in values.items()
              if key not in ('temperature', 'uncertainty_factor')}
    values['onnx_sha256'] = hashlib.sha256((folder / 'model.onnx').read_bytes()).hexdigest()
    (folder / 'card.yaml').write_text(yaml.safe_dump(values))
    old = Predictor(folder, 'onnxruntime', 1).predict(quarters)
    new = Predictor(tiny_model, 'onnxruntime', 1).predict(quarters)
    for name in ('semantic', 'confidence', 'depth', 'normals', 'boundary'):
        np.testing.assert_array_equal(getattr(old, name), getattr(new, name))
    assert not hasattr(old, 'depth_uncertainty')
    assert not hasattr(old, 'depth_uncertainty_color')
    assert old.sheet().shape[1] == new.sheet().shape[1]
    with pytest.raises(EngineError, match="'depth_uncertainty' of model tiny_model is missing"):
        save_card(replace(load_card(folder), uncertainty_factor=1.0), folder)
        Predictor(folder, 'onnxruntime', 1)


def test_assumed_focal_length_is_said(predictor, quarters):
    predictions = predictor.predict(quarters)
    assert predictions.focal_assumed
    focal = 160 / math.tan(math.radians(30))
    explicit = predictor.predict(quarters, (focal, focal))
    np.testing.assert_allclose(predictions.depth, explicit.depth, rtol=1e-5)


def test_normals_and_boundaries(predictor, quarters):
    predictions = predictor.predict(quarters)
    red = np.array([200 / 127.5 - 1, -1, -1])
    np.testing.assert_allclose(
        predictions.normals[CENTRES[0]], red / np.linalg.norm(red), atol=1e-4)
    length = np.linalg.norm(predictions.normals, axis=2)
    assert np.all((abs(length - 1) < 1e-3) | (length == 0))
    # The white quarter is beyond the range of depth: no surface, no normal.
    assert np.isnan(predictions.depth[CENTRES[3]])
    assert length[CENTRES[3]] == 0
    np.testing.assert_allclose(length[np.isfinite(predictions.depth)], 1, atol=1e-3)
    assert predictions.boundary[CENTRES[0]] == 0
    assert predictions.boundary[144, 160] > 40  # from blue to white


@pytest.mark.parametrize('shape', [(2, 2), (2, 700), (37, 53), (96, 160), (1080, 1920)])
@pytest.mark.parametrize('scale', [1.0, 0.51, 1.7])
def test_any_size_and_scale(predictor, shape, scale):
    size = tuple(round(side * scale) for side in shape)
    image = np.full((*shape, 3), 90, np.uint8)
    if min(size) < 2:
        with pytest.raises(ValueError, match='output at scale'):
            predictor.predict(image, (80, 90), scale)
        return
    predictions = predictor.predict(image, (80, 90), scale)
    assert predictions.size == size
    for name in ('semantic', 'confidence', 'semantic_color', 'overlay', 'depth', 'depth_color',
                 'normals', 'normals_color', 'boundary'):
        assert getattr(predictions, name).shape[:2] == size, name


@pytest.mark.parametrize('scale', [0, -1, math.nan, math.inf, 1e6, 0.003])
def test_wrong_scale_is_refused(predictor, quarters, scale):
    with pytest.raises(ValueError, match='scale'):
        predictor.predict(quarters, output_scale=scale)


def test_wrong_image_and_focal_are_refused(predictor, quarters):
    with pytest.raises(ValueError, match='uint8'):
        predictor.predict(quarters.astype(np.float32))
    with pytest.raises(ValueError, match='focal'):
        predictor.predict(quarters, (math.nan, 1))


def test_results_survive_later_frames(predictor, quarters):
    first = predictor.predict(quarters)
    early = predictor.predict(quarters).semantic
    for value in (0, 255, 7):
        predictor.predict(np.full((192, 320, 3), value, np.uint8)).sheet()
    np.testing.assert_array_equal(first.semantic, early)
    assert first.depth[CENTRES[0]] == pytest.approx(
        predictor.predict(quarters).depth[CENTRES[0]])


def test_threads_do_not_mix_frames(predictor):
    images = [np.full((64, 64, 3), value, np.uint8) for value in (20, 90, 160)]
    wanted = [predictor.predict(image, (50, 50)).depth[0, 0] for image in images]
    seen = [[] for _ in images]

    def work(index):
        for _ in range(30):
            seen[index].append(predictor.predict(images[index], (50, 50)).depth[0, 0])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index in range(3):
        assert len(seen[index]) == 30
        np.testing.assert_allclose(seen[index], wanted[index], rtol=1e-6)


def test_engines_agree(tiny_model, quarters):
    for name in ENGINES:
        pytest.importorskip(name)
    a, b = (Predictor(tiny_model, name).predict(quarters) for name in ENGINES)
    np.testing.assert_array_equal(a.semantic, b.semantic)
    np.testing.assert_allclose(a.depth, b.depth, rtol=2e-2)
    np.testing.assert_allclose(a.normals, b.normals, atol=2e-2)


def test_input_size(tiny_model, quarters):
    predictor = Predictor(tiny_model, input_size=(64, 128))
    assert predictor.input_size == (64, 128)
    assert predictor.predict(quarters).semantic.shape == (192, 320)
    for wrong in ((65, 128), (0, 32), (32, -32), (32, 100_000), (32,), (32, 32, 32), []):
        with pytest.raises(ValueError, match='multiples of 32'):
            Predictor(tiny_model, input_size=wrong)


def test_engine_says_what_and_why(tiny_model):
    pytest.importorskip('openvino')
    engine = Predictor(tiny_model, threads=1).engine
    assert engine.name == 'openvino'
    assert engine.precision in ('f32', 'bf16')
    assert engine.device
    assert 'fastest that works' in engine.reason
    assert '1 threads' in engine.reason


def test_closed_engine_says_so(tiny_model, quarters):
    for name in ENGINES:
        pytest.importorskip(name)
        predictor = Predictor(tiny_model, name)
        predictor.close()
        with pytest.raises(EngineError, match='closed'):
            predictor.predict(quarters)


def test_changed_graph_is_refused(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / 'model')
    graph = folder / 'model.onnx'
    graph.write_bytes(graph.read_bytes() + b'\0')
    with pytest.raises(ModelCardError, match='SHA-256'):
        Predictor(folder)


def with_graph(tiny_model, folder, content):
    """Return a copy of the tiny model with another graph and the card's checksum to match."""
    shutil.copytree(tiny_model, folder)
    (folder / 'model.onnx').write_bytes(content)
    save_card(replace(load_card(folder), onnx_sha256=hashlib.sha256(content).hexdigest()), folder)
    return folder


@pytest.mark.parametrize('content', [b'', b'not an ONNX file', bytes(1000), b'\x08\x08'])
@pytest.mark.parametrize('engine', ['auto', *ENGINES])
def test_broken_graph_is_refused_at_load(tiny_model, tmp_path, content, engine):
    if engine != 'auto':
        pytest.importorskip(engine)
    with pytest.raises(EngineError, match='export'):
        Predictor(with_graph(tiny_model, tmp_path / 'm', content), engine)


def change(tiny_model, edit):
    onnx = pytest.importorskip('onnx', reason='makes broken graphs with the onnx package')
    graph = onnx.load(tiny_model / 'model.onnx')
    edit(graph)
    return graph.SerializeToString()


def node(graph, output):
    return next(n for n in graph.graph.node if output in n.output)


def drop_depth(graph):
    del graph.graph.output[2]


def rename_input(graph):
    graph.graph.input[0].name = 'picture'
    node(graph, 'half').input[0] = 'picture'


def keep_channel_axis_of_depth(graph):
    squeeze = node(graph, 'depth')
    squeeze.op_type = 'Identity'
    del squeeze.input[1]
    dims = graph.graph.output[2].type.tensor_type.shape.dim
    dims.add().CopyFrom(dims[-1])
    dims[2].CopyFrom(dims[1])
    dims[1].dim_value = 1


def make_ids_wide(graph):
    cast = node(graph, 'semantic')
    cast.attribute[0].i = 7  # int64
    graph.graph.output[0].type.tensor_type.elem_type = 7


def make_two_normals(graph):
    import onnx
    for constant in graph.graph.initializer:
        if constant.name in ('lean', 'towards'):
            value = onnx.numpy_helper.to_array(constant)[:2]
            constant.CopyFrom(onnx.numpy_helper.from_array(value, constant.name))
    graph.graph.output[3].type.tensor_type.shape.dim[1].dim_value = 2


def divide_by_brightness(graph):
    distance = node(graph, 'distance')
    distance.op_type = 'Div'
    distance.input[:] = ['metres', 'positive']


@pytest.mark.parametrize('engine', ENGINES)
@pytest.mark.parametrize(('edit', 'said'), [
    (drop_depth, "'depth'.*missing"), (rename_input, 'image'),
    (keep_channel_axis_of_depth, "'depth'.*shape"), (make_ids_wide, "'semantic'.*int64.*uint8"),
    (make_two_normals, "'normals'.*2.*3, h, w")])
def test_wrong_graph_is_refused_at_load(tiny_model, tmp_path, engine, edit, said):
    pytest.importorskip(engine)
    folder = with_graph(tiny_model, tmp_path / 'm', change(tiny_model, edit))
    with pytest.raises(EngineError, match=said):
        Predictor(folder, engine)


@pytest.mark.parametrize('engine', ENGINES)
def test_nan_from_the_network_is_an_error_never_data(tiny_model, tmp_path, engine):
    pytest.importorskip(engine)

    folder = with_graph(tiny_model, tmp_path / 'm', change(tiny_model, divide_by_brightness))
    predictor = Predictor(folder, engine)
    assert predictor.predict(np.full((96, 160, 3), 128, np.uint8)).depth.shape == (96, 160)
    with pytest.raises(EngineError, match="NaN or infinity in output 'depth'"):
        predictor.predict(np.zeros((96, 160, 3), np.uint8))
    assert predictor.predict(np.full((96, 160, 3), 128, np.uint8)).depth.shape == (96, 160)


def test_class_beyond_the_card_is_an_error(tiny_model, tmp_path, quarters):
    folder = shutil.copytree(tiny_model, tmp_path / 'model')
    card = load_card(folder)
    save_card(replace(card, classes=card.classes[:2], palette=card.palette[:2]), folder)
    with pytest.raises(EngineError, match='class 2, its card has 2'):
        Predictor(folder).predict(quarters)


def test_image_may_be_read_only(predictor, quarters):
    quarters.flags.writeable = False
    for scale in (1.0, 0.5):
        predictions = predictor.predict(quarters, output_scale=scale)
        assert predictions.overlay.flags.writeable
        assert predictions.sheet().size


def test_weights_in_another_file_are_refused(tiny_model, tmp_path):
    onnx = pytest.importorskip('onnx', reason='writes external data with the onnx package')
    graph = onnx.load(tiny_model / 'model.onnx')
    path = tmp_path / 'external.onnx'
    onnx.save(graph, path, save_as_external_data=True, location='weights.bin', size_threshold=0)
    with pytest.raises(EngineError, match='another file'):
        Predictor(with_graph(tiny_model, tmp_path / 'm', path.read_bytes()))
