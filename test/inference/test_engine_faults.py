"""Damaged graphs, foreign caches, a full disk and engines that fail in the middle of a stream."""

from dataclasses import replace
import errno
import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from demt_perception.inference import EngineError, Predictor
from demt_perception.inference.cache import entry
from demt_perception.inference.cache.entry import HEADER
from demt_perception.inference.engines import create_engine
from demt_perception.inference.preprocess import Preprocessor
from demt_perception.model_card import load_card, ModelCardError, save_card

SHAPE = (1, 3, 96, 160)
BGR = np.full((96, 160, 3), 90, np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = tmp_path / 'engines'
    monkeypatch.setenv('DEMT_CACHE', str(folder))
    return folder


def depth(predictor):
    return predictor.predict(BGR).depth


@pytest.mark.parametrize('name', ['onnxruntime', 'openvino'])
@settings(deadline=None, max_examples=25)
@given(where=st.floats(0, 1, exclude_max=True))
def test_a_graph_cut_off_anywhere_is_an_engine_error(tiny_model, name, where):
    """Or, where what is cut off is not needed, a graph that lacks outputs."""
    pytest.importorskip(name)
    content = (tiny_model / 'model.onnx').read_bytes()
    whole = create_engine('onnxruntime', content, SHAPE, 1, 'f32').run(np.zeros(
        SHAPE, np.float32))
    try:
        engine = create_engine(name, content[:int(where * len(content))], SHAPE, 1, 'f32')
        seen = engine.run(np.zeros(SHAPE, np.float32))
    except EngineError:
        return
    for output, value in seen.items():
        np.testing.assert_allclose(value, whole[output], rtol=1e-4, atol=1e-5)


def test_a_model_folder_whose_graph_is_cut_off_is_refused_before_any_engine(tiny_model, tmp_path):
    content = (tiny_model / 'model.onnx').read_bytes()
    card = load_card(tiny_model)
    for length in np.linspace(0, len(content) - 1, 12).astype(int):
        (tmp_path / 'model.onnx').write_bytes(content[:length])
        save_card(card, tmp_path)
        with pytest.raises(ModelCardError, match='damaged or foreign'):
            Predictor(tmp_path)
        # Also where card and graph agree on it, an answer is right or there is none.
        digest = hashlib.sha256(content[:length]).hexdigest()
        save_card(replace(card, onnx_sha256=digest), tmp_path)
        with pytest.raises(EngineError):
            Predictor(tmp_path, 'onnxruntime', 1)


def test_an_engine_of_another_version_is_built_again(tiny_model, folder, monkeypatch):
    pytest.importorskip('openvino')
    wanted = depth(Predictor(tiny_model, 'openvino', 1, precision='f32'))
    entry_file, = folder.glob('*.engine')
    # The file of another version under this one's name: the key inside tells.
    content = entry_file.read_bytes()
    length = HEADER.unpack_from(content)[1]
    key = content[HEADER.size:HEADER.size + length]
    foreign = key.replace(b'"version":"2', b'"version":"1')
    assert foreign != key
    entry_file.write_bytes(content.replace(key, foreign))
    predictor = Predictor(tiny_model, 'openvino', 1, precision='f32')
    assert 'was built for something else' in predictor.engine.reason
    np.testing.assert_array_equal(depth(predictor), wanted)


def test_a_full_disk_is_a_warning(tiny_model, folder, monkeypatch):
    pytest.importorskip('openvino')

    def full(descriptor):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(entry.os, 'fsync', full)
    predictor = Predictor(tiny_model, 'openvino', 1, precision='f32')
    assert 'not kept: [Errno 28] No space left' in predictor.engine.reason
    assert depth(predictor).shape == (96, 160)
    assert not list(folder.glob('*.engine'))
    assert not list(folder.glob('*.partial'))
    monkeypatch.undo()


@pytest.mark.parametrize('name', ['onnxruntime', 'openvino'])
def test_a_failure_in_the_middle_of_a_stream_is_one_frame(tiny_model, name, monkeypatch):
    """The engine gets what it cannot take, as if memory had been damaged; then frames go on."""
    pytest.importorskip(name)
    predictor = Predictor(tiny_model, name, 1, precision='f32')
    wanted = depth(predictor)
    for broken in np.zeros((1, 3, 5), np.float32), np.full(SHAPE, np.nan, np.float32):
        with monkeypatch.context() as damage:
            damage.setattr(Preprocessor, '__call__', lambda self, bgr, broken=broken: broken)
            with pytest.raises(EngineError):
                predictor.predict(BGR)
        np.testing.assert_array_equal(depth(predictor), wanted)
    predictor.close()
    with pytest.raises(EngineError, match='closed'):
        predictor.predict(BGR)
