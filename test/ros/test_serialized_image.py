import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image

from demt_perception.ros.serialized_image import image_array, stamp_ns


@pytest.mark.parametrize('frame_id', ['', 'a', 'abc', 'abcd', 'camera_optical_frame'])
@pytest.mark.parametrize(('encoding', 'channels'), [('mono8', 1), ('rgb8', 3), ('bgr8', 3)])
def test_pixels_and_stamp_are_those_of_the_message(frame_id, encoding, channels):
    rows = np.random.default_rng(1).integers(0, 256, (3, 32), np.uint8)
    message = Image(height=3, width=7, step=32, encoding=encoding, data=rows.tobytes())
    message.header.frame_id = frame_id
    message.header.stamp.sec = 5
    message.header.stamp.nanosec = 7
    data = serialize_message(message)
    assert stamp_ns(data) == 5_000_000_007
    wanted = rows[:, :7 * channels].reshape(3, 7, channels)
    assert np.array_equal(image_array(data).reshape(3, 7, channels), wanted)


@pytest.mark.parametrize('change', [
    {'encoding': '32FC1'}, {'step': 5}, {'data': b'too short'}])
def test_what_cannot_be_shown_is_refused(change):
    values = {'height': 3, 'width': 7, 'step': 21, 'encoding': 'rgb8', 'data': bytes(63)}
    with pytest.raises(ValueError, match='want one of'):
        image_array(serialize_message(Image(**values | change)))
