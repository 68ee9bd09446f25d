"""Calibration files: what is read, and what is refused with its reason."""

import copy
from pathlib import Path

import pytest
import yaml

pytest.importorskip('sensor_msgs.msg', reason='ROS 2 is not installed')

from demt_perception.ros.camera_info_file import (
    CameraInfoError,
    fit_camera_info,
    read_camera_info,
)

GOOD = Path(__file__).resolve().parents[2] / 'config' / 'udacity_camera.yaml'


def test_a_calibration_is_read_to_the_last_figure():
    info, values = read_camera_info(GOOD), yaml.safe_load(GOOD.read_text())
    assert (info.width, info.height) == (1280, 720)
    assert info.distortion_model == 'plumb_bob'
    for field, name in (('d', 'distortion_coefficients'), ('k', 'camera_matrix'),
                        ('r', 'rectification_matrix'), ('p', 'projection_matrix')):
        assert list(getattr(info, field)) == values[name]['data']


@pytest.mark.parametrize(('place', 'value', 'said'), [
    (('image_width',), None, 'a side of the images is None, want 1 to'),
    (('image_width',), 0, 'a side of the images is 0'),
    (('image_height',), -720, 'a side of the images is -720'),
    (('image_height',), 1e9, 'a side of the images is 1000000000.0'),
    (('distortion_model',), 5, 'a int where a text belongs'),
    (('camera_matrix', 'data'), [1.0] * 8, 'want 3x3 finite values, got 8'),
    (('camera_matrix', 'data'), [float('nan')] * 9, 'want 3x3 finite values'),
    (('camera_matrix', 'data'), ['wide'] * 9, 'could not convert'),
    (('camera_matrix', 'data'), 7, 'TypeError'),
    (('camera_matrix', 'rows'), 'three', 'rows and cols of a matrix'),
    (('camera_matrix',), {'rows': 2, 'cols': 2, 'data': [1, 0, 0, 1]},
     'want 3x3 finite values, got 4 called 2x2'),
    (('rectification_matrix',), {'rows': 9, 'cols': 1, 'data': [1.0] * 9}, 'called 9x1'),
    (('projection_matrix',), {'rows': 3, 'cols': 3, 'data': [1.0] * 9}, 'want 3x4'),
    (('projection_matrix',), 'DELETE', 'KeyError'),
    ((), ['a list'], 'TypeError')])
def test_what_is_no_calibration_is_refused_with_file_and_reason(tmp_path, place, value, said):
    values = copy.deepcopy(yaml.safe_load(GOOD.read_text()))
    inner = values
    for name in place[:-1]:
        inner = inner[name]
    if not place:
        values = value
    elif value == 'DELETE':
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    path = tmp_path / 'camera.yaml'
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(CameraInfoError, match=r'camera\.yaml is not a calibration') as caught:
        read_camera_info(path)
    assert said in str(caught.value)


@pytest.mark.parametrize(('content', 'said'), [
    (None, 'cannot be read'), (b'\xff\xff\xff\x00', 'camera.yaml is'), (b'a: [', 'is not YAML')])
def test_what_is_no_text_is_refused(tmp_path, content, said):
    path = tmp_path / 'camera.yaml'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CameraInfoError, match=said):
        read_camera_info(path)


@pytest.mark.parametrize(('size', 'fits'), [
    ((1280, 720), True), ((640, 360), True), ((641, 360), True), ((1920, 1080), True),
    ((640, 480), False), ((720, 1280), False), ((1280, 700), False)])
def test_a_calibration_is_for_pictures_of_its_shape(size, fits):
    info = read_camera_info(GOOD)
    if not fits:
        with pytest.raises(CameraInfoError, match=f'the images are {size[0]}x{size[1]}'):
            fit_camera_info(info, *size)
        return
    fitted = fit_camera_info(info, *size)
    assert (fitted.width, fitted.height) == size
    assert fitted.k[0] / info.k[0] == pytest.approx(size[0] / 1280)
    assert fitted.k[4] / info.k[4] == pytest.approx(size[1] / 720)
