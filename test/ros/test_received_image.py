"""Images as the middleware gives them are what rclpy's messages are, or refused."""

import struct

from bad_images import RAW
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from node_testing import gradient_scene, make_image
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image

from demt_perception.ros.bad_image import BadImageError
from demt_perception.ros.conversions import check_image, to_bgr
from demt_perception.ros.received_image import receive_image, ReceivedImage

SCENE = gradient_scene(96, 160)
FIELDS = 'header', 'height', 'width', 'encoding', 'is_bigendian', 'step'


def refusal(message):
    try:
        check_image(message)
    except BadImageError as error:
        return error.reason, str(error)
    return ()


@pytest.mark.parametrize('frame_id', ['', 'a', 'abc', 'abcd', 'linse_ä', 'camera_optical_frame'])
@pytest.mark.parametrize('changes', [{}, {'is_bigendian': 1}, *(changes for _, changes, _ in RAW)])
def test_it_has_the_fields_of_the_message_and_is_refused_for_the_same(frame_id, changes):
    data = serialize_message(make_image(SCENE, frame_id=frame_id, **changes))
    message, received = deserialize_message(data, Image), receive_image(data)
    assert isinstance(received, ReceivedImage)
    for name in FIELDS:
        assert getattr(received, name) == getattr(message, name)
    assert bytes(received.data) == bytes(message.data)
    assert refusal(received) == refusal(message)


def test_stamps_are_those_of_the_message():
    message = make_image(SCENE)
    message.header.stamp.sec, message.header.stamp.nanosec = -7, 999_999_999
    assert receive_image(serialize_message(message)).header == message.header


@pytest.mark.parametrize('encoding', ['bgr8', 'rgb8'])
def test_pixels_are_those_of_the_message(encoding):
    data = serialize_message(make_image(SCENE, encoding))
    assert np.array_equal(to_bgr(receive_image(data)), to_bgr(deserialize_message(data, Image)))


def test_big_endian_messages_are_read():
    rest = struct.pack('>iII2sxxIII5sBxxII', 5, 7, 2, b'a', 2, 2, 5, b'bgr8', 0, 6, 12)
    received = receive_image(b'\0\0\0\0' + rest + bytes(range(12)))
    assert (received.header.stamp.sec, received.header.stamp.nanosec) == (5, 7)
    assert (received.header.frame_id, received.encoding, received.step) == ('a', 'bgr8', 6)
    assert bytes(received.data) == bytes(range(12))


def test_what_is_cut_off_anywhere_is_refused():
    data = serialize_message(make_image(SCENE, frame_id='lens'))
    for size in (*range(100), len(data) - 5):
        with pytest.raises(BadImageError, match=r'no whole Image|no message') as caught:
            receive_image(data[:size])
        assert caught.value.reason == 'malformed'


def test_another_kind_of_serialisation_is_left_to_rclpy():
    data = b'\x7f' + serialize_message(make_image(SCENE))[1:]
    with pytest.raises(BadImageError, match='not a whole Image'):
        receive_image(data)
