"""However a graph is read, it is the card's, and nothing outside its file is."""

from dataclasses import replace
from pathlib import Path

import pytest

onnx = pytest.importorskip('onnx', reason='writes graphs with the onnx package')

from demt_perception.cli.main import main
from demt_perception.inference.engines import EngineError
from demt_perception.inference.graph_file import read_graph
from demt_perception.model_card import file_sha256, load_card, save_card

SOURCES = Path(__file__).resolve().parents[2] / 'demt_perception'


@pytest.fixture
def outside(tiny_model, tmp_path):
    """A model whose weights lie outside its folder, and whose card is right."""
    folder = tmp_path / 'models' / 'outside'
    folder.mkdir(parents=True)
    onnx.save(onnx.load(tiny_model / 'model.onnx'), folder / 'model.onnx',
              save_as_external_data=True, location='weights.bin', size_threshold=0)
    graph = onnx.load(folder / 'model.onnx', load_external_data=False)
    for tensor in graph.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == 'location':
                entry.value = '../../secret'
    (folder / 'model.onnx').write_bytes(graph.SerializeToString())
    (tmp_path / 'secret').write_bytes((folder / 'weights.bin').read_bytes())
    save_card(replace(load_card(tiny_model), onnx_sha256=file_sha256(folder / 'model.onnx')),
              folder)
    return folder


def test_weights_outside_are_refused(outside, tiny_model):
    with pytest.raises(EngineError, match=r'in another file.*export it again as one file'):
        read_graph(load_card(outside), outside)
    card = load_card(tiny_model)
    assert read_graph(card, tiny_model) == (tiny_model / card.onnx).read_bytes()


def test_calibration_refuses_them_too(outside):
    pytest.importorskip('torch', reason='torch is not installed')
    from demt_perception.training.calibration import calibrate, collector
    with pytest.raises(EngineError, match='in another file'):
        collector(outside, load_card(outside), ('depth',), None, 1)
    with pytest.raises(EngineError, match='in another file'):
        calibrate(outside, 1.0, None, {})


def test_the_commands_refuse_them_too(outside, tmp_path, capsys, monkeypatch):
    from demt_perception.cli.doctor_checks import models
    monkeypatch.setenv('DEMT_MODELS', str(outside.parent))
    assert any('in another file' in str(finding) for finding in models())
    assert main(['predict', '--model', str(outside), '--out', str(tmp_path / 'out'),
                 str(SOURCES / 'inference' / 'probe.jpg')]) == 1
    assert 'in another file' in capsys.readouterr().err


def test_no_other_code_reads_a_graph():
    calls = {path.name for path in SOURCES.rglob('*.py')
             if 'read_onnx(' in path.read_text(encoding='utf-8')}
    assert calls == {'model_card.py', 'graph_file.py'}
