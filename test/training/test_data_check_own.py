"""`demt data check` on what a user's own folder has wrong as a whole."""

import struct
import zlib

from archives import write_folder, write_grey, write_names, write_nyud, write_rgb
import cv2
import numpy as np
import pytest

from demt_perception.training.datasets import formats
from demt_perception.training.datasets.check import check_dataset
from demt_perception.training.datasets.reading import read_grey, read_ids


def reasons(root, layout='folder'):
    return [f'{path.name}: {reason}' for path, reason in check_dataset(root, layout)[0]]


@pytest.fixture
def root(tmp_path):
    """A good folder whose pictures all have the focal length of dataset.yaml."""
    folder = write_folder(tmp_path / 'own', 3, (16, 20), splits=False)
    for path in (folder / 'cameras').iterdir():
        path.unlink()
    assert reasons(folder) == []
    return folder


def test_depth_without_a_focal_length_is_told_once(root):
    (root / 'dataset.yaml').write_text('classes: [sky, ground, wall, thing, person]\n')
    (root / 'cameras' / 'frame_0.yaml').write_text('{fx: 70, fy: 70}')
    found, = reasons(root)
    assert found.startswith('dataset.yaml: 5 pictures with depth and without a focal length, e.g. '
                            'frame_1: ')
    for path in (root / 'depth').iterdir():
        path.unlink()
    (root / 'depth').rmdir()
    assert reasons(root) == [], 'nothing needs it'


def test_one_focal_length_for_pictures_of_several_sizes_is_told(root):
    write_rgb(root / 'images' / 'wide.png', np.zeros((16, 40, 3), np.uint8))
    turned = np.zeros((20, 16, 3), np.uint8)
    write_rgb(root / 'images' / 'turned.png', turned)
    text = (root / 'dataset.yaml').read_text()
    (root / 'dataset.yaml').write_text(
        text + 'partial: [semseg, depth, normals, edge, human_parts, sal]\n')
    found, = reasons(root)
    assert found.startswith('dataset.yaml: one focal for pictures of 2 sizes, 16x20 (e.g. frame_0)'
                            ', 16x40 (e.g. wide): ')
    write_names(root / 'splits' / 'train.txt', [f'frame_{number}' for number in range(6)])
    write_names(root / 'splits' / 'val.txt', ['wide', 'turned'])
    assert reasons(root) == [found], 'also where it is another split'
    (root / 'cameras' / 'wide.yaml').write_text('{fx: 70, fy: 70}')
    assert reasons(root) == [], 'a camera on its side has the same focal length'


def test_a_picture_in_two_splits_is_told(root):
    names = [f'frame_{number}' for number in range(6)]
    for split, part in (('train', names[:4]), ('val', names[2:]), ('test', names[5:])):
        write_names(root / 'splits' / f'{split}.txt', part)
    assert [line.partition(': figures')[0] for line in reasons(root)] == [
        "val.txt: 1 picture of split 'test' as well, e.g. frame_5",
        "val.txt: 2 pictures of split 'train' as well, e.g. frame_2"]
    write_names(root / 'splits' / 'val.txt', names[4:5])
    assert reasons(root) == []


def test_the_splits_of_published_archives_are_their_own(tmp_path):
    home = write_nyud(tmp_path, (40, 56), 2)
    names = (home / 'gt_sets' / 'train.txt').read_text()
    (home / 'gt_sets' / 'trainval.txt').write_text(names)
    assert reasons(home, 'nyud') == []


@pytest.mark.parametrize(('depth', 'told'), [
    (np.full((4, 4), 2500.0), ['the middle one of the depths is 2500 m: are they millimetres']),
    (np.array([[2500.0, np.inf, np.inf], [3.0, 4.0, np.nan]]), []),
    (np.full((4, 4), 2500, np.uint16), []), (np.full((4, 4), 499.0), [])])
def test_millimetres_among_floats_are_told(depth, told):
    found = formats.depth().faults(depth)
    assert [line.partition('? want')[0] for line in found] == told


def few_bits(ids, bits):
    """Return the bytes of a grey PNG of 1, 2 or 4 bits."""
    def chunk(kind, data):
        body = kind + data
        return struct.pack('>I', len(data)) + body + struct.pack('>I', zlib.crc32(body))

    height, width = ids.shape
    planes = np.unpackbits(ids[..., None], axis=2)[..., 8 - bits:]
    rows = b''.join(b'\0' + np.packbits(row.ravel()).tobytes() for row in planes)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack(
        '>IIBBBBB', width, height, bits, 0, 0, 0, 0)) + chunk(b'IDAT', zlib.compress(rows))
        + chunk(b'IEND', b''))


@pytest.mark.parametrize('bits', [1, 2, 4])
def test_ids_of_few_bits_are_those_that_were_written(tmp_path, bits):
    count = 2 ** bits
    ids = np.random.default_rng(0).integers(0, count, (9, 13), np.uint8)
    path = tmp_path / 'a.png'
    path.write_bytes(few_bits(ids, bits))
    form = formats.ids(count)
    raw = form.load(path)
    assert form.faults(raw) == [] and np.array_equal(form.decode(raw), ids)
    # Of a mask white is yes.
    assert np.array_equal(read_grey(path), ids * (255 // (count - 1)))
    write_grey(path, ids)
    assert np.array_equal(read_ids(path), ids)


def test_a_mask_of_one_bit_is_as_one_of_eight(tmp_path):
    edge = np.eye(9, 13, dtype=np.uint8)
    assert cv2.imwrite(str(tmp_path / 'a.png'), edge * 255, (cv2.IMWRITE_PNG_BILEVEL, 1))
    form = formats.mask(unknown=127)
    raw = form.load(tmp_path / 'a.png')
    assert form.faults(raw) == [] and np.array_equal(form.decode(raw), edge)
