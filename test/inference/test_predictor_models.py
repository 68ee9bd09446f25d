"""Model folders: which a predictor takes, and what it says of those that are wrong."""

from dataclasses import replace
import hashlib
import shutil

import numpy as np
import pytest
import yaml

from demt_perception.inference import EngineError, Predictor
from demt_perception.model_card import load_card, ModelCardError, save_card

ENGINES = ('openvino', 'onnxruntime')


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


def test_weights_in_another_file_are_refused(tiny_model, tmp_path):
    onnx = pytest.importorskip('onnx', reason='writes external data with the onnx package')
    graph = onnx.load(tiny_model / 'model.onnx')
    path = tmp_path / 'external.onnx'
    onnx.save(graph, path, save_as_external_data=True, location='weights.bin', size_threshold=0)
    with pytest.raises(EngineError, match='another file'):
        Predictor(with_graph(tiny_model, tmp_path / 'm', path.read_bytes()))
