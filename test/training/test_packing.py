"""Packed data say what the data said, but for what 8 and 16 bits cannot hold."""

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
import yaml

from demt_perception.cli.main import main
from demt_perception.training.checked import ConfigError
from demt_perception.training.datasets import Folder, IGNORE, Rendered, soft
from demt_perception.training.datasets.check import check_dataset
from demt_perception.training.datasets.sample import Sample
from demt_perception.training.datasets.writing import UNIT, write_description, write_sample
from demt_perception.training.packing import pack, shrunk

SIZE = (32, 48)


def sample(name='a', size=SIZE):
    rng = np.random.default_rng(3)
    depth = rng.uniform(0.3, 200, size).astype(np.float32)
    depth[:4], depth[4:6] = np.inf, np.nan
    normals = rng.normal(size=(*size, 3)).astype(np.float32)
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    normals[:4] = 0
    ids = rng.integers(0, 5, size).astype(np.uint8)
    ids[10] = IGNORE
    edge = rng.integers(0, 2, size).astype(np.uint8)
    edge[20] = IGNORE
    likely = rng.dirichlet(np.full(5, 0.3), (8, 12)).transpose(2, 0, 1)
    image = np.stack(np.broadcast_arrays(
        np.linspace(0, 255, size[1]), np.linspace(255, 0, size[0])[:, None], 99), 2)
    return Sample(image.astype(np.uint8), ids, depth, normals, edge,
                  (40.0, 41.0), name=name, soft=soft.encode(likely, likely[0] < 0.9))


def angles(a, b):
    return np.degrees(np.arccos(np.clip((a * b).sum(-1), -1, 1)))


def test_labels_survive_within_their_steps(tmp_path):
    wanted = sample()
    write_description(tmp_path, 'abcde', ())
    write_sample(tmp_path, wanted, 100)
    folder = Folder(tmp_path)
    folder.soft = True
    found = folder[0]
    assert (found.semseg == wanted.semseg).all() and (found.edge == wanted.edge).all()
    assert (np.isnan(found.depth) == np.isnan(wanted.depth)).all()
    assert (np.isposinf(found.depth) == np.isposinf(wanted.depth)).all()
    there = np.isfinite(wanted.depth)
    assert np.abs(found.depth[there] - wanted.depth[there]).max() <= 0.5 * UNIT + 1e-5
    known = wanted.normals.any(2)
    assert (found.normals.any(2) == known).all()
    assert angles(found.normals, wanted.normals)[known].max() < 0.5
    assert found.focal == wanted.focal and (found.soft == wanted.soft).all()
    assert np.abs(found.image.astype(int) - wanted.image).max() < 6
    problems, _ = check_dataset(tmp_path, 'folder')
    assert problems == []


@given(st.integers(1, 9), st.integers(0, 2 ** 32 - 1))
@settings(max_examples=60, deadline=None)
def test_distributions_survive_in_8_bits(classes, seed):
    rng = np.random.default_rng(seed)
    likely = rng.dirichlet(np.full(classes, 0.4), (4, 5)).transpose(2, 0, 1)
    known = rng.random((4, 5)) < 0.7
    found = soft.decode(soft.encode(likely, known), classes)
    assert (found[:, ~known] == 0).all()
    assert np.abs(found.sum(0)[known] - 1).max(initial=0) < 1e-5
    # Half a step of 1/16 in each logarithm, and as much in their sum.
    seen = known & (likely > 1e-6)
    assert np.abs(np.log(found[seen] / likely[seen])).max(initial=0) < 1.01 / 16


def test_soft_labels_of_another_size_are_refused():
    with pytest.raises(ValueError, match='the 4 maps'):
        soft.decode(np.zeros((9, 5), np.uint8), 4)


@pytest.fixture
def renders(tmp_path):
    """Write three views in the layout of `demt generate`."""
    root = tmp_path / 'renders'
    write_description(root, 'abcde', ())
    for name in '012':
        write_sample(root, sample(name, (64, 96)))
    (root / 'instance').mkdir()
    return root


def test_a_dataset_is_packed_at_training_size(renders, tmp_path):
    assert pack(renders, tmp_path / 'packed', SIZE, every=2) == 2
    before, after = Rendered(renders), Folder(tmp_path / 'packed')
    assert after.names == ['0', '2'] and after.classes == before.classes
    small = after[1]
    assert small.image.shape == (*SIZE, 3) and small.depth.shape == SIZE
    assert small.focal == (20.0, 20.5)
    assert (small.semseg == before[2].semseg[1::2, 1::2]).all()
    # Every second pixel of the packed one; the full picture's, in its middle.
    whole = before[2].depth[2::4, 2::4]
    same = (small.depth[::2, ::2] == whole) | (np.isnan(whole) & np.isnan(small.depth[::2, ::2]))
    assert same.all()
    content = yaml.safe_load((tmp_path / 'packed' / 'dataset.yaml').read_text())
    assert content['source'] == 'rendered'


def test_packing_continues(renders, tmp_path):
    out = tmp_path / 'packed'
    pack(renders, out, SIZE)
    (out / 'images' / '1.jpg').unlink()
    kept = (out / 'images' / '0.jpg').stat().st_mtime_ns
    assert pack(renders, out, SIZE) == 3
    assert (out / 'images' / '1.jpg').is_file()
    assert (out / 'images' / '0.jpg').stat().st_mtime_ns == kept


def test_sizes_are_not_mixed(renders, tmp_path):
    out = tmp_path / 'packed'
    pack(renders, out, SIZE)
    (out / 'images' / '0.jpg').unlink()   # what is new is not written before what is there is seen
    before = contents(out)
    with pytest.raises(ConfigError, match=r'is 32x48, now 64x96 is wanted: give another --out$'):
        pack(renders, out, (64, 96))
    assert contents(out) == before


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def run_pack(root, out, *options):
    return main(['data', 'pack', str(root), '--out', str(out), '--size', '32', '48', *options])


@pytest.mark.parametrize('out', ['renders', 'link', 'renders/../renders', 'home'])
def test_a_dataset_is_not_written_over_by_itself(renders, tmp_path, capsys, out):
    (tmp_path / 'link').symlink_to(renders)
    (tmp_path / 'home').mkdir()   # its pictures are a link to those that are read
    (tmp_path / 'home' / 'images').symlink_to(renders / 'images')
    before = contents(renders)
    root = tmp_path / 'home' if out == 'home' else renders
    assert run_pack(root, renders if out == 'home' else tmp_path / out) == 1
    said = capsys.readouterr().err
    assert 'is the dataset that is read' in said and 'remove' not in said
    assert contents(renders) == before


def test_a_packed_dataset_is_not_written_over_by_itself_either(renders, tmp_path):
    out = tmp_path / 'packed'
    pack(renders, out, SIZE)
    before = contents(out)
    with pytest.raises(ConfigError, match='is the dataset that is read'):
        pack(out, out, SIZE)
    assert contents(out) == before


@pytest.mark.parametrize('kept', ['dataset.yaml', 'images', 'depth'])
def test_what_others_keep_in_a_folder_is_not_written_over(renders, tmp_path, capsys, kept):
    mine = tmp_path / 'mine'
    mine.mkdir()
    if kept == 'dataset.yaml':
        (mine / kept).write_text('classes: [x, y]\nsource: my own camera\n')
    else:
        (mine / kept).mkdir()
        (mine / kept / '0.png').write_bytes(b'mine')
    before = contents(mine)
    assert run_pack(renders, mine) == 1
    said = capsys.readouterr().err
    assert f'holds {kept} that were not made by `demt data`' in said and 'remove' not in said
    assert contents(mine) == before


def test_ids_of_other_classes_are_not_mixed(renders, tmp_path):
    out = tmp_path / 'packed'
    pack(renders, out, SIZE)
    before = contents(out)
    description = renders / 'dataset.yaml'
    description.write_text(description.read_text().replace('- e\n', '- f\n'))
    with pytest.raises(ConfigError, match='classes a, b, c, d, e, now a, b, c, d, f'):
        pack(renders, out, SIZE)
    assert contents(out) == before


@pytest.mark.parametrize(('layout', 'said'), [
    ('rendered', "(rendered) has no split 'val': it has none, leave it out"),
    ('rendered_cityscapes', "(rendered_cityscapes) has no split 'val'"),
    ('folder', "(folder) has no split 'val': it has none, leave it out"),
    ('video', "(video) has no split 'foo': want one of train, val")])
def test_a_split_that_is_not_there_is_refused(renders, tmp_path, capsys, layout, said):
    split = 'foo' if layout == 'video' else 'val'
    assert run_pack(renders, tmp_path / 'out', '--layout', layout, '--split', split) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('size', [('100000', '100000'), ('1', '1'), ('16384', '16384')])
def test_a_size_that_no_picture_can_have_is_refused(renders, tmp_path, capsys, size):
    assert main(['data', 'pack', str(renders), '--out', str(tmp_path / 'out'), '--size',
                 *size]) == 1
    assert f'demt data: size is {"x".join(size)}, want sides of 2' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('quality', ['500', '-4', '0', 'good', '101'])
def test_a_quality_that_jpeg_does_not_have_is_refused(renders, tmp_path, capsys, quality):
    with pytest.raises(SystemExit, match='2'):
        run_pack(renders, tmp_path / 'out', f'--quality={quality}')
    assert quality in capsys.readouterr().err


@pytest.mark.parametrize('options', [['--every', '0'], ['--size', '0', '48']])
def test_numbers_of_nothing_are_refused(renders, tmp_path, capsys, options):
    command = ['data', 'pack', str(renders), '--out', str(tmp_path / 'packed'), '--size', '32',
               '48', *options]
    with pytest.raises(SystemExit):
        main(command)
    assert "'0': want a whole number of at least 1" in capsys.readouterr().err
    assert not (tmp_path / 'packed').exists()


@pytest.mark.parametrize(('damage', 'said'), [
    (lambda root: cv2.imwrite(str(root / 'semseg' / '1.png'), np.zeros((64, 96, 3), np.uint8)),
     'semseg/1.png has 3 channels: want one'),
    (lambda root: (root / 'cameras' / '1.yaml').write_text('fx: fast\n'), 'has no numbers fx'),
    (lambda root: (root / 'dataset.yaml').write_text('a: ['), 'dataset.yaml is not YAML'),
    (lambda root: (root / 'dataset.yaml').write_text('depth_unt: 0.001\n'),
     "unknown key 'depth_unt': did you mean 'depth_unit'?; run `demt data check`")])
def test_a_damaged_dataset_is_said_without_a_traceback(renders, tmp_path, capsys, damage, said):
    damage(renders)
    assert run_pack(renders, tmp_path / 'out') == 1
    told = capsys.readouterr().err
    assert said in told and str(renders) in told and 'Traceback' not in told


def test_thin_boundaries_stay_whole():
    thin = sample(size=(64, 96))
    thin.edge[:] = 0
    thin.edge[7], thin.edge[:, 30] = 1, 1
    small = shrunk(thin, SIZE).edge
    assert small[3].all() or small[4].all()
    assert small[:, 15].all() or small[:, 14].all()
