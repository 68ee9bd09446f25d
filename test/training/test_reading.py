"""Pictures, and arrays of strangers: no pickle, no memory for what a header claims."""

import io
import os
import pickle

import cv2
import numpy as np
import pytest

pytest.importorskip('torch', reason='torch is not installed')
from demt_perception.training.datasets.reading import read_array, read_rgb


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_of_a_picture_red_comes_first(tmp_path):
    bgr = np.array([[[0, 0, 255], [0, 255, 0], [255, 0, 0]]], np.uint8)
    assert cv2.imwrite(str(tmp_path / 'a.png'), bgr)
    assert read_rgb(tmp_path / 'a.png').tolist() == [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]


def test_an_array_of_numbers_is_read(tmp_path):
    np.save(tmp_path / 'a.npy', np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(read_array(tmp_path / 'a.npy'), np.arange(6.0).reshape(2, 3))


def test_a_pickle_in_an_array_is_not_run(tmp_path):
    hostile = Malicious(tmp_path / 'ran')
    np.save(tmp_path / 'array.npy', np.array([hostile], object), allow_pickle=True)
    (tmp_path / 'bare.npy').write_bytes(pickle.dumps(hostile))
    for path in tmp_path / 'array.npy', tmp_path / 'bare.npy':
        with pytest.raises(OSError, match=r'not a readable \.npy file'):
            read_array(path)
    assert not (tmp_path / 'ran').exists()


def test_a_header_that_claims_terabytes_is_refused(tmp_path):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {'descr': '<f8', 'fortran_order': False, 'shape': (1 << 20, 1 << 20)})
    (tmp_path / 'a.npy').write_bytes(file.getvalue() + bytes(100))
    with pytest.raises(OSError, match=r'a\.npy is not a readable'):
        read_array(tmp_path / 'a.npy')
