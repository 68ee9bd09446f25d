"""Depth of stereo pairs: made ones whose depth is known, and real ones against true poses."""

from itertools import pairwise
import json
import shutil

import cv2
import numpy as np
import pytest
from shared_data import SHARED

pytest.importorskip('onnxruntime')

from demt_perception.cli.main import main
from demt_perception.inference import Predictor
from demt_perception.training.evaluation.errors import EvaluationError
from demt_perception.training.evaluation.stereo import (
    open_clip,
    read_pair,
    reference_depth,
    reprojection_errors,
)
from demt_perception.training.evaluation.stereo_depth import measure_stereo, median_scale

REAL = SHARED / 'data' / 'kitti_stereo_1'
FOCAL, BASELINE, SIZE = 500.0, 0.5, (120, 320)
BACKGROUND, BOX, FAR = 20, 40, 4   # pixels of disparity: 12.5 m, 6.25 m and 62.5 m


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Write two equal pairs with a box before a wall and something far; return (folder, depth)."""
    root = tmp_path_factory.mktemp('stereo')
    disparity = np.full(SIZE, BACKGROUND)
    disparity[:30] = FAR
    disparity[50:100, 180:260] = BOX
    noise = np.random.default_rng(0).normal(size=(*SIZE, 1)).astype(np.float32)
    left = np.clip(25 + 40 * cv2.GaussianBlur(noise, (0, 0), 1), 0, 255).astype(np.uint8)
    right = np.zeros_like(left)
    rows, columns = np.indices(SIZE)
    for value in (FAR, BACKGROUND, BOX):   # what is near hides what is far
        inside = (disparity == value) & (columns >= value)
        right[rows[inside], columns[inside] - value] = left[inside]
    for side, picture in (('image_l', left), ('image_r', right)):
        (root / side).mkdir()
        for name in ('000000', '000002'):
            cv2.imwrite(str(root / side / f'{name}.png'), cv2.merge([picture] * 3))
    write_calibration(root)
    still = '1 0 0 0 0 1 0 0 0 0 1 0\n'
    (root / 'poses.txt').write_text(3 * still)
    return root, FOCAL * BASELINE / disparity


def write_calibration(root):
    first = [FOCAL, 0, SIZE[1] / 2, 0, 0, FOCAL, SIZE[0] / 2, 0, 0, 0, 1, 0]
    second = [*first[:3], -FOCAL * BASELINE, *first[4:]]
    (root / 'calib.txt').write_text(''.join(
        f'P{number}: {" ".join(map(str, row))}\n' for number, row in enumerate((first, second))))


def test_known_depth_is_found_and_what_is_far_or_hidden_is_left_out(made):
    root, depth = made
    clip = open_clip(root)
    assert clip.focal == (FOCAL, FOCAL) and clip.baseline == pytest.approx(BASELINE)
    assert clip.names == ('000000', '000002') and set(clip.poses) == set(clip.names)
    found = reference_depth(clip, *read_pair(clip, '000000'))
    there = np.isfinite(found)
    errors = np.abs(found - depth)[there] / depth[there]
    assert np.percentile(errors, 95) < 0.02
    assert there[35:, 150:].mean() > 0.8 and not there[:25].any()
    assert there[52:98, 185:255].mean() > 0.95
    # Left of the box is wall that the right camera does not see.
    assert there[55:95, 162:178].mean() < 0.3


def test_frames_that_agree_and_frames_that_do_not(made):
    clip = open_clip(made[0])
    depth = np.full(SIZE, 10, np.float32)
    depth[:20] = np.nan
    assert reprojection_errors(clip, '000000', depth, '000002', depth).max() == (
        pytest.approx(0, abs=1e-6))
    # Two metres on, the wall is at eight; said to be at 8.8, it is 10 % off.
    clip.poses['000002'][2, 3] = 2
    for said, wanted in ((8, 0), (8.8, 0.1)):
        errors = reprojection_errors(clip, '000000', depth, '000002',
                                     np.full(SIZE, said, np.float32))
        np.testing.assert_allclose(errors, wanted, atol=1e-5)
        assert 0.4 < len(errors) / depth.size < 0.84


def test_a_model_against_a_plain_computation(made, tiny_model):
    clip = open_clip(made[0])
    predictor = Predictor(tiny_model, 'onnxruntime', 1)
    found = measure_stereo(predictor, clip, clip.names[:1])
    left, right = read_pair(clip, clip.names[0])
    reference = reference_depth(clip, left, right)
    predicted = predictor.predict(left, clip.focal).depth
    both = np.isfinite(reference) & np.isfinite(predicted)
    p, t = predicted[both].astype(float), reference[both].astype(float)
    figures = found.metric.summary()
    assert figures['abs_rel'] == pytest.approx(np.mean(np.abs(p - t) / t), rel=1e-5)
    assert figures['rmse_m'] == pytest.approx(np.sqrt(np.mean((p - t) ** 2)), rel=1e-5)
    p *= np.median(t) / np.median(p)
    assert found.scaled.summary()['abs_rel'] == pytest.approx(np.mean(np.abs(p - t) / t), rel=1e-5)
    assert found.covered == np.isfinite(reference).mean()
    assert np.isnan(found.contradiction)   # one frame alone
    assert measure_stereo(predictor, clip, clip.names).contradiction < 1e-6


def test_pairs_come_in_the_order_of_their_numbers(made, tmp_path):
    shutil.copytree(made[0], tmp_path, dirs_exist_ok=True)
    for side in ('image_l', 'image_r'):
        for old, new in (('000000', '10'), ('000002', '9')):
            (tmp_path / side / f'{old}.png').rename(tmp_path / side / f'{new}.png')
        shutil.copy(tmp_path / side / '9.png', tmp_path / side / 'last.png')
    assert open_clip(tmp_path).names == ('9', '10', 'last')


def test_the_scale_of_medians():
    reference = np.array([[2.0, 4, 6, np.nan]])
    assert median_scale(np.array([[1.0, 2, 3, 99]]), reference) == 2
    assert median_scale(np.array([[np.nan, np.nan, np.nan, 1]]), reference) == 1


def test_the_verb(made, tiny_model, tmp_path, capsys):
    pytest.importorskip('tqdm', reason="pip install '.[train]'")
    command = ['eval', str(tiny_model), '--stereo', str(made[0]), '--engine', 'onnxruntime']
    assert main([*command, '--json', str(tmp_path / 'a.json'), '--sheet',
                 str(tmp_path / 'a.png'), '--input-size', 'auto']) == 0
    said = capsys.readouterr().out
    content = json.loads((tmp_path / 'a.json').read_text())
    assert f'{content["figures"]["as predicted"]["abs_rel"]:.4f}' in said
    assert content['conditions']['focal'] == [FOCAL, FOCAL]
    assert content['reference']['median_reprojection_error'] < 1e-6
    assert len(content['pictures']) == 2
    assert cv2.imread(str(tmp_path / 'a.png')).shape[1] > 4 * 600


@pytest.mark.parametrize(('text', 'said'), [
    ('1 2 3', 'calib.txt:1: want 12 numbers'), ('', 'want two lines'),
    (2 * '5 0 1 0 0 5 1 0 0 0 1 0\n', 'want two lines'),
    (2 * '5 0 1 nan 0 5 1 0 0 0 1 0\n', 'calib.txt:1')])
def test_a_damaged_calibration_is_said(tmp_path, text, said):
    (tmp_path / 'calib.txt').write_text(text)
    with pytest.raises(EvaluationError, match=said):
        open_clip(tmp_path)


def test_missing_and_damaged_pairs_are_said(tmp_path):
    write_calibration(tmp_path)
    with pytest.raises(EvaluationError, match='no pair'):
        open_clip(tmp_path)
    for side in ('image_l', 'image_r'):
        (tmp_path / side).mkdir()
        (tmp_path / side / 'a.png').write_bytes(b'no picture')
    with pytest.raises(EvaluationError, match='is not a picture'):
        read_pair(open_clip(tmp_path), 'a')


def test_the_reference_of_real_pairs_agrees_with_true_poses():
    if not REAL.exists():
        pytest.skip(f'{REAL} is not at hand')
    clip = open_clip(REAL)
    names = clip.names[6:8]
    depths = [reference_depth(clip, *read_pair(clip, name)) for name in names]
    assert 0.55 < np.mean([np.isfinite(depth).mean() for depth in depths]) < 0.75

    def contradiction(farthest):
        near = [np.where(depth < farthest, depth, np.float32('nan')) for depth in depths]
        return np.median(np.concatenate([
            reprojection_errors(clip, *pair) for pair in (
                (a, x, b, y) for (a, x), (b, y) in pairwise(zip(names, near, strict=True)))]))

    assert contradiction(50) < 0.018
    assert contradiction(20) < 0.012
