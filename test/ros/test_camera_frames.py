"""What the camera source makes of frames before they are published, and of those it cannot use."""

import logging
from pathlib import Path
from queue import SimpleQueue
import sqlite3
import time

from bag_writing import write_sqlite3
import cv2
import numpy as np
import pytest

messages = pytest.importorskip('sensor_msgs.msg', reason='ROS 2 is not installed')
rclpy = pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from node_testing import free_domain
from rclpy.serialization import serialize_message
from rclpy.time import Time

from demt_perception.ros.bad_image import BadImageError
from demt_perception.ros.camera_frames import preparation
from demt_perception.ros.camera_info_file import CameraInfoError, read_camera_info
from demt_perception.ros.camera_node import CameraSource
from demt_perception.ros.read_ahead import ReadAhead
from demt_perception.ros.sources import Frame, open_source, Source, SourceError

CALIBRATION = read_camera_info(
    Path(__file__).resolve().parents[2] / 'config' / 'udacity_camera.yaml')
PIXELS = np.random.default_rng(0).integers(0, 256, (36, 64, 3), np.uint8)


def jpeg(pixels=PIXELS):
    message = messages.CompressedImage(format='jpeg')
    message.data.frombytes(cv2.imencode('.jpg', pixels)[1].data)
    return message


def raw(pixels=PIXELS, **changes):
    values = {'height': pixels.shape[0], 'width': pixels.shape[1], 'encoding': 'bgr8',
              'step': pixels.shape[1] * 3, 'data': pixels.tobytes(), **changes}
    return messages.Image(**values)


@pytest.mark.parametrize('image', [PIXELS, raw(), jpeg()], ids=['array', 'Image', 'Compressed'])
def test_the_calibration_fits_whatever_the_frame_is(image):
    info = preparation('raw', CALIBRATION)(Frame(image, 0.0)).camera_info
    assert (info.width, info.height) == (64, 36)
    assert info.k[0] == pytest.approx(CALIBRATION.k[0] / 20)


def test_a_recorded_jpeg_becomes_pixels_or_stays_as_it_is():
    message = jpeg()
    decoded = preparation('raw', None)(Frame(message, 0.0)).image
    np.testing.assert_array_equal(
        decoded, cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR))
    assert preparation('compressed', None)(Frame(message, 0.0)).image is message


@pytest.mark.parametrize('transport', ['raw', 'compressed'])
@pytest.mark.parametrize('image', [
    messages.CompressedImage(data=b'GIF89a'), messages.CompressedImage(),
    messages.CompressedImage(data=jpeg().data[:40]), raw(height=0, data=b''),
    raw(width=0, data=b'')], ids=['no image', 'nothing', 'cut short', 'no height', 'no width'])
def test_with_a_calibration_a_damaged_frame_is_a_bad_image(image, transport):
    """And no other error, which would end the source: see ``ReadAhead``."""
    with pytest.raises(BadImageError):
        preparation(transport, CALIBRATION)(Frame(image, 0.0))


def test_a_calibration_of_another_shape_is_no_bad_image():
    with pytest.raises(CameraInfoError, match='36x36, camera_info_file is for 1280x720'):
        preparation('raw', CALIBRATION)(Frame(PIXELS[:, :36], 0.0))


@pytest.mark.parametrize('encoding', ['bgr8', 'rgb8'])
def test_a_recorded_image_keeps_its_colours_as_a_jpeg(encoding):
    pixels = np.full((36, 64, 3), (10, 120, 200), np.uint8)
    message = preparation('compressed', None)(Frame(raw(pixels, encoding=encoding), 0.0)).image
    decoded = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
    wanted = pixels if encoding == 'bgr8' else pixels[..., ::-1]
    assert np.abs(decoded.astype(int) - wanted).max() < 5


def test_a_transport_is_named():
    with pytest.raises(SourceError, match="'jpeg', want one of"):
        preparation('jpeg', None)


def bag(path, images, kind='sensor_msgs/msg/CompressedImage', infos=()):
    """Return a bag as a source: each image after the camera_info of its place."""
    rows = [('/cam/image', 50_000_000 * n + 1, image if isinstance(image, bytes) else
             serialize_message(image)) for n, image in enumerate(images)]
    rows += [('/cam/camera_info', 50_000_000 * n, serialize_message(info))
             for n, info in enumerate(infos)]
    write_sqlite3(path, rows, {'/cam/image': kind,
                               '/cam/camera_info': 'sensor_msgs/msg/CameraInfo'})
    return open_source(str(path))


def read(source, calibration=None, transport='raw'):
    reader = ReadAhead(source, False, preparation(transport, calibration))
    try:
        return list(reader)
    finally:
        assert reader.close(20)


@pytest.mark.parametrize('calibration', [None, CALIBRATION], ids=['alone', 'calibrated'])
def test_damaged_frames_of_a_bag_are_left_out_and_said(tmp_path, caplog, calibration):
    damaged = messages.CompressedImage(format='jpeg', data=b'\xff\xd8 not more')
    frames = read(bag(tmp_path / 'drive.db3', [jpeg(), damaged, jpeg()]), calibration)
    assert [frame.offset for frame in frames] == [0.0, pytest.approx(0.1)]
    assert caplog.text.count('a frame is left out') == 1


def test_an_image_of_a_bag_has_the_camera_info_before_it(tmp_path):
    infos = [messages.CameraInfo(k=[float(focal)] * 9) for focal in (40, 80)]
    frames = read(bag(tmp_path / 'drive.db3', [raw()] * 3, 'sensor_msgs/msg/Image', infos))
    assert [frame.camera_info.k[0] for frame in frames] == [40, 80, 80]


def test_a_bag_of_damaged_frames_alone_is_an_error(tmp_path):
    source = bag(tmp_path / 'drive.db3', [messages.CompressedImage(data=b'x')] * 2)
    with pytest.raises(SourceError, match=r'not one image of bag .*drive\.db3.* is good'):
        read(source)


def test_what_is_no_message_ends_the_source_with_its_topic(tmp_path):
    with pytest.raises(SourceError, match='a message of /cam/image is damaged'):
        read(bag(tmp_path / 'drive.db3', [raw(), b'\0\1\0\0\xff'], 'sensor_msgs/msg/Image'))


def test_a_bag_that_is_damaged_in_the_middle_is_played_up_to_there(tmp_path, caplog):
    source = bag(tmp_path / 'drive.db3', [raw()] * 3, 'sensor_msgs/msg/Image')
    database = sqlite3.connect(tmp_path / 'drive.db3')
    database.execute("UPDATE messages SET data = 'text' WHERE id = 3")
    database.commit()
    database.close()
    caplog.clear()
    assert len(list(source.frames())) == 2
    assert 'is damaged' in caplog.text


def test_a_bag_that_is_none_is_an_error_of_the_source(tmp_path):
    (tmp_path / 'drive.db3').write_bytes(b'no database')
    with pytest.raises(SourceError, match=r'drive\.db3'):
        open_source(str(tmp_path / 'drive.db3'))


def test_a_recorded_bag_goes_on_where_it_began(tmp_path):
    """In a loop the next pass begins a frame after the last one ended."""
    source = bag(tmp_path / 'drive.db3', [raw(), raw()], 'sensor_msgs/msg/Image')
    reader = ReadAhead(source, True, lambda frame: frame)
    frames = iter(reader)
    offsets = [next(frames).offset for _ in range(5)]
    assert reader.close(20)
    np.testing.assert_allclose(offsets, [0, 0.05, 0.1, 0.15, 0.2])


def test_a_folder_of_text_and_a_video_of_nothing(tmp_path):
    (tmp_path / 'a.png').write_text('not a picture')
    with pytest.raises(SourceError, match='none of its 1 images can be decoded'):
        read(open_source(str(tmp_path)))
    with pytest.raises(SourceError, match='is no device: leave it empty'):
        open_source(str(tmp_path), device_format='MJPG 64x48')


def test_a_source_that_fails_tells_its_reader(caplog):
    caplog.set_level(logging.CRITICAL)

    def frames():
        yield Frame(PIXELS, 0.0)
        raise OSError('the disk is gone')

    with pytest.raises(OSError, match='the disk is gone'):
        read(Source('a disk', False, 10.0, frames))


def test_a_frame_is_stamped_with_the_moment_at_which_it_was_taken(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), PIXELS)
    rclpy.init(domain_id=free_domain(), args=['--ros-args', '-p', f'source:={tmp_path}'])
    node = CameraSource(SimpleQueue())
    try:
        assert node.close()   # it plays nothing itself
        sent = []
        node._images.publish = node._infos.publish = sent.append
        taken = time.monotonic() - 2.0
        node._publish(Frame(PIXELS, 0.0, messages.CameraInfo(), taken=taken))
        now, age = node.get_clock().now(), time.monotonic() - taken
    finally:
        node.destroy_node()
        rclpy.shutdown()
    assert {type(message) for message in sent} == {messages.Image, messages.CameraInfo}
    for message in sent:
        stamped = (now - Time.from_msg(message.header.stamp)).nanoseconds / 1e9
        assert stamped == pytest.approx(age, abs=0.5)
