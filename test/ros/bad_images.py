"""Every kind of malformed image: the reason under which it is counted, and what is said of it."""

from array import array
from zlib import crc32

# Reason; what is changed of a good bgr8 picture of 160x96; what the report says.
RAW = [
    ('zero_size', {'height': 0}, '160x0'),
    ('zero_size', {'width': 0, 'step': 0, 'data': array('B')}, '0x96'),
    ('bad_size', {'height': 4_000_000_000}, '4000000000x160'),
    ('bad_size', {'width': 4_000_000_000, 'step': 480}, '96x4000000000'),
    ('bad_size', {'encoding': 'yuyv', 'width': 161}, 'width is 161'),
    ('wrong_step', {'step': 479}, 'step is 479'),
    ('wrong_step', {'step': 0}, 'step is 0'),
    ('wrong_step', {'encoding': 'rgb16'}, 'want at least 960'),
    ('short_data', {'step': 4_294_967_295}, 'data holds 46080 bytes'),
    ('short_data', {'data': array('B', bytes(100))}, 'holds 100 bytes'),
    ('short_data', {'data': array('B')}, 'holds 0 bytes'),
    ('unknown_encoding', {'encoding': 'foo8'}, "'foo8'"),
    ('unknown_encoding', {'encoding': ''}, "encoding is ''"),
    ('unknown_encoding', {'encoding': 'BGR8\n' + 'x' * 300}, 'want one of'),
    ('unknown_encoding', {'encoding': '32FC1', 'step': 640}, "'32FC1'"),
]


def _png(width, height):
    """Return a PNG that claims this size, with whole chunks, and nothing in them."""
    header = b'IHDR' + width.to_bytes(4, 'big') + height.to_bytes(4, 'big') + b'\x08\x02\0\0\0'
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        (len(chunk) - 4).to_bytes(4, 'big') + chunk + crc32(chunk).to_bytes(4, 'big')
        for chunk in (header, b'IDAT' + bytes(40), b'IEND'))


def _jpeg(width, height):
    return (b'\xff\xd8\xff\xc0\0\x11\x08' + height.to_bytes(2, 'big') + width.to_bytes(2, 'big')
            + b'\x03\x01\x22\0\x02\x11\x01\x03\x11\x01' + b'\xff\xd9')


def compressed(good):
    """Return rows as ``RAW``, with the data of the message; ``good``: those of a PNG."""
    damaged = bytearray(good)
    damaged[len(good) // 2] ^= 0xff
    return [
        ('zero_size', b'', 'holds no data'),
        ('zero_size', _png(0, 96), '96x0'),
        ('bad_size', _png(100_000, 100_000), '100000x100000'),
        ('bad_size', _jpeg(65_535, 65_535), '65535x65535'),
        ('decode_failed', b'rubbish', "begin with b'rubb'"),
        ('decode_failed', b'GIF89a' + bytes(100), "begin with b'GIF8'"),
        ('decode_failed', b'\xff\xd8' + bytes(100), 'without a marker'),
        ('decode_failed', b'\xff\xd8\xff\xe0\xff\xff', 'cut short'),
        ('decode_failed', _png(160, 96)[:16], 'without its header'),
        ('decode_failed', _png(160, 96), 'damaged'),
        ('decode_failed', bytes(damaged), 'damaged'),
        ('short_data', good[:-40], 'end before the image does'),
    ]
