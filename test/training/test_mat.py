"""MATLAB files: what scipy reads, and a clear error for whatever is damaged."""

import contextlib
import io

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
import numpy as np
import pytest

from demt_perception.training.datasets import mat
from demt_perception.training.datasets.mat import parse_mat

scipy_io = pytest.importorskip('scipy.io', reason='pip install scipy: it writes the files')

NAMES = st.text('abcdefgh_', min_size=1, max_size=8).map('v{}'.format)
TYPES = st.sampled_from(['f8', 'f4', 'i1', 'u1', 'i2', 'u2', 'i4', 'u4', 'i8', 'u8', '?'])
NUMBERS = TYPES.flatmap(lambda kind: arrays.arrays(
    kind, arrays.array_shapes(min_dims=2, max_dims=3, min_side=0, max_side=4)))
TEXTS = st.text('abc äµ', min_size=1, max_size=6)


def cells(values):
    out = np.empty((1, len(values)), object)
    for index, value in enumerate(values):
        out[0, index] = value
    return out


CONTENTS = st.recursive(NUMBERS | TEXTS, lambda inner: (
    st.lists(inner, min_size=1, max_size=3).map(cells)
    | st.dictionaries(NAMES, inner, min_size=1, max_size=3)), max_leaves=6)


def written(content, **options):
    file = io.BytesIO()
    scipy_io.savemat(file, content, **options)
    return file.getvalue()


def same(a, b):
    assert type(a) is type(b)
    if not isinstance(a, np.ndarray):
        return a == b
    assert a.shape == b.shape and a.dtype.kind == b.dtype.kind, (a, b)
    if a.dtype.names:
        assert a.dtype.names == b.dtype.names
        return all(same(x[name], y[name]) for x, y in zip(a.flat, b.flat, strict=True)
                   for name in a.dtype.names)
    if a.dtype.kind == 'O':
        return all(same(x, y) for x, y in zip(a.flat, b.flat, strict=True))
    return np.array_equal(a, b, equal_nan=a.dtype.kind == 'f')


@settings(deadline=None)
@given(st.dictionaries(NAMES, CONTENTS, max_size=3), st.booleans())
def test_it_reads_what_scipy_reads(content, compressed):
    data = written(content, do_compression=compressed)
    wanted = scipy_io.loadmat(io.BytesIO(data))
    found = parse_mat(data)
    assert found.keys() == {name for name in wanted if not name.startswith('__')}
    for name, value in found.items():
        assert same(value, wanted[name]), name


EXAMPLE = {'anno': {'imname': '2008', 'objects': cells([{'mask': np.eye(3, dtype=bool)}, 'x'])},
           'LabelMap': np.arange(12, dtype='u2').reshape(3, 4)}
FILES = [written(EXAMPLE), written(EXAMPLE, do_compression=True)]


@settings(max_examples=1500, deadline=None)
@given(st.data())
def test_damage_is_an_error_or_other_content(data):
    whole = data.draw(st.sampled_from(FILES))
    place = data.draw(st.integers(0, len(whole) - 1))
    content = data.draw(st.sampled_from([
        whole[:place], whole[:place] + data.draw(st.binary(min_size=1, max_size=9))
        + whole[place + 3:], whole[:128] + data.draw(st.binary(max_size=80))]))
    with contextlib.suppress(ValueError):
        assert isinstance(parse_mat(content), dict)


def test_big_endian_files():
    little = FILES[0][:128]
    matrix = np.array([14, 56, 6, 8, 9, 0, 5, 8, 1, 2, 0x10001, 0x61000000, 2, 2, 0x07080000, 0],
                      '>u4').tobytes()
    data = little[:124] + b'\x01\x00MI' + matrix
    assert parse_mat(data)['a'].tolist() == [[7, 8]]


@pytest.mark.parametrize(('data', 'message'), [
    (b'', '0 bytes'), (b'x' * 200, 'no MATLAB 5 file'),
    (FILES[0][:-8], 'an element of'), (FILES[1][:-8], 'an element of'),
    (written({'a': np.array([[1j]])}), 'want real numbers'),
])
def test_errors_name_what_was_seen(data, message):
    with pytest.raises(ValueError, match=message):
        parse_mat(data)


def test_compressed_variables_share_one_limit(monkeypatch):
    """Each below it, and together gigabytes."""
    monkeypatch.setattr(mat, 'MOST_BYTES', 2**20)
    one = written({'v': np.zeros((1, 160 * 2**10), np.uint8)}, do_compression=True)
    assert len(parse_mat(one + one[128:])['v']) == 1
    with pytest.raises(ValueError, match='greater than 256 MiB'):
        parse_mat(one + 6 * one[128:])


def test_a_compressed_bomb_is_refused():
    import struct
    import zlib
    packer = zlib.compressobj(9)
    zeros = bytes(2 ** 20)
    body = b''.join(packer.compress(zeros) for _ in range(257)) + packer.flush()
    data = FILES[1][:128] + struct.pack('<II', 15, len(body)) + body
    with pytest.raises(ValueError, match='greater than 256 MiB'):
        parse_mat(data)
