"""Pictures of every format, honest and hostile."""

import contextlib
import struct
import subprocess
import sys

import cv2
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from demt_perception.inference.picture_file import (
    check_picture,
    decode_picture,
    picture_size,
    read_picture,
)

FORMATS = [('.jpg', ()), ('.jpg', (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)), ('.png', ()), ('.bmp', ()),
           ('.tiff', ()), ('.ppm', ()), ('.pgm', ()), ('.ppm', (cv2.IMWRITE_PXM_BINARY, 0)),
           ('.webp', (cv2.IMWRITE_WEBP_QUALITY, 80)), ('.webp', (cv2.IMWRITE_WEBP_QUALITY, 101))]


def picture(height=48, width=64, channels=3):
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(3).integers(0, 256, shape, np.uint8)


def encoded(suffix, options=(), image=None):
    if image is None:
        image = picture(channels=1 if suffix == '.pgm' else 3)
    return cv2.imencode(suffix, image, [*options])[1].tobytes()


@pytest.mark.parametrize(('suffix', 'options'), FORMATS)
@given(height=st.integers(1, 80), width=st.integers(1, 80))
def test_the_size_is_that_of_the_header(suffix, options, height, width):
    data = encoded(suffix, options, picture(height, width, 1 if suffix == '.pgm' else 3))
    assert picture_size(data) == (height, width)


@pytest.mark.parametrize(('suffix', 'options'), FORMATS)
def test_every_format_is_decoded(tmp_path, suffix, options):
    path = tmp_path / f'a{suffix}'
    path.write_bytes(encoded(suffix, options))
    np.testing.assert_array_equal(read_picture(path), cv2.imread(str(path)))


def test_deep_and_transparent_pictures_too():
    for suffix in '.png', '.tiff':
        deep = picture().astype(np.uint16) * 200
        np.testing.assert_array_equal(
            decode_picture(encoded(suffix, (), deep), cv2.IMREAD_UNCHANGED), deep)
    for suffix in '.png', '.webp', '.tiff', '.bmp':
        options = (cv2.IMWRITE_WEBP_QUALITY, 101) if suffix == '.webp' else ()
        data = encoded(suffix, options, picture(channels=4))
        assert picture_size(data) == (48, 64)
        assert decode_picture(data).shape == (48, 64, 3)


HUGE = 30_000


def enlarged(suffix, options=()):
    """Return a small file whose header claims 30,000 pixels on a side."""
    data = bytearray(encoded(suffix, options, picture(40, 70)))
    if suffix == '.jpg':
        at = data.index(struct.pack('>HH', 40, 70))
        data[at:at + 4] = struct.pack('>HH', HUGE, HUGE)
    elif suffix == '.png':
        data[16:24] = struct.pack('>II', HUGE, HUGE)
    elif suffix == '.bmp':
        data[18:26] = struct.pack('<ii', HUGE, -HUGE)
    elif suffix == '.ppm':
        data = data.replace(b'70 40', b'%d %d' % (HUGE, HUGE))
    elif suffix == '.tiff':
        (at,) = struct.unpack_from('<I', data, 4)
        for index in range(struct.unpack_from('<H', data, at)[0]):
            place = at + 2 + 12 * index
            if struct.unpack_from('<H', data, place)[0] in (256, 257):
                struct.pack_into('<HII', data, place + 2, 4, 1, HUGE)
    assert len(data) < 20_000
    return bytes(data)


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.bmp', '.ppm', '.tiff'])
def test_a_small_file_that_claims_a_huge_picture(suffix):
    with pytest.raises(ValueError, match=r'30000x30000, want sides up to 16384 and up to'):
        decode_picture(enlarged(suffix))


def test_a_webp_that_claims_a_huge_picture():
    data = b'RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0' + (HUGE - 1).to_bytes(3, 'little') * 2
    with pytest.raises(ValueError, match='30000x30000'):
        decode_picture(data)


def test_a_jpeg_of_thousands_of_scans():
    """Each takes as long as the picture: 40 kB of them keep a core for minutes."""
    data = encoded('.jpg', (cv2.IMWRITE_JPEG_PROGRESSIVE, 1))
    check_picture(data)
    last = data[data.rindex(b'\xff\xda'):-2]
    with pytest.raises(ValueError, match=r'has \d+ scans, want at most 64'):
        decode_picture(data[:-2] + 1000 * last + data[-2:])


def test_what_follows_a_jpeg_counts_no_scans():
    own = np.random.default_rng(0).integers(0, 256, 8_000_000, np.uint8).tobytes()
    assert own.count(b'\xff\xda') > 64   # as a phone's video of the same moment has
    for options in (), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1):
        np.testing.assert_array_equal(decode_picture(encoded('.jpg', options) + own),
                                      decode_picture(encoded('.jpg', options)))


def hidden(kind, large=20000):
    """Return a picture with a small size where a careless reader looks, and a large one."""
    whole = encoded('.jpg')
    if kind == 'jpeg':   # libjpeg passes over FF 00, others over what seems to be a segment
        small = whole[whole.index(b'\xff\xc0'):]
        real = bytearray(whole[2:])
        at = real.index(b'\xff\xc0')
        real[at + 5:at + 9] = struct.pack('>HH', 3, large)
        return whole[:2] + b'\xff\0' + struct.pack('>H', len(real) + 2) + bytes(real) + small
    if kind == 'ppm':
        return f'P5\n#x\r{large} 3 255\n1 1 255\n'.encode() + bytes(3 * large)
    whole = bytearray(encoded('.tiff', (), np.zeros((3, large, 3), np.uint8)))
    (at,) = struct.unpack_from('<I', whole, 4)
    while struct.unpack_from('<H', whole, at + 2)[0] != 256:
        at += 12
    struct.pack_into('<H', whole, at + 4, 16)   # LONG8: eight bytes, which lie elsewhere
    return bytes(whole)


@pytest.mark.parametrize('kind', ['jpeg', 'ppm', 'tiff'])
def test_a_size_that_is_hidden_is_no_way_round(kind):
    with pytest.raises(ValueError, match=r'marker|want sides up to|type 16'):
        decode_picture(hidden(kind))


def test_opencv_has_the_same_limits(tmp_path):
    path = tmp_path / 'a.ppm'
    path.write_bytes(hidden('ppm'))
    code = f'import demt_perception, cv2; cv2.imread({str(path)!r})'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                          check=False)
    assert 'CV_IO_MAX_IMAGE_WIDTH' in done.stderr


def test_a_header_of_spaces_takes_no_time():
    for blank in b' ', b'#\n':
        with pytest.raises(ValueError, match='not a picture'):
            decode_picture(b'P6' + blank * 2000 + b'x')


@pytest.mark.parametrize('data', [
    b'', b'GIF89a' + bytes(50), b'\0\0\0\x0cjP  \r\n\x87\n' + bytes(50), b'v/1\x01' + bytes(50),
    b'#?RADIANCE\n', b'P7\nWIDTH 3\n', b'<svg/>', b'II+\0' + bytes(50)],
    ids=['empty', 'GIF', 'JPEG 2000', 'OpenEXR', 'HDR', 'PAM', 'SVG', 'BigTIFF'])
def test_other_formats_are_named_not_decoded(data):
    with pytest.raises(ValueError, match='want JPEG, PNG, BMP, TIFF, WebP or PPM'):
        decode_picture(data)


@pytest.mark.parametrize(('suffix', 'options'), FORMATS)
def test_headers_cut_short_are_said(suffix, options):
    data = encoded(suffix, options)
    for end in range(2, 40):
        with contextlib.suppress(ValueError):
            decode_picture(data[:end])


STARTS = [encoded(*one)[:30] for one in FORMATS]


@given(st.sampled_from(STARTS), st.integers(2, 30), st.binary(max_size=200))
def test_any_bytes_are_a_picture_or_an_error(start, length, rest):
    with contextlib.suppress(ValueError):
        assert decode_picture(start[:length] + rest).size <= 3 * 8192**2
