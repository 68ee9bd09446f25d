"""Every encoding against a plain reference, and against cv_bridge where it is installed."""

from array import array

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

messages = pytest.importorskip('sensor_msgs.msg', reason='ROS 2 is not installed')
conversions = pytest.importorskip('demt_perception.ros.conversions')
from demt_perception.ros.bad_image import BadImageError

Image = messages.Image
SIMPLE = {'bgr8': 3, '8UC3': 3, 'rgb8': 3, 'mono8': 1, '8UC1': 1, 'bgra8': 4, '8UC4': 4,
          'rgba8': 4, 'mono16': 1, 'bgr16': 3, 'rgb16': 3}
YUV = {'yuv422': 'uyvy', 'uyvy': 'uyvy', 'yuv422_yuy2': 'yuyv', 'yuyv': 'yuyv'}
BAYER = {'rggb': 'RGGB', 'bggr': 'BGGR', 'gbrg': 'GBRG', 'grbg': 'GRBG'}


def make_message(pixels, encoding, padding=0, big=False):
    """Lay HxW or HxWxC values out as an image message, row by row, byte by byte."""
    rows = []
    for row in pixels:
        values = row.astype(row.dtype.newbyteorder('>' if big else '<'))
        rows.append(values.tobytes() + b'\xa5' * padding)
    data = b''.join(rows)
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding,
                    is_bigendian=int(big), step=len(rows[0]))
    message.data = array('B', data)
    return message


def eight_bits(value):
    return round(int(value) * 255 / 65535)


def simple_reference(pixels, encoding):
    """Pixel by pixel, straight from the meaning of the names."""
    out = np.zeros((*pixels.shape[:2], 3), np.uint8)
    for y, x in np.ndindex(pixels.shape[:2]):
        value = np.atleast_1d(pixels[y, x])
        if encoding.endswith('16'):
            value = [eight_bits(v) for v in value]
        out[y, x] = {'b': (value[0],) * 3 if len(value) == 1 else value[:3],
                     'r': value[2::-1] if len(value) > 2 else None,
                     'm': (value[0],) * 3}[encoding[0] if encoding[0] in 'rm' else 'b']
    return out


@st.composite
def simple_images(draw):
    encoding = draw(st.sampled_from(sorted(SIMPLE)))
    height, width = draw(st.integers(2, 5)), draw(st.integers(2, 7))
    channels = SIMPLE[encoding]
    kind = np.uint16 if encoding.endswith('16') else np.uint8
    shape = (height, width) if channels == 1 else (height, width, channels)
    seed = draw(st.integers(0, 2 ** 32 - 1))
    pixels = np.random.default_rng(seed).integers(0, np.iinfo(kind).max, shape, kind,
                                                  endpoint=True)
    return pixels, encoding, draw(st.integers(0, 9)), draw(st.booleans())


@given(simple_images())
@settings(max_examples=200, deadline=None)
def test_simple_encodings_equal_the_reference(case):
    pixels, encoding, padding, big = case
    bgr = conversions.to_bgr(make_message(pixels, encoding, padding, big))
    np.testing.assert_array_equal(bgr, simple_reference(pixels, encoding))
    assert bgr.dtype == np.uint8
    assert bgr.flags.c_contiguous


def test_bgr8_is_a_view_of_the_message():
    message = make_message(np.full((4, 6, 3), 7, np.uint8), 'bgr8')
    bgr = conversions.to_bgr(message)
    message.data[0] = 99
    assert bgr[0, 0, 0] == 99


def yuv_to_bgr(y, u, v):
    """ITU-R BT.601, studio range."""
    c, d, e = 1.164 * (y - 16), u - 128.0, v - 128.0
    rgb = c + 1.596 * e, c - 0.813 * e - 0.391 * d, c + 2.018 * d
    return [min(max(value, 0), 255) for value in reversed(rgb)]


@pytest.mark.parametrize('encoding', sorted(YUV))
@pytest.mark.parametrize('padding', [0, 6])
def test_yuv_encodings(encoding, padding):
    rng = np.random.default_rng(3)
    raw = rng.integers(16, 235, (4, 6, 2), np.uint8)
    bgr = conversions.to_bgr(make_message(raw, encoding, padding))
    for row, col in np.ndindex(4, 6):
        first, second = raw[row, col - col % 2], raw[row, col - col % 2 + 1]
        chroma, luma = (0, 1) if YUV[encoding] == 'uyvy' else (1, 0)
        want = yuv_to_bgr(*map(float, (raw[row, col, luma], first[chroma], second[chroma])))
        np.testing.assert_allclose(bgr[row, col], want, atol=2)


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('name', sorted(BAYER))
@pytest.mark.parametrize('big', [False, True])
def test_bayer_encodings_give_each_pattern_its_colours(name, bits, big):
    """An evenly coloured scene must come out evenly coloured: a wrong pattern swaps colours."""
    color = {'R': 200, 'G': 90, 'B': 30}
    kind = np.uint16 if bits == 16 else np.uint8
    pattern = np.array([color[c] for c in BAYER[name]]).reshape(2, 2)
    mosaic = (np.tile(pattern, (4, 5)) * (257 if bits == 16 else 1)).astype(kind)
    bgr = conversions.to_bgr(make_message(mosaic, f'bayer_{name}{bits}', 3, big))
    assert bgr.shape == (8, 10, 3)
    assert (bgr[2:-2, 2:-2] == (30, 90, 200)).all()


def damaged(**changes):
    message = make_message(np.zeros((4, 6, 3), np.uint8), 'bgr8')
    for name, value in changes.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize(('message', 'reason'), [
    (damaged(height=0), 'zero_size'),
    (damaged(width=0), 'zero_size'),
    (damaged(width=20000, step=60000), 'bad_size'),
    (damaged(encoding='uyvy', width=5), 'bad_size'),
    (damaged(step=17), 'wrong_step'),
    (damaged(step=0), 'wrong_step'),
    (damaged(height=5), 'short_data'),
    (damaged(data=array('B')), 'short_data'),
    (damaged(step=2 ** 32 - 1), 'short_data'),
    (damaged(height=2 ** 31, width=1), 'bad_size'),
])
def test_bad_images_are_refused_with_their_reason(message, reason):
    with pytest.raises(BadImageError) as caught:
        conversions.to_bgr(message)
    assert caught.value.reason == reason
    assert 'want' in str(caught.value)


@pytest.mark.skipif(conversions.cv_bridge is not None, reason='cv_bridge knows more encodings')
@pytest.mark.parametrize('encoding', ['', 'jpeg', '32FC1', 'BGR8', 'bgr8; foo'])
def test_unknown_encodings_are_refused(encoding):
    with pytest.raises(BadImageError) as caught:
        conversions.to_bgr(damaged(encoding=encoding))
    assert caught.value.reason == 'unknown_encoding'
    assert repr(encoding) in str(caught.value)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 200), st.integers(0, 400),
       st.sampled_from(sorted(conversions.ENCODINGS)), st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_header_gives_an_image_or_bad_image_error(height, width, step, size, encoding, big):
    message = Image(height=height, width=width, step=step, encoding=encoding,
                    is_bigendian=int(big))
    message.data = array('B', bytes(size))
    try:
        bgr = conversions.to_bgr(message)
    except BadImageError:
        return
    assert bgr.shape == (height, width, 3)
    assert bgr.dtype == np.uint8


def test_the_last_row_may_lack_its_padding():
    message = make_message(np.full((3, 2, 3), 5, np.uint8), 'bgr8', padding=4)
    message.data = array('B', bytes(message.data)[:-4])
    assert (conversions.to_bgr(message) == 5).all()


def test_equal_to_cv_bridge():
    cv_bridge = pytest.importorskip('cv_bridge', reason='cv_bridge is not installed')
    bridge = cv_bridge.CvBridge()
    rng = np.random.default_rng(1)
    for encoding, kind in conversions.ENCODINGS.items():
        shape = (8, 10) if kind.channels == 1 else (8, 10, kind.channels)
        pixels = rng.integers(0, 256 ** kind.bytes, shape).astype(f'u{kind.bytes}')
        message = make_message(pixels, encoding)
        try:
            theirs = bridge.imgmsg_to_cv2(message, 'bgr8')
        except cv_bridge.CvBridgeError:
            continue  # not every version knows every name
        np.testing.assert_allclose(conversions.to_bgr(message), theirs, atol=1, err_msg=encoding)


@pytest.mark.parametrize(('encoding', 'pixels'), [
    ('mono8', np.arange(12, dtype=np.uint8).reshape(3, 4)),
    ('rgb8', np.arange(36, dtype=np.uint8).reshape(3, 4, 3)),
    ('32FC1', np.array([[1.5, np.nan], [0, 70]], np.float32)),
    ('32FC3', np.linspace(-1, 1, 18, dtype=np.float32).reshape(2, 3, 3)),
])
def test_filled_messages_hold_the_array(encoding, pixels):
    header = messages.CameraInfo().header
    header.frame_id = 'lens'
    filler = conversions.ImageFiller(Image(), encoding)
    filler.fill(np.zeros((7, 9, *pixels.shape[2:]), pixels.dtype), header)
    message = filler.fill(pixels, header)
    got = np.frombuffer(message.data, pixels.dtype).reshape(pixels.shape)
    np.testing.assert_array_equal(got, pixels)
    assert (message.height, message.width) == pixels.shape[:2]
    assert message.step == pixels.nbytes // pixels.shape[0]
    assert (message.encoding, message.header.frame_id) == (encoding, 'lens')
    buffer = message.data
    assert filler.fill(pixels, header).data is buffer, 'the memory must be used again'


def test_colour_codes_agree_with_opencv_names():
    """Guards against a renamed constant: OpenCV counts Bayer patterns from the second row."""
    assert cv2.COLOR_BayerBG2BGR == cv2.COLOR_BayerRGGB2BGR
