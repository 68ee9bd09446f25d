"""Images that cannot be used: the limits, byte by byte, and the message in full."""

from array import array
import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

messages = pytest.importorskip('sensor_msgs.msg', reason='ROS 2 is not installed')
conversions = pytest.importorskip('demt_perception.ros.conversions')
from demt_perception.ros.bad_image import BadImageError
from demt_perception.ros.compressed import decode, image_size


def image(height, width, encoding, step, size):
    return messages.Image(height=height, width=width, encoding=encoding, step=step,
                          data=array('B', bytes(size)))


def refusal(call, *arguments):
    """Return reason and message of what is refused."""
    with pytest.raises(BadImageError) as caught:
        call(*arguments)
    return caught.value.reason, str(caught.value)


@pytest.mark.parametrize(('height', 'width', 'encoding', 'step', 'size'), [
    (2, 2, 'bgr8', 6, 12), (2, 2, 'bgra8', 8, 16), (2, 2, 'mono8', 2, 4), (2, 3, 'mono16', 6, 12),
    (2, 3, 'bgr16', 18, 36), (3, 4, 'uyvy', 8, 24), (2, 2, 'bgr8', 9, 15), (4, 2, 'bgr8', 6, 25)])
def test_images_that_just_suffice_are_taken(height, width, encoding, step, size):
    conversions.check_image(image(height, width, encoding, step, size))
    assert conversions.to_bgr(image(height, width, encoding, step, size)).shape == (
        height, width, 3)


@pytest.mark.parametrize(('message', 'reason', 'text'), [
    (image(0, 4, 'bgr8', 12, 0), 'zero_size',
     'image is 4x0, want at least 1x1: check the camera driver'),
    (image(4, 0, 'bgr8', 0, 0), 'zero_size',
     'image is 0x4, want at least 1x1: check the camera driver'),
    (image(1, 4, 'bgr8', 12, 12), 'bad_size',
     'image is 1x4, want sides of 2 to 16384 and up to 67108864 pixels in all: check the source '
     'and the scale'),
    (image(2, 3, 'uyvy', 6, 12), 'bad_size',
     "width is 3, want an even one for 'uyvy': check the camera driver"),
    (image(2, 3, 'yuyv', 6, 12), 'bad_size',
     "width is 3, want an even one for 'yuyv': check the camera driver"),
    (image(2, 2, 'bgr8', 5, 12), 'wrong_step',
     "step is 5, want at least 6 bytes a row for 2 pixels of 'bgr8': check the camera driver"),
    (image(2, 2, 'rgb16', 11, 99), 'wrong_step',
     "step is 11, want at least 12 bytes a row for 2 pixels of 'rgb16': check the camera driver"),
    (image(2, 2, 'bgr8', 6, 11), 'short_data',
     'data holds 11 bytes, want 12 for 2 rows of 6: check the camera driver'),
    (image(3, 2, 'bgr8', 8, 21), 'short_data',
     'data holds 21 bytes, want 22 for 3 rows of 8: check the camera driver'),
])
def test_images_that_just_do_not_are_refused_in_full(message, reason, text):
    for call in (conversions.check_image, conversions.to_bgr):
        assert refusal(call, message) == (reason, text)


@pytest.mark.skipif(conversions.cv_bridge is not None, reason='cv_bridge knows more encodings')
def test_an_unknown_encoding_is_told_all_known_ones():
    reason, text = refusal(conversions.to_bgr, image(2, 2, '64FC1', 16, 32))
    assert reason == 'unknown_encoding'
    assert text == (f"encoding is '64FC1', want one of {', '.join(conversions.ENCODINGS)}; for "
                    'others install cv_bridge')


def test_what_cannot_be_converted_is_said_with_the_image():
    """Whatever is not a buffer of bytes: a generated message would not have taken it."""
    given = SimpleNamespace(height=2, width=3, step=9, encoding='bgr8', data=[0] * 18,
                            is_bigendian=0)
    reason, text = refusal(conversions.to_bgr, given)
    assert reason == 'decode_failed'
    assert text.startswith("an image of 3x2 'bgr8' cannot be converted to bgr8: ")
    assert 'buffer' in text or 'bytes-like' in text


def test_a_message_is_filled_anew_where_its_size_changes_in_one_direction():
    header = messages.Image().header
    filler = conversions.ImageFiller(messages.Image(), 'mono8')
    for shape in ((4, 6), (4, 5), (3, 5), (3, 5, 3)):
        if len(shape) == 3:
            filler = conversions.ImageFiller(messages.Image(), 'rgb8')
        pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        message = filler.fill(pixels, header)
        assert (message.height, message.width, message.step) == (
            *shape[:2], pixels.nbytes // shape[0])
        assert bytes(message.data) == pixels.tobytes()
    assert message.is_bigendian in (False, 0)   # x86 and ARM are little-endian


# Compressed.

def compressed(data, text='jpeg'):
    return messages.CompressedImage(format=text, data=data)


def encoded(suffix='.jpg'):
    y, x = np.mgrid[:48, :64]
    return cv2.imencode(suffix, np.stack([x * 3, y * 4, x + y], -1).astype(np.uint8))[1].tobytes()


def jpeg(*segments):
    return b'\xff\xd8' + b''.join(segments)


def frame(marker, height, width, *, cut=None):
    return (bytes([0xFF, marker]) + struct.pack('>HBHH', 17, 8, height, width))[:cut]


@pytest.mark.parametrize('marker', [
    marker for marker in range(0xC0, 0xD0) if marker not in (0xC4, 0xC8, 0xCC)])
def test_every_kind_of_frame_has_its_size_at_the_same_place(marker):
    assert image_size(jpeg(frame(marker, 0x0102, 0x0304))) == (0x0102, 0x0304)


@pytest.mark.parametrize('before', [
    b'', b'\xff\xe0\x00\x02', b'\xff\xe1\x00\x05abc', b'\xff\xc4\x00\x04ab', b'\xff\xc8\x00\x02',
    b'\xff\xcc\x00\x03a', b'\xff\x01', b'\xff\xd0', b'\xff\xd7', b'\xff\xd8', b'\xff', b'\xff\xff',
    b'\xff\xe0\x01\x02' + bytes(256)])
def test_what_stands_before_the_frame_is_skipped(before):
    assert image_size(jpeg(before, frame(0xC0, 7, 9))) == (7, 9)


@pytest.mark.parametrize(('data', 'text'), [
    (b'GIF89a', "they begin with b'GIF8'"), (b'\xff', "they begin with b'\\xff'"),
    (b'\x89PNG\r\n\x1a\n' + b'\0\0\0\rIDAT' + bytes(20), 'a PNG without its header'),
    (encoded('.png')[:23], 'a PNG without its header'),
    (jpeg(b'\xff\xe0\x00\x02', b'\x12\x34'), 'a JPEG without a marker at byte 6'),
    (jpeg(b'\xff\xda\x00\x02'), 'a JPEG without its size')])
def test_damaged_headers_are_refused_in_full(data, text):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        image_size(data)
    assert str(caught.value) == text
    assert refusal(decode, compressed(data)) == (
        'decode_failed', f"{len(data)} bytes of format 'jpeg' are no image: {text}; want a whole "
        'JPEG or PNG')


@pytest.mark.parametrize('data', [
    b'\xff\xd8', b'\xff\xd8\xff', jpeg(frame(0xC0, 7, 9, cut=8)), jpeg(b'\xff\xe0\xff\xff')])
def test_headers_cut_short_are_refused_in_full(data):
    with pytest.raises(IndexError):
        image_size(data)
    assert refusal(decode, compressed(data)) == (
        'decode_failed', f"{len(data)} bytes of format 'jpeg' are no image: the header is cut "
        'short; want a whole JPEG or PNG')


def test_the_header_of_a_png_ends_at_its_24th_byte():
    assert image_size(encoded('.png')[:24]) == (48, 64)


def test_sizes_of_compressed_images_have_limits():
    size = ('want sides of 2 to 16384 and up to 67108864 pixels in all: check the source and the '
            'scale')
    for height, width, reason in ((0, 9, 'zero_size'), (9, 0, 'zero_size'), (1, 9, 'bad_size'),
                                  (9, 20000, 'bad_size')):
        data = jpeg(frame(0xC0, height, width), b'\xff\xd9')
        assert refusal(decode, compressed(data)) == (
            reason, f'compressed image is {height}x{width}, {size}')
    assert refusal(decode, compressed(b'')) == (
        'zero_size', 'a compressed image holds no data: check the camera')


def test_the_end_of_a_jpeg_may_be_followed_by_zeros_and_a_few_bytes():
    data = encoded()
    whole = decode(compressed(data))
    for after in (bytes(4000), b'\x01' * 62, b'\x01' * 62 + bytes(65400)):
        np.testing.assert_array_equal(decode(compressed(data + after)), whole)
    for cut in (data[:-2], data[:-2] + bytes(100), data + b'\x01' * 63, data + b'X' * 63,
                data + bytes(65536)):
        assert refusal(decode, compressed(cut)) == (
            'short_data', f'{len(cut)} bytes end before the image does: check the connection to '
            'the camera')


def test_a_png_ends_with_its_last_chunk():
    data = encoded('.png')
    whole = decode(compressed(data))
    np.testing.assert_array_equal(decode(compressed(data + b'\x01' * 500)), whole)
    longer = data[:33] + struct.pack('>I', 10 ** 6) + data[37:]
    for cut in (data[:-1], data[:-12], data[:-12] + bytes(100), longer):
        assert refusal(decode, compressed(cut)) == (
            'short_data', f'{len(cut)} bytes end before the image does: check the connection to '
            'the camera')


def test_damaged_pixels_are_refused_in_full():
    data = encoded('.png')
    data = data[:33] + bytes(36) + data[-12:]   # three empty chunks of no kind
    assert refusal(decode, compressed(data, 'png')) == (
        'decode_failed', f"{len(data)} bytes of format 'png' are damaged: check the connection to "
        'the camera')
