"""`demt build` fills the cache that a Predictor starts from."""

import re

import cv2
import numpy as np
import pytest

from demt_perception.cli.main import main
from demt_perception.cli.sampling import sample
from demt_perception.inference import Predictor

pytest.importorskip('openvino')
pytest.importorskip('onnxruntime')


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv('DEMT_CACHE', str(tmp_path / 'engines'))


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / 'in'
    folder.mkdir()
    for number in range(21):
        cv2.imwrite(str(folder / f'{number}.png'), np.full((60, 90, 3), 10 * number, np.uint8))
    return folder


def test_the_node_starts_from_what_was_built(tiny_model, capsys):
    assert main(['build', str(tiny_model), '--engine', 'openvino', '--threads', '1']) == 0
    said = capsys.readouterr()
    assert 'built in' in said.out
    assert 'depth off by' in said.out
    assert re.search('bf16.*limit at least 95.0%|f32.*limit at least 99.0%', said.out, re.DOTALL)
    assert 'openvino compiles the graph in f32' in said.err
    assert 'comparing openvino' in said.err
    engine = Predictor(tiny_model, 'openvino', 1).engine
    assert engine.reason.endswith('loaded from the cache')


def test_own_pictures_build_anew(tiny_model, images, capsys):
    arguments = ['build', str(tiny_model), '--engine', 'openvino', '--precision', 'f32',
                 '--threads', '1', '--images', str(images), '--input-size', 'auto']
    for _ in range(2):
        assert main(arguments) == 0
        said = capsys.readouterr().out
        assert 'built in' in said
        assert 'on 6 pictures' in said
        assert 'at 160x96' in said


def test_what_cannot_be_is_said(tiny_model, tmp_path, capsys):
    assert main(['build', str(tiny_model), '--images', str(tmp_path / 'none')]) == 1
    assert 'does not exist' in capsys.readouterr().err
    assert main(['build', str(tiny_model), '--precision', 'f8']) == 1
    assert "'f8', want auto or one of f32" in capsys.readouterr().err
    assert main(['build', str(tiny_model), '--input-size', 'auto']) == 2


def test_pictures_are_spread_over_the_source(images):
    for count in (1, 4, 8, 21, 50):
        values = [int(picture[0, 0, 0]) // 10 for picture in sample(str(images), count)]
        assert min(count, 21) // 2 <= len(values) <= count
        assert len(set(np.diff(values))) <= 1
        assert values[0] == 0
