"""A model that cannot take the shape of the images: it serves on as it was, whatever comes."""

from dataclasses import replace
import shutil

import pytest

rclpy = pytest.importorskip('rclpy', reason='ROS 2 is not installed')
pytest.importorskip('onnxruntime')
onnx = pytest.importorskip('onnx', reason='fixes the size that a graph takes')

from exchanging import exchanging

from demt_perception.model_card import file_sha256, load_card, save_card

IMAGES = 480, 640


@pytest.fixture
def fixed_model(tiny_model, tmp_path):
    """Return the tiny model for one size of input only, as many exports are."""
    folder = shutil.copytree(tiny_model, tmp_path / 'fixed')
    model, card = onnx.load(folder / 'model.onnx'), load_card(folder)
    dims = model.graph.input[0].type.tensor_type.shape.dim
    for dim, length in zip(dims, (1, 3, *card.input_size), strict=True):
        dim.dim_value = length
    onnx.save(model, folder / 'model.onnx')
    save_card(replace(card, onnx_sha256=file_sha256(folder / 'model.onnx')), folder)
    return folder


@pytest.fixture
def seeing(fixed_model, tmp_path, monkeypatch):
    """Return a bench that has seen an image."""
    with exchanging(fixed_model, tmp_path, monkeypatch) as bench:
        perception = bench.perception
        perception.settings = replace(perception.settings, match_aspect=True)
        perception.activate(True)
        assert perception.size_to_match() is None
        perception.cameras[0].reception.note_size(*IMAGES[::-1])
        yield bench


@pytest.fixture
def bench(seeing):
    """Return a bench whose model was asked for the images' shape, in vain."""
    perception = seeing.perception
    assert perception.size_to_match() == IMAGES
    seeing.do(seeing.exchange.match_aspect, perception, IMAGES)
    assert perception.loads == 0
    return seeing


def test_where_a_region_is_analysed_the_shape_is_that_of_the_region(seeing):
    perception = seeing.perception
    perception.apply(replace(perception.settings, regions={'': (8, 4, 320, 120)}))
    assert perception.size_to_match() == (120, 320)


def restart(bench):
    """Load the engine anew, as after one that hung."""
    bench.perception.care._hung = 'the engine hangs'
    bench.perception.care.begin()
    bench.do(bench.exchange.restart_engine, bench.perception)


def test_it_is_not_asked_for_again_and_an_engine_that_hangs_is_loaded_as_it_was(bench):
    perception = bench.perception
    assert (perception.size_to_match(), perception.settings.image_size) == (None, None)
    for restarts in (1, 2):
        restart(bench)
        assert perception.care.trouble == ''
        assert (perception.loads, perception.care.restarts) == (restarts, restarts)
        assert perception._predictors.whole.input_size == (96, 160)
        assert (perception.size_to_match(), perception.settings.image_size) == (None, None)


def test_the_engine_that_is_built_meanwhile_is_that_of_the_old_shape(bench):
    pytest.importorskip('openvino')
    perception = bench.perception
    perception.settings = replace(perception.settings, engine='openvino', precision='f32')
    bench.do(bench.exchange.finish_building, perception)
    assert (perception.failure, bench.engine.engine) == ('', 'openvino')
    assert perception.size_to_match() is None


def test_another_model_is_asked_for_the_shape_and_takes_it(bench, tiny_model):
    perception = bench.perception
    done, said = bench.do(bench.exchange.load_model, perception, str(tiny_model), '')
    assert done and 'at 160x96 on onnxruntime' in said
    assert perception.size_to_match() == IMAGES
    bench.do(bench.exchange.match_aspect, perception, IMAGES)
    assert perception.settings.image_size == IMAGES
    assert perception.size_to_match() is None
    wanted = perception._predictors.whole.input_size
    assert wanted != (96, 160)
    restart(bench)
    assert perception._predictors.whole.input_size == wanted
