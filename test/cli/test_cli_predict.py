import shutil

import cv2
import numpy as np
import pytest

from demt_perception.cli import predict
from demt_perception.cli.main import main
from demt_perception.inference import Predictor

ALL = {'semantic.png', 'semantic_color.png', 'overlay.png', 'depth.png', 'depth.npy',
       'normals.png', 'normals.npy', 'boundary.png', 'sheet.png'}


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / 'in'
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ('b.png', 'a.jpg'):
        small = rng.integers(0, 256, (6, 8, 3), np.uint8)
        cv2.imwrite(str(folder / name), cv2.resize(small, (160, 96)))
    (folder / 'notes.txt').write_text('not an image')
    return folder


def run(tiny_model, out, *arguments):
    return main(['predict', *map(str, arguments), '--model', str(tiny_model), '--out', str(out)])


def test_folder_gives_every_file_and_the_predictors_values(tiny_model, images, tmp_path, capsys):
    out = tmp_path / 'new' / 'out'
    assert run(tiny_model, out, images, '--fx', 100) == 0
    assert {p.name for p in out.iterdir()} == {f'{n}_{f}' for n in 'ab' for f in ALL}
    said = capsys.readouterr().out
    assert said.index('a.jpg') < said.index('b.png')
    assert '[2/2]' in said

    wanted = Predictor(tiny_model).predict(cv2.imread(str(images / 'b.png')), (100, 100))
    np.testing.assert_array_equal(
        cv2.imread(str(out / 'b_semantic.png'), cv2.IMREAD_UNCHANGED), wanted.semantic)
    np.testing.assert_allclose(np.load(out / 'b_depth.npy'), wanted.depth, rtol=1e-6)
    np.testing.assert_allclose(np.load(out / 'b_normals.npy'), wanted.normals, atol=1e-6)
    depth = cv2.imread(str(out / 'b_depth.png'), cv2.IMREAD_UNCHANGED)
    assert depth.dtype == np.uint16
    short = wanted.depth < 65.5
    np.testing.assert_allclose(depth[short] / 1000, wanted.depth[short], atol=0.00051)
    assert (depth[np.isnan(wanted.depth)] == 0).all()
    np.testing.assert_array_equal(
        cv2.imread(str(out / 'b_overlay.png'))[..., ::-1], wanted.overlay)
    np.testing.assert_array_equal(cv2.imread(str(out / 'b_sheet.png')), wanted.sheet())


def test_depth_has_the_factor_that_the_node_would_be_given(tiny_model, images, tmp_path):
    assert run(tiny_model, tmp_path / 'plain', images / 'b.png', '--fx', 100) == 0
    assert run(tiny_model, tmp_path / 'out', images / 'b.png', '--fx', 100, '--depth-scale',
               2) == 0
    wanted = Predictor(tiny_model).predict(cv2.imread(str(images / 'b.png')), (100, 100))
    wanted.correct_depth(2.0)
    depth, plain = (np.load(tmp_path / name / 'b_depth.npy') for name in ('out', 'plain'))
    np.testing.assert_array_equal(depth, wanted.depth)
    both = np.isfinite(depth) & np.isfinite(plain)
    assert np.median(depth[both] / plain[both]) == pytest.approx(2, rel=1e-4)


@pytest.mark.parametrize('factor', ['0', '-1', 'nan', 'inf', '101', 'two'])
def test_a_factor_that_the_node_would_refuse_is_refused(tiny_model, images, tmp_path, capsys,
                                                        factor):
    with pytest.raises(SystemExit, match='2'):
        run(tiny_model, tmp_path / 'out', images, '--depth-scale', factor)
    assert f'{factor!r}: want a number of 0.01 to 100' in capsys.readouterr().err


def test_broken_images_are_reported_and_skipped(tiny_model, images, tmp_path, capsys):
    (images / 'broken.png').write_bytes(b'\x89PNG\r\n\x1a\n' + bytes(20))
    (images / 'empty.jpg').write_bytes(b'')
    out = tmp_path / 'out'
    assert run(tiny_model, out, images, tmp_path / 'absent.png') == 1
    captured = capsys.readouterr()
    assert all(name in captured.err for name in ('broken.png', 'empty.jpg', 'absent.png'))
    assert '2 of 5 images' in captured.out
    assert {p.name.split('_')[0] for p in out.iterdir()} == {'a', 'b'}


def test_equal_names_do_not_overwrite_each_other(tiny_model, images, tmp_path):
    out = tmp_path / 'out'
    assert run(tiny_model, out, images / 'a.jpg', images / 'a.jpg') == 0
    assert {'a_sheet.png', 'a_2_sheet.png'} <= {p.name for p in out.iterdir()}


def test_grey_and_alpha_files_are_read(tiny_model, tmp_path):
    cv2.imwrite(str(tmp_path / 'grey.png'), np.full((40, 50), 9, np.uint8))
    cv2.imwrite(str(tmp_path / 'alpha.png'), np.full((40, 50, 4), 9, np.uint8))
    cv2.imwrite(str(tmp_path / 'deep.png'), np.full((40, 50), 900, np.uint16))
    assert run(tiny_model, tmp_path / 'out', tmp_path) == 0
    assert len(list((tmp_path / 'out').glob('*_sheet.png'))) == 3


def test_errors_are_one_line_without_traceback(tiny_model, images, tmp_path, capsys):
    assert run(tiny_model, tmp_path / 'o', tmp_path / 'in' / 'notes.txt') == 1
    assert run('none_such', tmp_path / 'o', images) == 1
    assert run(tiny_model, tmp_path / 'o', images, '--engine', 'none_such') == 1
    assert run(tiny_model, tmp_path / 'o', images, '--threads', '-3') == 1
    assert run(tiny_model, tmp_path / 'o', images, '--fy', '3') == 2
    assert run(tiny_model, tmp_path / 'o', images, '--fx', 'nan') == 1
    (tmp_path / 'file').write_text('')
    assert run(tiny_model, tmp_path / 'file', images) == 1
    assert 'Traceback' not in capsys.readouterr().err


def test_empty_folder_says_what_it_looks_for(tiny_model, tmp_path, capsys):
    (tmp_path / 'none').mkdir()
    assert run(tiny_model, tmp_path / 'o', tmp_path / 'none') == 1
    assert '.png' in capsys.readouterr().err


def test_the_input_takes_the_shape_of_the_first_image_that_can_be_read(tiny_model, tmp_path):
    wide = np.random.default_rng(0).integers(0, 256, (40, 200, 3), np.uint8)
    (tmp_path / 'a.png').write_bytes(b'no picture')
    cv2.imwrite(str(tmp_path / 'b.png'), wide)
    assert run(tiny_model, tmp_path / 'out', tmp_path / 'a.png', tmp_path / 'b.png',
               '--input-size', 'auto') == 1
    wanted = Predictor(tiny_model, image_size=(40, 200)).predict(wide)
    np.testing.assert_array_equal(np.load(tmp_path / 'out' / 'b_depth.npy'), wanted.depth)
    assert not np.array_equal(wanted.depth, Predictor(tiny_model).predict(wide).depth)


def test_an_input_size_that_the_model_does_not_take_is_refused(tiny_model, images, tmp_path,
                                                               capsys):
    assert run(tiny_model, tmp_path / 'out', images, '--input-size', '33x65') == 1
    assert 'demt predict: input_size is (33, 65), want' in capsys.readouterr().err
    cv2.imwrite(str(tmp_path / 'dot.png'), np.zeros((1, 1, 3), np.uint8))
    assert run(tiny_model, tmp_path / 'out', tmp_path / 'dot.png', '--input-size', 'auto') == 1
    assert 'image is 1x1' in capsys.readouterr().err


def test_an_input_size_that_is_none_is_refused(tiny_model, tmp_path, capsys):
    with pytest.raises(SystemExit, match='2'):
        run(tiny_model, tmp_path / 'out', tmp_path, '--input-size', 'large')
    assert 'HEIGHTxWIDTH' in capsys.readouterr().err


@pytest.mark.parametrize('way', ['folder', 'link', 'file'])
def test_results_do_not_go_where_the_images_are(tiny_model, images, tmp_path, capsys, way):
    out, given = images, images
    if way == 'link':   # the image lies in the folder of the results, and is given by another
        out, given = tmp_path / 'out', tmp_path / 'links'
        given.mkdir()
        shutil.copytree(images, out)
        (given / 'a.jpg').symlink_to(out / 'a.jpg')
    elif way == 'file':
        out, given = tmp_path / 'in' / '..' / 'in', images / 'a.jpg'
    before = {path: path.read_bytes() for path in out.iterdir()}
    assert run(tiny_model, out, given) == 1
    assert f'demt predict: --out {out} is the folder of' in capsys.readouterr().err
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_an_array_is_written_whole_or_not_at_all(tiny_model, images, tmp_path, monkeypatch):
    def full_disk(path, content):
        if path.name.endswith('.npy.part'):
            path.open('wb').write(content[:100])
            raise OSError(28, 'No space left on device')
        return path.open('wb').write(content)

    monkeypatch.setattr(predict.Path, 'write_bytes', full_disk)
    assert run(tiny_model, tmp_path / 'out', images / 'a.jpg') == 1
    assert not list((tmp_path / 'out').glob('*.npy'))
    assert list((tmp_path / 'out').glob('*_depth.npy.part'))
