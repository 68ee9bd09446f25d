"""The folder layout: what is written comes back, and the camera file is the last."""

import cv2
import numpy as np
import pytest
import yaml

from demt_perception.synthetic import labels, layout, post
from demt_perception.synthetic.generate import view_name
from demt_perception.training.datasets import folder

SIZE = (32, 16)


def write(root, name='000001_00'):
    """Write one small view and return its arrays."""
    rng = np.random.default_rng(1)
    instance = rng.integers(1, 12 * labels.PER_CLASS, (SIZE[1], SIZE[0]))
    depth = rng.uniform(1, 80, instance.shape).astype(np.float32)
    depth[0] = np.inf
    normals = rng.normal(size=(*depth.shape, 3)).astype(np.float16)
    edge = rng.integers(0, 2, depth.shape)
    picture = rng.integers(0, 255, (*depth.shape, 3)).astype(np.uint8)
    layout.write_view(root, name, post.encode(picture), instance, labels.class_of(instance),
                      instance % 19, depth, normals, edge,
                      {'fx': 30.5, 'fy': 30.5, 'cx': 15.5, 'cy': 7.5, 'seed': 1})
    return instance, depth, normals, edge


def test_a_view_comes_back_as_written(tmp_path):
    layout.prepare(tmp_path, SIZE, 4)
    assert not layout.is_complete(tmp_path, '000001_00')
    instance, depth, normals, edge = write(tmp_path)
    assert layout.is_complete(tmp_path, '000001_00')

    def png(folder):
        return cv2.imread(str(tmp_path / folder / '000001_00.png'), cv2.IMREAD_UNCHANGED)

    assert png('instance').dtype == np.uint16
    assert (png('instance') == instance).all()
    assert (png('semseg') == labels.class_of(instance)).all()
    assert (png('cityscapes') == instance % 19).all()
    assert (png('edge') == edge * 255).all()
    assert (np.load(tmp_path / 'depth' / '000001_00.npy') == depth).all()
    assert (np.load(tmp_path / 'normals' / '000001_00.npy') == normals).all()
    assert cv2.imread(str(tmp_path / 'images' / '000001_00.jpg')).shape == (16, 32, 3)
    camera = yaml.safe_load((tmp_path / 'cameras' / '000001_00.yaml').read_text())
    assert camera['fx'] == 30.5
    assert yaml.safe_load((tmp_path / 'dataset.yaml').read_text())['classes'] == list(
        labels.CLASSES)


def test_no_half_written_camera_file_counts_as_a_view(tmp_path):
    layout.prepare(tmp_path, SIZE, 4)
    write(tmp_path)
    assert [p.name for p in (tmp_path / 'cameras').glob('*.yaml')] == ['000001_00.yaml']
    assert not list((tmp_path / 'cameras').glob('.*'))


def test_the_folder_can_be_read_as_a_plain_one(tmp_path):
    layout.prepare(tmp_path, SIZE, 4)
    write(tmp_path)
    assert folder.scan(tmp_path, '').problems == []


def test_names_sort_by_scene_and_view():
    assert view_name(7, 3) == '000007_03' < view_name(100000, 0)


@pytest.mark.parametrize(('size', 'samples', 'said'), [
    ((48, 16), 4, "width '32', want '48'"), ((32, 24), 4, "height '16', want '24'"),
    (SIZE, 8, "'4 light paths per pixel', want '8 light paths per pixel'")])
def test_a_folder_goes_on_as_it_was_begun(tmp_path, size, samples, said):
    layout.prepare(tmp_path, SIZE, 4)
    write(tmp_path)
    before = (tmp_path / 'dataset.yaml').read_text()
    with pytest.raises(layout.RequestError, match=f'{said}: give the --size and --samples.*--out'):
        layout.prepare(tmp_path, size, samples)
    layout.prepare(tmp_path, SIZE, 4)
    assert (tmp_path / 'dataset.yaml').read_text() == before


def test_a_folder_without_a_view_is_begun_anew(tmp_path):
    layout.prepare(tmp_path, SIZE, 4)
    layout.prepare(tmp_path, (48, 24), 8)
    said = yaml.safe_load((tmp_path / 'dataset.yaml').read_text())
    assert (said['width'], said['height'], said['description']) == (
        48, 24, '8 light paths per pixel')


def test_an_older_folder_goes_on_and_says_nothing_that_is_not_known(tmp_path):
    layout.prepare(tmp_path, SIZE, 4)
    write(tmp_path)
    path = tmp_path / 'dataset.yaml'
    path.write_text(path.read_text().replace('description: 4 light paths per pixel\n', ''))
    layout.prepare(tmp_path, SIZE, 8)
    assert 'description' not in yaml.safe_load(path.read_text())
    with pytest.raises(layout.RequestError, match='width'):
        layout.prepare(tmp_path, (48, 16), 8)
