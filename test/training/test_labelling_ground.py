"""Depth on the ground of photographs: planes whose depth is known."""

from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')

from demt_perception.cli.main import main
from demt_perception.training.checked import ConfigError
from demt_perception.training.datasets import Folder
from demt_perception.training.datasets.check import check_dataset
from demt_perception.training.datasets.sample import Sample
from demt_perception.training.datasets.writing import UNIT, write_description, write_sample
from demt_perception.training.labelling.ground import FARTHEST, label_ground, plane_depth

HEIGHT, WIDTH = 48, 64
CLASSES = ('sky', 'wall', 'road', 'pavement')
SKY, WALL, ROAD, PAVEMENT = range(4)


def road(focal, above=1.5, pitch=0.0, roll=0.0):
    """Return the depth of the ground under a camera, (H, W), NaN above the horizon."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    down = (rows - HEIGHT / 2) / focal + pitch + roll * (columns - WIDTH / 2) / focal
    return np.where(down > 1e-3, above / np.where(down > 1e-3, down, 1), np.nan)


@settings(max_examples=50, deadline=None)
@given(st.floats(30, 90), st.floats(1, 2.5), st.floats(-0.05, 0.1), st.floats(-0.1, 0.1),
       st.integers(0, 2**32 - 1))
def test_a_plane_comes_back_through_noise_and_a_wrong_patch(focal, above, pitch, roll, seed):
    rng = np.random.default_rng(seed)
    true = road(focal, above, pitch, roll)
    ground = np.isfinite(true) & (true < 40)
    seen = true * np.exp(rng.normal(0, 0.03, true.shape))
    row, column = rng.integers(HEIGHT - 12, HEIGHT - 6), rng.integers(0, WIDTH - 8)
    seen[row:row + 4, column:column + 8] *= 2
    found = plane_depth(seen.astype(np.float32), ground)
    assert not np.isfinite(found[~ground]).any()
    known = np.isfinite(found)
    assert known[ground].mean() > 0.85
    assert np.isnan(found[row:row + 4, column:column + 8]).all(), 'far off the plane'
    assert np.median(np.abs(np.log(found[known] / true[known]))) < 0.03


def test_too_little_ground_is_none():
    depth = np.full((4, 5), 3.0, np.float32)
    ground = np.zeros((4, 5), bool)
    assert np.isnan(plane_depth(depth, ground)).all()
    ground[3, :2] = True
    assert np.isnan(plane_depth(depth, ground)).all()
    assert np.isnan(plane_depth(np.full_like(depth, np.nan), ~ground)).all()
    assert np.isnan(plane_depth(np.full_like(depth, 2 * FARTHEST), ~ground)).all()


class Known:
    """Stands in for a model that sees the ground as it is, and notes the focal lengths."""

    def __init__(self, graph='0' * 64):
        self.card = SimpleNamespace(name='known', tasks=('depth',), onnx_sha256=graph)
        self.focals = []

    def predict(self, bgr, focal):
        self.focals.append(focal)
        return SimpleNamespace(depth=road(focal[0]).astype(np.float32))


@pytest.fixture
def photographs(tmp_path):
    """Return a dataset of classes alone: a street of 3 pictures, the last with a camera."""
    ids = np.full((HEIGHT, WIDTH), SKY, np.uint8)
    ids[HEIGHT // 2:] = ROAD
    ids[HEIGHT // 2:, :9] = PAVEMENT
    ids[8:HEIGHT // 2 + 4, 20:40] = WALL
    root = tmp_path / 'photographs'
    write_description(root, CLASSES, ())
    image = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    for name, focal in (('a', None), ('b', None), ('c', (70.0, 70.0))):
        write_sample(root, Sample(image, ids, focal=focal, name=name))
    return root


def test_a_dataset_gets_depth_on_the_ground_and_in_the_sky(photographs, tmp_path):
    out, model = tmp_path / 'out', Known()
    assert label_ground(photographs, out, model) == 3
    problems, _ = check_dataset(out, 'folder')
    assert problems == []
    wide = WIDTH / 2 / np.tan(np.radians(30))
    np.testing.assert_allclose(model.focals, [(wide, wide)] * 4 + [(70.0, 70.0)] * 2)
    for sample, focal in zip(Folder(out), (wide, wide, 70.0), strict=True):
        assert sample.focal == pytest.approx((focal, focal))
        on_ground = np.isin(sample.semseg, (ROAD, PAVEMENT))
        assert np.isposinf(sample.depth[sample.semseg == SKY]).all()
        assert np.isnan(sample.depth[sample.semseg == WALL]).all()
        known = on_ground & np.isfinite(sample.depth)
        assert known[HEIGHT // 2 + 4:].sum() > 0.9 * on_ground[HEIGHT // 2 + 4:].sum()
        np.testing.assert_allclose(sample.depth[known], road(focal)[known], rtol=1e-4, atol=UNIT)


def test_it_goes_on_where_it_was_cut_off(photographs, tmp_path):
    out = tmp_path / 'out'
    label_ground(photographs, out, Known())
    (out / 'images' / 'b.jpg').unlink()
    model = Known()
    label_ground(photographs, out, model)
    assert len(model.focals) == 2


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()}


@pytest.mark.parametrize('change', [
    {'hfov': 100.0}, {'ground': ('road',)}, {'sky': ''}, {'predictor': Known('1' * 64)}])
def test_labels_made_otherwise_are_not_mixed(photographs, tmp_path, change):
    out = tmp_path / 'out'
    asked = {'root': photographs, 'out': out, 'predictor': Known()}
    label_ground(**asked)
    before = contents(out)
    with pytest.raises(ConfigError, match='has labels made otherwise'):
        label_ground(**{**asked, **change})
    assert contents(out) == before
    assert label_ground(**asked) == 3


def test_a_dataset_is_not_written_over_by_itself(photographs, tmp_path):
    (tmp_path / 'link').symlink_to(photographs)
    before = contents(photographs)
    for out in (photographs, tmp_path / 'link'):
        with pytest.raises(ConfigError, match='is the dataset that is read'):
            label_ground(photographs, out, Known())
    assert contents(photographs) == before


def test_a_split_that_is_not_there_is_refused_for_renders_too(photographs, tmp_path):
    with pytest.raises(ConfigError, match=r"\(rendered\) has no split 'val'"):
        label_ground(photographs, tmp_path / 'out', Known(), 'rendered', 'val')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(('options', 'text'), [
    (['--classes', 'street'], 'has no class street'), (['--sky', 'heaven'], 'no class heaven'),
    (['--split', 'train'], 'train'), (['--hfov', '180'], 'between 0 and 180')])
def test_what_cannot_be_is_said(photographs, tmp_path, tiny_model, capsys, options, text):
    try:
        code = main(['data', 'ground', str(photographs), '--model', str(tiny_model), '--engine',
                     'onnxruntime', '--out', str(tmp_path / 'out'), *options])
    except SystemExit as end:
        code = end.code
    assert code != 0
    assert text in capsys.readouterr().err


def test_by_the_command(photographs, tmp_path, tiny_model, capsys):
    assert main(['data', 'ground', str(photographs), '--model', str(tiny_model), '--engine',
                 'onnxruntime', '--out', str(tmp_path / 'out')]) == 0
    assert '3 pictures with depth on the ground' in capsys.readouterr().out
    assert [sample.name for sample in Folder(tmp_path / 'out')] == ['a', 'b', 'c']
