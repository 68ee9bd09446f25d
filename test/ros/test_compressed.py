import contextlib
import re
import struct

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

messages = pytest.importorskip('sensor_msgs.msg', reason='ROS 2 is not installed')
from bad_images import compressed

from demt_perception.ros.bad_image import BadImageError
from demt_perception.ros.compressed import decode, image_size


def picture(height=48, width=64):
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 3, y * 4, (x + y) * 2], -1).astype(np.uint8)


def encoded(suffix='.jpg', image=None):
    return cv2.imencode(suffix, picture() if image is None else image)[1].tobytes()


def message(data, text='bgr8; jpeg compressed bgr8'):
    return messages.CompressedImage(format=text, data=data)


def reason_of(data, text='jpeg'):
    with pytest.raises(BadImageError) as caught:
        decode(message(data, text))
    return caught.value.reason


@pytest.mark.parametrize('text', ['jpeg', 'bgr8; jpeg compressed bgr8', 'rgb8; png compressed',
                                  '', 'JPG', 'anything'])
def test_the_format_text_does_not_matter(text):
    bgr = decode(message(encoded(), text))
    np.testing.assert_allclose(bgr.astype(int), picture(), atol=12)
    np.testing.assert_array_equal(decode(message(encoded('.png'), text)), picture())


def test_grey_becomes_bgr():
    assert decode(message(encoded('.png', picture()[..., 0]))).shape == (48, 64, 3)


def mosaic(pattern, bgr, kind=np.uint8):
    """Return what a sensor with a Bayer filter sees of a wall of one colour."""
    values = np.empty((48, 64), kind)
    for place, letter in enumerate(pattern):
        values[place // 2::2, place % 2::2] = bgr['bgr'.index(letter)] * (
            257 if kind == np.uint16 else 1)
    return values


RED = (20, 40, 200)


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_a_bayer_mosaic_gets_its_colours(pattern, suffix):
    data = encoded(suffix, mosaic(pattern, RED))
    name = {'.jpg': 'jpeg', '.png': 'png'}[suffix]
    bgr = decode(message(data, f'bayer_{pattern}8; {name} compressed '))
    assert bgr.shape == (48, 64, 3)
    np.testing.assert_allclose(bgr[4:-4, 4:-4].astype(int) - RED, 0,
                               atol=0 if suffix == '.png' else 40)


def test_a_bayer_mosaic_of_16_bits_is_scaled_to_8():
    data = encoded('.png', mosaic('grbg', RED, np.uint16))
    assert (decode(message(data, 'bayer_grbg16; png compressed '))[4:-4, 4:-4] == RED).all()


def test_a_bayer_image_that_has_its_colours_is_taken_as_it_is():
    np.testing.assert_array_equal(
        decode(message(encoded('.png'), 'bayer_rggb8; png compressed bgr8')), picture())


@pytest.mark.parametrize(('image', 'text'), [
    (picture(), 'bayer_rggb8; png compressed '),
    (picture()[..., 0], 'bayer_rggb8; png compressed mono8'),
    (picture()[..., 0], 'bayer_xggb8; png compressed '),
    (np.dstack([picture(), picture()[..., :1]]), 'bayer_rggb8; png compressed bgra8')])
def test_what_claims_to_be_a_bayer_image_and_is_none_is_refused(image, text):
    with pytest.raises(BadImageError, match='image_proc') as caught:
        decode(message(encoded('.png', image), text))
    assert caught.value.reason == 'unknown_encoding'
    assert repr(text) in str(caught.value)


def test_an_orientation_tag_does_not_turn_the_picture():
    exif = (b'Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0')
    data = encoded()
    data = data[:2] + b'\xff\xe1' + struct.pack('>H', len(exif) + 2) + exif + data[2:]
    assert decode(message(data)).shape == (48, 64, 3)


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
@given(height=st.integers(1, 80), width=st.integers(1, 80))
@settings(max_examples=40, deadline=None)
def test_the_size_is_read_from_the_header(suffix, height, width):
    assert image_size(encoded(suffix, picture(height, width))) == (height, width)


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_data_cut_short_are_refused_wherever_they_end(suffix):
    data = encoded(suffix)
    for end in range(1, len(data) - 12, 37):
        assert reason_of(data[:end]) in ('decode_failed', 'short_data'), end
    assert reason_of(data[:len(data) // 2 + 200]) == 'short_data'


def test_zeros_after_the_end_are_tolerated():
    assert decode(message(encoded() + bytes(4000))).shape == (48, 64, 3)


@pytest.mark.parametrize(('reason', 'data', 'says'), compressed(encoded('.png')))
def test_what_is_no_image_is_refused_and_said(reason, data, says):
    with pytest.raises(BadImageError, match=re.escape(says)) as caught:
        decode(message(data))
    assert caught.value.reason == reason


def test_a_bomb_is_refused_before_it_is_decoded():
    """A header of 60000x60000 in a few bytes."""
    data = bytearray(encoded('.png'))
    data[16:24] = struct.pack('>II', 60000, 60000)
    assert reason_of(bytes(data)) == 'bad_size'


def test_a_damaged_header_is_refused():
    data = bytearray(encoded('.png'))
    data[40:60] = b'x' * 20
    assert reason_of(bytes(data)) in ('decode_failed', 'short_data')


@given(st.binary(max_size=300), st.sampled_from([b'', b'\xff\xd8', b'\x89PNG\r\n\x1a\n']),
       st.sampled_from(['jpeg', 'bayer_rggb8; png compressed ', 'bayer_']))
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_an_image_or_bad_image_error(data, start, text):
    with contextlib.suppress(BadImageError):
        assert decode(message(start + data, text)).ndim == 3


def test_a_jpeg_of_thousands_of_scans_is_refused():
    """40 kB of them would keep the node busy for minutes."""
    data = cv2.imencode('.jpg', picture(), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    assert decode(message(data)).shape == (48, 64, 3)
    again = data[:-2] + 1000 * data[data.rindex(b'\xff\xda'):-2] + data[-2:]
    assert reason_of(again) == 'decode_failed'


def with_header(*parts):
    """Return a JPEG with other segments before its own."""
    data = encoded()
    return data[:2] + b''.join(parts) + data[2:]


@pytest.mark.parametrize('parts', [
    (b'\xff\xff\xff',),                    # fill bytes before a marker
    (b'\xff\x01', b'\xff\xd0'),            # markers without a length
    (b'\xff\xfe\x00\x06DEMT',),            # a comment
    (b'\xff\xe0\x00\x02', b'\xff\xff')])
def test_what_may_stand_before_the_size_is_passed_over(parts):
    assert image_size(with_header(*parts)) == (48, 64)


@pytest.mark.parametrize(('data', 'said'), [
    (with_header(b'\xff\xda\x00\x02'), 'a JPEG without its size'),
    (with_header(b'\x00'), 'without a marker at byte 2'),
    (b'\x89PNG\r\n\x1a\n' + bytes(40), 'a PNG without its header'),
    (b'\xff\xd8\xff\xc0\x00\x0b\x08\x00\x30', 'cut short')])
def test_a_header_that_tells_no_size_is_refused_with_its_reason(data, said):
    with pytest.raises(BadImageError, match=said) as caught:
        decode(message(data))
    assert caught.value.reason == 'decode_failed'
