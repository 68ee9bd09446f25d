"""`demt data check` names every problem of a dataset, and no file makes it fail."""

import shutil

from archives import (
    write_camvid,
    write_folder,
    write_grey,
    write_names,
    write_nyud,
    write_pascal,
    write_rendered,
    write_rgb,
)
import cv2
from hypothesis import given, HealthCheck, settings
from hypothesis import strategies as st
import numpy as np
import pytest
import yaml

from demt_perception.cli.data import LAYOUT_NAMES
from demt_perception.cli.main import main
from demt_perception.training.datasets.check import check_dataset
from demt_perception.training.datasets.integrity import damage
from demt_perception.training.datasets.layouts import LAYOUTS

WRITERS = {'nyud': lambda root: write_nyud(root, (40, 56), 2), 'camvid': write_camvid,
           'rendered': write_rendered, 'folder': write_folder}


def problems_of(root, layout='folder'):
    return [f'{path.relative_to(root)}: {reason}'
            for path, reason in check_dataset(root, layout)[0]]


def test_the_command_knows_every_layout():
    assert tuple(LAYOUTS) == LAYOUT_NAMES


@pytest.mark.parametrize('layout', WRITERS)
def test_good_data_has_no_problem(layout, tmp_path, capsys):
    root = WRITERS[layout](tmp_path / 'data')
    assert main(['data', 'check', str(root)]) == 0
    said = capsys.readouterr().out
    assert f'{layout}' in said and 'no problems' in said and '(100%)' in said


def test_good_pascal_has_no_problem(tmp_path, capsys):
    pytest.importorskip('scipy', reason='scipy writes the files: pip install scipy')
    write_pascal(tmp_path, 3)
    assert main(['data', 'check', str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert 'pascal, train: 3 pictures: 75x100 (3)' in said and 'human_parts' in said


def test_the_summary_counts(tmp_path, capsys):
    root = tmp_path / 'own'
    write_rgb(root / 'images' / 'a.png', np.zeros((10, 10, 3), np.uint8))
    write_rgb(root / 'images' / 'b.png', np.zeros((10, 20, 3), np.uint8))
    ids = np.zeros((10, 10), np.uint8)
    ids[:2], ids[2:4], ids[4] = 255, 2, 1
    write_grey(root / 'semseg' / 'a.png', ids)
    depth = np.full((10, 20), 2.5, np.float32)
    depth[0, :10], depth[1], depth[2, 0] = np.nan, np.inf, 7
    (root / 'depth').mkdir()
    np.save(root / 'depth' / 'b.npy', depth)
    (root / 'dataset.yaml').write_text(yaml.safe_dump(
        {'classes': ['x', 'y', 'z', 'w'], 'partial': ['semseg', 'depth']}))
    (root / 'cameras').mkdir()
    (root / 'cameras' / 'b.yaml').write_text('{fx: 9, fy: 9}')
    assert main(['data', 'check', str(root)]) == 0
    said = ' '.join(capsys.readouterr().out.split())
    assert '2 pictures: 10x10 (1), 10x20 (1)' in said
    assert 'semseg 1 (50%) 80.0% 0 to 2' in said
    assert 'depth 1 (50%) 95.0% 2.5 to 7 metres along Z' in said
    assert 'semseg: x 62.5%, y 12.5%, z 25.0%; never: w' in said


def test_every_problem_is_named_with_its_file(tmp_path, capsys):
    root = write_folder(tmp_path / 'own', 5)
    shape = (60, 80)

    def spoil(path, array):
        if path.endswith('.npy'):
            np.save(root / path, array)
        else:
            write_grey(root / path, array)

    (root / 'semseg' / 'frame_0.png').unlink()
    spoil('semseg/frame_1.png', np.full(shape, 9, np.uint8))
    spoil('semseg/frame_2.png', np.zeros(shape, np.uint16))
    spoil('semseg/frame_3.png', np.zeros((*shape, 3), np.uint8))
    spoil('semseg/frame_4.png', np.zeros((30, 80), np.uint8))
    spoil('depth/frame_0.npy', np.full(shape, -2, np.float32))
    spoil('depth/frame_2.npy', np.full(shape, np.nan, np.float32))
    spoil('depth/frame_4.npy', np.ones(shape, int))
    spoil('depth/frame_1.png', np.ones(shape, np.uint8))
    spoil('normals/frame_0.npy', np.full((*shape, 3), 0.9, np.float32))
    nan = np.zeros((*shape, 3), np.float32)
    nan[:6] = np.nan
    spoil('normals/frame_2.npy', nan)
    spoil('normals/frame_4.npy', np.zeros(shape, np.float32))
    spoil('edge/frame_0.png', np.eye(60, 80, dtype=np.uint8))
    spoil('edge/frame_1.png', np.full(shape, 60, np.uint8))
    spoil('sal/frame_0.png', np.ones(shape, np.uint16))
    spoil('human_parts/frame_0.png', np.full(shape, 7, np.uint8))
    spoil('human_parts/stranger.png', np.zeros(shape, np.uint8))
    (root / 'human_parts' / 'notes.txt').write_text('x')
    (root / 'images' / 'frame_5.jpg').write_bytes(b'no picture')
    image = (root / 'images' / 'frame_6.png').read_bytes()
    (root / 'images' / 'frame_6.png').write_bytes(image[:len(image) * 2 // 3])
    write_rgb(root / 'images' / 'frame_7.png', np.zeros((*shape, 3), np.uint8))
    (root / 'cameras' / 'frame_0.yaml').write_text('fx: 3')
    (root / 'cameras' / 'frame_1.yaml').write_text('fx: [')
    write_names(root / 'splits' / 'test.txt', [])
    write_names(root / 'splits' / 'extra.txt', ['frame_0', 'frame_0', 'gone'])
    found = problems_of(root)
    wanted = [
        'semseg/frame_0.png: missing semseg label',
        'semseg/frame_1.png: ids 9 beyond the 5 classes',
        'semseg/frame_2.png: the array is (60, 80) uint16: want (H, W) uint8',
        'semseg/frame_3.png: has 3 channels',
        'semseg/frame_4.png: semseg is 30x80, its picture 60x80',
        'depth/frame_0.npy: 4800 negative depths, down to -2',
        'depth/frame_2.npy: no known depth: 100.0% NaN',
        'depth/frame_4.npy: the array is (60, 80) int64: want (H, W) float metres',
        'depth/frame_1.png: the array is (60, 80) uint8',
        'normals/frame_0.npy: 100.0% of the normals are no unit vectors: lengths 1.56 to 1.56',
        'normals/frame_2.npy: 10.0% NaN',
        'normals/frame_4.npy: the array is (60, 80) float32: want (H, W, 3)',
        'edge/frame_0.png: the values are 0 and 1: want 0 and 255',
        'edge/frame_1.png: values 60: want 0 and 255',
        'sal/frame_0.png: the array is (60, 80) uint16',
        'human_parts/frame_0.png: ids 7 beyond the 7 classes',
        'human_parts/stranger.png: no picture of this name',
        'human_parts/notes.txt: not read: want .png',
        'images/frame_5.jpg: is not a readable image',
        'images/frame_6.png: is not a readable image',
        "images/frame_7.png: the stem 'frame_7' is used twice",
        'cameras/frame_0.yaml: has no numbers fx and fy',
        'cameras/frame_1.yaml: is not YAML',
        'splits/test.txt: empty split',
        'images/frame_0: listed 2 times',
        'images/gone: the split names it, and there is no such picture',
        "splits/train.txt: 1 picture of split 'extra' as well, e.g. frame_0",
    ]
    for text in wanted:
        assert any(line.startswith(text) for line in found), (text, found)
    assert len(found) == len(wanted), [line for line in found
                                       if not any(line.startswith(text) for text in wanted)]
    assert main(['data', 'check', str(root)]) == 1
    said = capsys.readouterr().out
    assert all(line in said for line in found)
    assert f'{len(wanted)} problems' in said


def test_damage_inside_an_archive_is_named(tmp_path):
    home = write_nyud(tmp_path, (40, 56), 2)
    write_grey(home / 'segmentation' / '0001.png', np.full((40, 56), 41, np.uint8))
    (home / 'depth' / '0002.npy').unlink()
    found = problems_of(home, 'nyud')
    assert len(found) == 2
    assert 'segmentation/0001.png: ids 41 beyond the 40 classes' in found
    assert 'depth/0002.npy: missing depth label' in found


def test_a_broken_mat_file_is_named_for_the_tasks_that_need_it(tmp_path):
    pytest.importorskip('scipy', reason='scipy writes the files: pip install scipy')
    home = write_pascal(tmp_path, 2)
    (home / 'pascal-context' / 'trainval' / '2008_000001.mat').write_bytes(b'x' * 300)
    (home / 'normals_distill' / '2008_000002.png').write_bytes(b'')
    write_grey(home / 'normals_distill' / '2008_000501.png', np.zeros((5, 5, 3), np.uint8))
    found = problems_of(home, 'pascal')
    assert [line.partition(':')[0] for line in found] == [
        'pascal-context/trainval/2008_000001.mat', 'normals_distill/2008_000002.png',
        'normals_distill/2008_000501.png']


def test_usage(tmp_path, capsys):
    assert main(['data', 'check', str(tmp_path / 'none')]) == 1
    assert main(['data', 'check', str(tmp_path)]) == 1
    assert 'no known layout' in capsys.readouterr().err
    assert main(['data', 'check', str(tmp_path), '--layout', 'folder']) == 1
    assert 'no picture' in capsys.readouterr().out
    assert main(['data', 'check', str(tmp_path), '--layout', 'nyud']) == 1
    assert 'no split' in capsys.readouterr().out


def test_cut_off_images_are_seen_at_any_length():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 50, 3), np.uint8)
    for suffix in ('.png', '.jpg'):
        data = cv2.imencode(suffix, image)[1].tobytes()
        assert damage(data) == ''
        assert all(damage(data[:length]) for length in range(10, len(data) - 1, 7))
    data = bytearray(cv2.imencode('.png', image)[1].tobytes())
    data[len(data) // 2] ^= 1
    assert 'checksum' in damage(bytes(data))


FILES = ['images/frame_0.png', 'semseg/frame_0.png', 'depth/frame_0.npy', 'depth/frame_1.png',
         'normals/frame_0.npy', 'edge/frame_0.png', 'cameras/frame_0.yaml', 'dataset.yaml',
         'splits/train.txt', 'images/frame_1.jpg']


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp('small') / 'own', 1, (16, 20))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_bytes_make_it_fail(small, data):
    """Random bytes, or a real file cut off or changed somewhere: a report, never a crash."""
    path = small / data.draw(st.sampled_from(FILES))
    whole = path.read_bytes()
    kind = data.draw(st.sampled_from(['random', 'cut', 'changed', 'headed']))
    if kind == 'random':
        content = data.draw(st.binary(max_size=200))
    elif kind == 'cut':
        content = whole[:data.draw(st.integers(0, len(whole) - 1))]
    elif kind == 'headed':
        # Keeps the format's mark, so that the parser goes on.
        content = whole[:data.draw(st.integers(8, 60))] + data.draw(st.binary(max_size=80))
    else:
        place = data.draw(st.integers(0, len(whole) - 1))
        content = whole[:place] + data.draw(st.binary(min_size=1, max_size=4)) + whole[place + 1:]
    try:
        path.write_bytes(content)
        problems, summaries = check_dataset(small, 'folder')
        assert all(reason for _, reason in problems)
        for summary in summaries.values():
            assert summary.lines()
        if kind == 'cut' and path.suffix in ('.png', '.npy', '.jpg'):
            assert any(path == named for named, _ in problems)
    finally:
        path.write_bytes(whole)
    assert check_dataset(small, 'folder')[0] == []


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_bytes_in_a_mat_file_make_it_fail(parts, data):
    path = parts / data.draw(st.sampled_from(
        ['human_parts/2008_000001.mat', 'pascal-context/trainval/2008_000001.mat']))
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    content = data.draw(st.sampled_from([
        whole[:place], whole[:place] + data.draw(st.binary(min_size=1, max_size=9))
        + whole[place + 3:], data.draw(st.binary(max_size=300))]))
    try:
        path.write_bytes(content)
        check_dataset(parts, 'pascal')
    finally:
        path.write_bytes(whole)


@pytest.fixture(scope='module')
def parts(tmp_path_factory):
    pytest.importorskip('scipy', reason='scipy writes the files: pip install scipy')
    home = write_pascal(tmp_path_factory.mktemp('parts'), 1, (60, 80))
    shutil.rmtree(home / 'sal_distill')
    return home
