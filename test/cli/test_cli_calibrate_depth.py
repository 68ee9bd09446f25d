"""demt calibrate-depth on pictures, and on real ones with the height that is known of them."""

import json

import cv2
import numpy as np
import pytest
from shared_data import SHARED

from demt_perception.cli.main import main
from demt_perception.inference import Predictor
from demt_perception.inference.models import DEFAULT_MODEL, list_models

KITTI = SHARED / 'data' / 'kitti_stereo_1' / 'image_l'


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / 'front.png'
    cv2.imwrite(str(path), np.random.default_rng(3).integers(0, 255, (96, 160, 3), np.uint8))
    return path


def calibrate(capsys, model, *arguments):
    code = main(['calibrate-depth', *map(str, arguments), '--model', str(model),
                 '--engine', 'onnxruntime', '--json'])
    assert code == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def test_a_known_distance_gives_the_factor(capsys, picture, tiny_model):
    predictor = Predictor(tiny_model, 'onnxruntime')
    predicted = predictor.predict(cv2.imread(str(picture)), (150.0, 150.0))
    depth = float(np.median(predicted.depth[44:51, 77:84]))
    found = calibrate(capsys, tiny_model, picture, '--fx', 150, '--point', 80, 47, depth * 0.8)
    assert found['depth_scale'] == pytest.approx(0.8, rel=1e-3)   # in the middle, along Z
    assert not found['focal_assumed']
    assert found['estimates'] == 1
    assert found['error'] >= 0.01
    predicted = predictor.predict(cv2.imread(str(picture)), (150.0, 150.0))
    predicted.correct_depth(0.8)
    assert np.nanmedian(predicted.depth[44:51, 77:84]) == pytest.approx(depth * 0.8, rel=1e-3)


def test_several_places_in_several_pictures(capsys, picture, tiny_model):
    cv2.imwrite(str(picture.with_name('second.png')), cv2.imread(str(picture)))
    found = calibrate(capsys, tiny_model, picture.parent, '--point', 80, 47, 10,
                      '--point', 30, 47, 11, '--region', 90, 60, 20, 20, 9)
    assert (found['estimates'], found['pictures']) == (3, 2)
    assert found['focal_assumed']
    assert found['scatter'] is not None


def test_text_says_where_the_factor_goes(capsys, picture, tiny_model):
    assert main(['calibrate-depth', str(picture), '--point', '80', '47', '500', '--model',
                 str(tiny_model), '--engine', 'onnxruntime']) == 0
    said = capsys.readouterr().out
    assert 'ros2 param set /demt_perception depth_scale' in said
    assert 'such a factor is unusual' in said
    assert 'no focal length' in said


@pytest.mark.parametrize(('arguments', 'code', 'said'), [
    ([], 2, 'one of the two ways'),
    (['--point', '1', '2', '3', '--height', '1'], 2, 'one of the two ways'),
    (['--point', '80', '47', '-3'], 2, 'want more than 0'),
    (['--region', '80', '47', '0', '5', '3'], 2, 'none negative'),
    (['--height', '1.5', '--frames', '0'], 2, 'want at least 1'),
    (['--height', '0'], 2, 'want more than 0'),
    (['--height', 'nan'], 2, 'want more than 0'),
    (['--point', 'nan', '5', '3'], 2, '[nan, 5.0, 3.0]: want numbers that are finite'),
    (['--point', '80', '47', '3', '--point', '1e400', '5', '3'], 2, '[inf, 5.0, 3.0]'),
    (['--region', '1', '1', 'nan', '5', '7'], 2, '[1.0, 1.0, nan, 5.0, 7.0]'),
    (['--point', '80', '47', '3', '--fx', 'inf'], 2, '--fx inf'),
    (['--point', '80', '47', '3', '--fx', '0'], 2, '--fx 0.0'),
    (['--point', '80', '47', '3', '--input-size', '33x65'], 1, 'input_size is (33, 65)'),
    (['--point', '500', '47', '3'], 1, 'not inside the picture of 160x96'),
])
def test_what_is_wrong_is_said(capsys, picture, tiny_model, arguments, code, said):
    assert main(['calibrate-depth', str(picture), '--model', str(tiny_model), '--engine',
                 'onnxruntime', *arguments]) == code
    assert said in capsys.readouterr().err


@pytest.mark.skipif(not KITTI.is_dir(), reason=f'{KITTI} is not there')
def test_the_height_of_kittis_camera(capsys):
    """Its stereo depth says 1.05 for the pictures, 1.17 for the road: see docs/depth_scale.md."""
    if DEFAULT_MODEL not in list_models():
        pytest.skip(f'{DEFAULT_MODEL} is not there')
    found = calibrate(capsys, DEFAULT_MODEL, KITTI, '--height', 1.65, '--fx', 707.09,
                      '--frames', 3)
    assert abs(np.log(found['depth_scale'] / 1.1)) < 2 * found['error']
    assert 0.02 < found['error'] < 0.4


@pytest.mark.parametrize(('content', 'text'), [
    (b'no picture', "not a picture: it begins with b'no p'"),
    (cv2.imencode('.png', np.zeros((1, 40, 3), np.uint8))[1].tobytes(), 'image is 1x40')],
    ids=['no picture', 'too small'])
def test_a_picture_that_cannot_be_used_is_one_line(tiny_model, tmp_path, capsys, content, text):
    (tmp_path / 'a.png').write_bytes(content)
    assert main(['calibrate-depth', str(tmp_path / 'a.png'), '--point', '1', '1', '2', '--model',
                 str(tiny_model)]) == 1
    assert f'demt calibrate-depth: {text}' in capsys.readouterr().err
