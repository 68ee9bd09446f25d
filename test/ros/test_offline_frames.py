"""The images of a bag: which there are, how large they are, and which cannot be used."""

from dataclasses import replace

from bag_samples import (
    cdr,
    compressed,
    IMAGE,
    image,
    INFO,
    info,
    rows,
    SECOND,
    START,
    store,
    write_bag,
)
import numpy as np
import pytest

pytest.importorskip('rosbags', reason='the package rosbags is not installed')

from demt_perception.bags import open_bag
from demt_perception.bags.camera_topics import all_cameras
from demt_perception.bags.ros_types import decode
from demt_perception.inference import Predictor
from demt_perception.ros.bad_image import BadImageError
from demt_perception.ros.camera_model import focal_lengths, scaled_camera_info
from demt_perception.ros.offline.frames import first_size, look, read_frames
from demt_perception.ros.offline.processing import Options, process

RAW, PACKED = '/cam/image_raw', '/cam/image_raw/compressed'


def frames_of(path, every=1, skip=0):
    with open_bag(path) as bag:
        return list(read_frames(bag, all_cameras(bag.topics), every, skip))


def size_of(path):
    with open_bag(path) as bag:
        return first_size(bag, all_cameras(bag.topics))


def photo(pixels):
    height, width = pixels.shape[:2]
    return store().types[IMAGE](
        image(0).header, height, width, 'bgr8', 0, width * 3, pixels.reshape(-1))


def replaced(some, topic, index, data):
    """Return rows with other data in a message of a topic."""
    places = [place for place, row in enumerate(some) if row[0] == topic]
    return [(*row[:2], data) if place == places[index] else row for place, row in enumerate(some)]


@pytest.mark.parametrize(('topic', 'make'), [(RAW, image), (PACKED, compressed)])
def test_the_first_image_that_is_one_tells_the_size(tmp_path, topic, make):
    some = replaced(rows(3, topic, make), topic, 0, b'\0\1\0\0 no image')
    assert size_of(write_bag(tmp_path / 'a.db3', some)) == (24, 32)
    for index in (1, 2):
        some = replaced(some, topic, index, b'')
    assert size_of(write_bag(tmp_path / 'b.db3', some)) is None


@pytest.mark.parametrize('fit', [False, True])
def test_the_input_follows_the_shape_of_the_images(tmp_path, tiny_model, fit):
    """With ``fit``, as the node's match_aspect does."""
    pixels = np.random.default_rng(0).integers(0, 256, (96, 48, 3), np.uint8)
    path = write_bag(tmp_path / 'a.db3', [(RAW, START, cdr(photo(pixels)))])
    process(path, tmp_path / 'out', Options(
        str(tiny_model), {'engine': 'onnxruntime', 'threads': 1}, fit=fit),
        lambda progress, total: None)
    with open_bag(tmp_path / 'out') as bag:
        (message,) = bag.messages(['/demt_perception/depth/image'])
    sizes = {}
    for image_size in (None, (96, 48)):
        predictor = Predictor(tiny_model, 'onnxruntime', 1, image_size=image_size)
        sizes[predictor.input_size] = predictor.predict(pixels).depth.tobytes()
    assert len(set(sizes.values())) == 2
    assert decode(message.data, IMAGE).data.tobytes() == list(sizes.values())[fit]


def test_the_first_frames_have_the_first_camera_info(tmp_path):
    late = [row for row in rows(3) if row[0] == RAW] + [
        ('/cam/camera_info', START + SECOND, cdr(info(7)))]
    frames = frames_of(write_bag(tmp_path / 'a.db3', late))
    assert [frame.info for frame in frames] == [cdr(info(7))] * 3


def test_what_was_done_is_passed_over_and_every_other_left_out(tmp_path):
    path = write_bag(tmp_path / 'a.db3', rows(7))
    assert [frame.seen for frame in frames_of(path, every=3)] == [1, 4, 7]
    assert [frame.seen for frame in frames_of(path, every=3, skip=4)] == [7]


def test_a_damaged_camera_info_costs_the_camera_info_alone(tmp_path):
    some = replaced(rows(2), '/cam/camera_info', 0, b'\0\1\0\0\xff')
    frame, after = frames_of(write_bag(tmp_path / 'a.db3', some))
    header, bgr, found, why = look(frame)
    assert (header.stamp.nanosec, bgr.shape, found) == (0, (24, 32, 3), None)
    assert f'not a whole {INFO}' in why
    assert look(after)[2].k[0] == 40.0


def test_a_camera_info_of_another_size_is_said(tmp_path):
    some = replaced(rows(1), '/cam/camera_info', 0, cdr(info(0, width=99)))
    (frame,) = frames_of(write_bag(tmp_path / 'a.db3', some))
    assert look(frame)[2] is None
    assert '99x24' in look(frame)[3]


@pytest.mark.parametrize(('topic', 'make', 'rectified', 'k', 'd'), [
    ('/cam/image_rect', image, 'auto', (30, 32), [0.0] * 5),
    ('/cam/image_rect/compressed', compressed, 'auto', (30, 32), [0.0] * 5),
    (RAW, image, 'auto', (40, 42), [-0.1] * 5),
    ('/cam/image_undistorted', image, 'true', (30, 32), [0.0] * 5),
    ('/cam/image_rect', image, 'false', (40, 42), [-0.1] * 5)])
def test_a_camera_info_is_taken_for_the_image_that_topic_or_option_name(
        tmp_path, topic, make, rectified, k, d):
    """As the node takes it: see test_reception.py."""
    both = replace(info(0), d=np.full(5, -0.1), k=np.array([40.0, 0, 16, 0, 42, 12, 0, 0, 1]),
                   p=np.array([30.0, 0, 16, 0, 0, 32, 12, 0, 0, 0, 1, 0]))
    (frame,) = frames_of(write_bag(tmp_path / 'a.db3', [
        ('/cam/camera_info', START, cdr(both)), (topic, START + 1, cdr(make(0)))]))
    found = look(frame, rectified)[2]
    assert (found.k[0], found.k[4], found.d) == (*k, d)
    assert focal_lengths(found) == k


def test_region_of_interest_and_binning_of_a_bag(tmp_path):
    region = store().types['sensor_msgs/msg/RegionOfInterest'](
        x_offset=8, y_offset=4, width=16, height=12, do_rectify=False)
    part = replace(info(0), roi=region, binning_x=2, binning_y=1)
    (frame,) = frames_of(write_bag(tmp_path / 'a.db3', [
        ('/cam/camera_info', START, cdr(part)),
        (RAW, START + 1, cdr(photo(np.zeros((12, 8, 3), np.uint8))))]))
    _, _, found, why = look(frame)
    assert why == ''
    assert scaled_camera_info(found, 8, 12).k == [20, 0, (16 - 8) / 2, 0, 40, 12 - 4, 0, 0, 1]


def test_what_is_no_message_is_a_bad_image(tmp_path):
    some = replaced(rows(1), RAW, 0, b'\0\1\0\0\1')
    (frame,) = frames_of(write_bag(tmp_path / 'a.db3', some))
    with pytest.raises(BadImageError, match='not a whole sensor_msgs/msg/Image') as caught:
        look(frame)
    assert caught.value.reason == 'decode_failed'
