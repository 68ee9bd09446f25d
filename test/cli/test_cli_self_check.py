from pathlib import Path
import shutil

import cv2
import numpy as np
import pytest

from demt_perception.cli.main import main
from demt_perception.model_card import load_card

PICTURES = Path(__file__).parents[2] / 'demt_perception' / 'inference' / 'pictures'


@pytest.fixture
def street(tmp_path):
    """Return a folder of pictures of one scene, and of a black one."""
    pictures = sorted(PICTURES.glob('*.jpg'))
    (tmp_path / 'street').mkdir()
    for index, path in enumerate(pictures * 3):
        picture = cv2.resize(cv2.imread(str(path)), (160, 96)) * (0.7 + 0.025 * index)
        cv2.imwrite(str(tmp_path / 'street' / f'{index:02}.png'), picture.astype(np.uint8))
    (tmp_path / 'black').mkdir()
    cv2.imwrite(str(tmp_path / 'black' / '0.png'), np.zeros((96, 160, 3), np.uint8))
    return tmp_path


def test_pictures_are_judged_one_by_one(tiny_model, street, capsys):
    options = ['--model', str(tiny_model), '--engine', 'onnxruntime']
    assert main(['self-check', str(street / 'street'), *options]) == 0
    assert '0 of 12 checks found something' in capsys.readouterr().out
    assert main(['self-check', str(street / 'street'), str(street / 'black'), *options]) == 1
    said = capsys.readouterr().out
    assert '0.png          lens covered, too dark' in said
    assert '1 of 1 checks found something' in said


def test_a_picture_that_cannot_be_read_is_told_by_its_name(tiny_model, street, capsys):
    options = ['--model', str(tiny_model), '--engine', 'onnxruntime']
    (street / 'street' / '05.png').write_bytes(b'\x89PNG\r\n\x1a\n cut off')
    cv2.imwrite(str(street / 'street' / '12.png'), np.zeros((96, 160, 3), np.uint8))
    assert main(['self-check', str(street / 'street'), *options]) == 1
    said = capsys.readouterr().out
    assert '05.png         cannot be read: ' in said
    assert '12.png         lens covered' in said
    assert '1 of 12 checks found something; cannot be read: 1' in said
    (street / 'street' / '12.png').unlink()
    assert main(['self-check', str(street / 'street'), *options]) == 1


def test_a_folder_of_which_nothing_can_be_read_is_not_good(tiny_model, tmp_path, capsys):
    for name in ('a.jpg', 'b.jpg'):
        (tmp_path / name).write_bytes(b'no picture')
    assert main(['self-check', str(tmp_path), '--model', str(tiny_model), '--engine',
                 'onnxruntime']) == 1
    said = capsys.readouterr().out
    assert 'b.jpg          cannot be read: not a picture' in said
    assert '0 of 0 checks found something; cannot be read: 2' in said


def test_a_video_that_goes_black_is_told_when_it_does(tiny_model, street, capsys):
    video = street / 'drive.avi'
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*'MJPG'), 10, (160, 96))
    picture = cv2.imread(str(street / 'street' / '00.png'))
    for index in range(80):
        writer.write(np.roll(picture, index, 1) if index < 40 else np.full_like(
            picture, index % 3))
    writer.release()
    assert main(['self-check', str(video), '--model', str(tiny_model)]) == 1
    seconds, words = capsys.readouterr().out.splitlines()[0].split(' s ', 1)
    assert 4.5 < float(seconds) < 6.5
    assert 'lens covered' in words


def test_what_is_usual_is_written_onto_the_card(tiny_model, street, capsys):
    shutil.copytree(tiny_model, street / 'mine')
    before = load_card(street / 'mine')
    assert not before.usual
    (street / 'street' / '03.png').write_bytes(b'no picture')
    assert main(['self-check', '--learn', str(street / 'street'), '--model',
                 str(street / 'mine'), '--engine', 'onnxruntime']) == 0
    card = load_card(street / 'mine')
    assert set(card.usual) == {'confidence', 'layout', 'upright', 'boundary_agreement',
                               'normals_agreement'}
    assert len(card.usual_bands) == len(card.classes)
    assert card.onnx_sha256 == before.onnx_sha256
    said = capsys.readouterr()
    assert 'boundary_agreement' in said.out
    assert '03.png is left out: not a picture' in said.err


def test_what_cannot_be_watched_is_said(tiny_model, tmp_path, capsys):
    assert main(['self-check', str(tmp_path / 'none'), '--model', str(tiny_model)]) == 1
    assert 'none' in capsys.readouterr().err


def test_a_picture_that_the_model_refuses_does_not_stop_the_others(tiny_model, street, capsys):
    options = ['--model', str(tiny_model), '--engine', 'onnxruntime']
    cv2.imwrite(str(street / 'street' / '05.png'), np.zeros((1, 40, 3), np.uint8))
    assert main(['self-check', str(street / 'street'), *options]) == 1
    said = capsys.readouterr().out
    assert '05.png         cannot be read: image is 1x40' in said
    assert '0 of 11 checks found something; cannot be read: 1' in said


def test_a_picture_that_the_model_refuses_is_not_learned_from(tiny_model, street, capsys):
    shutil.copytree(tiny_model, street / 'mine')
    options = ['--model', str(street / 'mine'), '--engine', 'onnxruntime']
    cv2.imwrite(str(street / 'street' / '05.png'), np.zeros((1, 40, 3), np.uint8))
    assert main(['self-check', '--learn', str(street / 'street'), *options]) == 0
    assert '05.png is left out: image is 1x40' in capsys.readouterr().err
    assert load_card(street / 'mine').usual


def test_what_cannot_be_learned_from_is_one_line(tiny_model, street, capsys):
    shutil.copytree(tiny_model, street / 'mine')
    options = ['--model', str(street / 'mine'), '--engine', 'onnxruntime']
    assert main(['self-check', '--learn', str(street / 'black'), *options]) == 1
    assert 'want pictures of many scenes' in capsys.readouterr().err
    (street / 'black' / '0.png').unlink()
    cv2.imwrite(str(street / 'black' / '0.png'), np.zeros((1, 40, 3), np.uint8))
    assert main(['self-check', '--learn', str(street / 'black'), *options]) == 1
    assert 'no picture to learn from' in capsys.readouterr().err
