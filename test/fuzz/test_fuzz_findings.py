"""What fuzzing found, each once more: docs/reliability.md lists them."""

import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import yaml

from demt_perception.bags import BagError, open_bag
from demt_perception.inference.cutting import cut
from demt_perception.inference.external_data import has_external_data
from demt_perception.inference.picture_file import decode_picture
from demt_perception.ros.bad_image import BadImageError
from demt_perception.ros.camera_model import BadCameraInfoError, check_camera_info
from demt_perception.ros.compressed import decode
from demt_perception.training.config import ConfigError, load_config

CONFIG = 'model: demt\ntasks: nyud\nout: o\nepochs: 1\ndata: '


@pytest.mark.parametrize('text', [
    'model: 2001-99-99', 'model: !!timestamp foo', '[' * 1000, '\udc80', CONFIG + '[3]',
    CONFIG + '[[a, b]]', f'{CONFIG}[{{}}]\nbatch: 0x{"f" * 5000}\nlr: 0x{"f" * 5000}',
    f'{CONFIG}[{{}}]\nsize: 0x{"f" * 5000}'],
    ids=['date', 'timestamp', 'deep', 'not UTF-8', 'number', 'list', 'large float', 'large tuple'])
def test_a_training_configuration_is_refused_as_one(tmp_path, text):
    path = tmp_path / 'train.yaml'
    path.write_bytes(text.encode('utf-8', 'surrogateescape'))
    with pytest.raises(ConfigError):
        load_config(path)


@pytest.mark.parametrize(('key', 'value'), [
    ('image_width', 0), ('image_height', -3), ('image_width', 10 ** 30), ('image_width', 'a'),
    ('distortion_model', ['a']),
    ('camera_matrix', {'rows': 'x', 'cols': 10 ** 12, 'data': [0]})])
def test_a_calibration_is_refused_as_one(tmp_path, key, value):
    """No size: a division by zero in the node; rows as text: 'x' times 10^12."""
    pytest.importorskip('sensor_msgs.msg', reason='ROS 2 is not installed')
    from fuzz_configs import CALIBRATION

    from demt_perception.ros.camera_info_file import CameraInfoError, read_camera_info
    path = tmp_path / 'camera.yaml'
    path.write_text(yaml.safe_dump({**yaml.safe_load(CALIBRATION), key: value}))
    with pytest.raises(CameraInfoError):
        read_camera_info(path)
    path.write_text('a: !!timestamp foo')
    with pytest.raises(CameraInfoError, match='YAML'):
        read_camera_info(path)


def test_a_png_chunk_that_claims_4_gb_is_refused_before_it_is_decoded():
    """OpenCV 5 took 4 GB and half a minute for it."""
    data = bytearray(cv2.imencode('.png', np.zeros((24, 32, 3), np.uint8))[1].tobytes())
    at = data.index(b'IDAT') - 4
    data[at:at + 4] = struct.pack('>I', 0xFFFE0923)
    with pytest.raises(BadImageError) as caught:
        decode(SimpleNamespace(format='png', data=bytes(data)))
    assert caught.value.reason == 'short_data'
    with pytest.raises(ValueError, match='cut off or damaged'):
        decode_picture(bytes(data))


def test_a_graph_of_graphs_without_end_is_no_onnx_file():
    """Of 400 inner graphs: it ended in a RecursionError."""
    def field(number: int, content: bytes) -> bytes:
        size, length = len(content), bytearray()
        while size >= 0x80:
            length.append(size & 0x7F | 0x80)
            size >>= 7
        return bytes([number << 3 | 2, *length, size]) + content

    graph = b''
    for _ in range(400):
        node = field(2, b'depth') + field(5, field(6, graph))
        graph = field(1, node) + field(12, field(1, b'depth')) + field(12, field(1, b'more'))
    for read in (has_external_data, lambda model: cut(model, ['depth'])):
        with pytest.raises(ValueError, match='nested deeper'):
            read(field(7, graph))


def test_half_an_address_is_answered():
    """The connection ended without a word."""
    from fuzz_view import request
    request(b'GET http://[::1 HTTP/1.1\r\nHost: localhost\r\n\r\n')


def test_a_focal_length_that_binning_makes_zero_is_refused():
    zero = [0.0] * 9
    info = SimpleNamespace(
        height=640, width=640, binning_x=2 ** 31, binning_y=2 ** 31, d=[], p=[0.0] * 12,
        k=[1e-320, *zero[:3], 1e-320, *zero[:4]],
        roi=SimpleNamespace(x_offset=0, y_offset=0, width=2 ** 31, height=2 ** 31))
    with pytest.raises(BadCameraInfoError, match='positive pixels'):
        check_camera_info(info, 1, 1)


@pytest.mark.parametrize(('name', 'content'), [
    ('a.mcap', b'\x89MCAP0\r\n'), ('a.mcap', b'\x89MCAP0\r\n\x80' + bytes(8)),
    ('a.bag', b'#ROSBAG V2.0\n')])
def test_a_bag_that_ends_where_it_begins_is_no_bag_without_topics(tmp_path, name, content):
    pytest.importorskip('rosbags', reason='the package rosbags is not installed')
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BagError, match='damaged'):
        open_bag(tmp_path / name)


@pytest.mark.parametrize('padding', [1, 2, 3])
def test_padding_of_nothing_is_no_message(padding):
    """Fast CDR 2.3 ended the process by a segmentation fault, for 4 bytes."""
    pytest.importorskip('rclpy', reason='ROS 2 is not installed')
    from sensor_msgs.msg import CameraInfo, Image

    from demt_perception.ros.serialized import deserialize
    for kind in (Image, CameraInfo):
        with pytest.raises(ValueError, match='cut off'):
            deserialize(bytes([0, 1, 0, padding]), kind)
        with pytest.raises(ValueError, match='not a whole'):
            deserialize(bytes([0, 1, 0, 0, 7]), kind)


def test_images_cut_short_are_told_by_their_error():
    """They ended `demt view` by a struct.error."""
    from demt_perception.ros.serialized_image import image_array, stamp_ns
    for data in (b'', b'\0\1\0\0', bytes(11)):
        with pytest.raises(ValueError, match='bytes'):
            stamp_ns(data)
        with pytest.raises(ValueError, match='bytes'):
            image_array(data)
