from dataclasses import replace
import shutil

import pytest

from demt_perception.cli.main import main
from demt_perception.model_card import load_card, save_card


@pytest.fixture
def shelf(tiny_model, tmp_path, monkeypatch):
    shutil.copytree(tiny_model, tmp_path / 'models' / 'mine')
    monkeypatch.setenv('DEMT_MODELS', str(tmp_path / 'models'))
    return tmp_path / 'models'


def test_figures_and_licence_are_listed(shelf, capsys):
    card = load_card(shelf / 'mine')
    save_card(replace(card, metrics={'camvid': {'miou': 0.61234, 'iou': {'sky': 0.9}}},
                      licence='research only'), shelf / 'mine')
    main(['models'])
    said = capsys.readouterr().out
    for text in ('mine', 'miou 0.6123', 'sky 0.9', 'research only', '160x96', 'red, green, blue'):
        assert text in said


def test_broken_card_is_reported_and_the_rest_listed(shelf, capsys):
    (shelf / 'bad').mkdir()
    (shelf / 'bad' / 'card.yaml').write_text('name: [')
    assert main(['models']) == 1
    captured = capsys.readouterr()
    assert 'bad' in captured.err
    assert 'mine' in captured.out


def test_wrong_arguments_of_the_timing_are_said(capsys):
    pytest.importorskip('torch', reason='networks need torch')
    assert main(['models', '--time', 'DeMT Swin-X']) == 2
    assert 'DeMT Swin-T NYUD' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(['models', '--threads', '0'])
    assert 'at least 1' in capsys.readouterr().err
