"""Flicker on moving pictures whose motion, and so the right answer, is known."""

import json

import cv2
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
import numpy as np
import pytest

pytest.importorskip('onnxruntime')

from demt_perception.cli.main import main
from demt_perception.inference import Predictor
from demt_perception.training.evaluation.errors import EvaluationError
from demt_perception.training.evaluation.flicker import changed_classes, FIGURES, flicker
from demt_perception.training.evaluation.motion import estimate_motion, Motion, pixel_grid, still
from demt_perception.training.evaluation.steadiness import measure_steadiness

SIZE = (96, 160)
SHIFT = (5, 3)   # pixels to the right and down, from frame to frame


def texture(size, seed=0):
    """Return a smooth random picture, uint8 (H, W, 3)."""
    noise = np.random.default_rng(seed).normal(size=(*size, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    return np.clip(128 + 250 * smooth, 0, 255).astype(np.uint8)


def window(scene, frame):
    """Return the part of a scene, any channels, that is seen in a frame: it moves by SHIFT."""
    top, left = 40 - frame * SHIFT[1], 60 - frame * SHIFT[0]
    return np.ascontiguousarray(scene[top:top + SIZE[0], left:left + SIZE[1]])


def known_motion():
    source = pixel_grid(*SIZE) - np.float32(SHIFT)
    return Motion(source, (source >= 0).all(axis=2))


def scene_outputs(seed=0):
    """Return what a perfect predictor says of a scene, in all tasks."""
    size = (SIZE[0] + 80, SIZE[1] + 120)
    smooth = texture(size, seed).astype(np.float32)
    normals = smooth - 127.5
    return {'semseg': (smooth[..., 0] // 32).astype(np.uint8), 'depth': 2 + smooth[..., 1] / 4,
            'normals': normals / np.linalg.norm(normals, axis=2, keepdims=True),
            'edge': smooth[..., 2] / 255}


@pytest.mark.parametrize('motion', [known_motion, None])
def test_a_perfect_predictor_of_a_moving_picture_does_not_flicker(motion):
    scene, picture = scene_outputs(), texture((SIZE[0] + 80, SIZE[1] + 120), 7)
    if motion is None:   # the flow has to be found
        found = estimate_motion(window(picture, 0), window(picture, 1))
        assert found.seen.mean() > 0.85
        errors = np.abs(found.source - known_motion().source)[found.seen]
        assert np.percentile(errors, 98) < 0.3
        assert not found.seen[:SHIFT[1] - 1].any() and not found.seen[:, :SHIFT[0] - 1].any()
        near = 0.03
    else:
        found, near = motion(), 1e-6
    figures = flicker(*({task: window(map_, frame) for task, map_ in scene.items()}
                        for frame in (0, 1)), found)
    assert set(figures) == set(FIGURES)
    assert figures['class_changes'] == 0 if motion else figures['class_changes'] < 0.01
    assert figures['depth'] < near and figures['boundary'] < near
    assert figures['normals_deg'] < (1e-3 if motion else 1)
    # Without its motion taken out, the same picture flickers much.
    alone = flicker(*({task: window(map_, frame) for task, map_ in scene.items()}
                      for frame in (0, 1)), still(*SIZE))
    assert alone['class_changes'] > 0.5 and alone['normals_deg'] > 20


@settings(max_examples=20, deadline=None)
@given(flips=arrays(bool, SIZE))
def test_flipped_pixels_are_counted_one_by_one(flips):
    ids, motion = scene_outputs()['semseg'], known_motion()
    now = np.where(flips, window(ids, 1) + 1, window(ids, 1)).astype(np.uint8)
    figures = flicker({'semseg': window(ids, 0)}, {'semseg': now}, motion)
    wanted = flips & motion.seen
    assert figures['class_changes'] == pytest.approx(wanted.sum() / motion.seen.sum())
    np.testing.assert_array_equal(changed_classes(window(ids, 0), now, motion), wanted)


def test_k_percent_of_flips_are_k_percent_with_flow_that_is_found():
    picture, rng = texture((SIZE[0] + 80, SIZE[1] + 120), 7), np.random.default_rng(1)
    ids = np.zeros(SIZE, np.uint8)
    found = estimate_motion(window(picture, 0), window(picture, 1))
    for share in (0.01, 0.1, 0.4):
        now = (rng.random(SIZE) < share).astype(np.uint8)
        assert flicker({'semseg': ids}, {'semseg': now}, found)['class_changes'] == (
            pytest.approx(share, abs=4 * np.sqrt(share / ids.size)))


def test_what_was_hidden_is_left_out():
    """A square moves over a background at rest: what it uncovers was not in sight."""
    background, square = texture(SIZE, 1), texture((40, 40), 2)
    frames = [background.copy(), background.copy()]
    frames[0][30:70, 60:100] = square
    frames[1][30:70, 70:110] = square
    motion = estimate_motion(*frames)
    assert motion.seen[32:68, 61:67].mean() < 0.2
    assert motion.seen[32:68, 75:105].mean() > 0.9
    assert motion.seen[:, :50].mean() > 0.95


def test_figures_by_hand():
    motion = still(10, 10)
    depth = np.full((10, 10), 8.0, np.float32)
    nearer = depth / np.float32(1.1)
    figures = flicker({'depth': depth}, {'depth': nearer}, motion)
    assert figures['depth'] == pytest.approx(np.log(1.1), rel=1e-5)
    assert figures['depth_scaled'] == pytest.approx(0, abs=1e-6)
    nearer[0] = 4       # a tenth of the pixels; and one that nobody knows
    nearer[5, 5] = np.nan
    figures = flicker({'depth': depth}, {'depth': nearer}, motion)
    assert figures['depth_scaled'] == pytest.approx(np.log(2 / 1.1) * 10 / 99, rel=1e-5)
    assert figures['depth_scaled_p95'] == pytest.approx(np.log(2 / 1.1), rel=1e-5)
    tilted = np.zeros((10, 10, 3), np.float32)
    tilted[..., 1], tilted[..., 2] = -np.cos(np.radians(5)), np.sin(np.radians(5))
    tilted[0] = 0       # the sky
    up = np.zeros_like(tilted)
    up[..., 1] = -1
    assert flicker({'normals': up}, {'normals': tilted}, motion)['normals_deg'] == (
        pytest.approx(5, rel=1e-4))
    here, there = np.zeros((2, 10, 10), np.float32)
    here[3], there[6] = 1, 1
    assert flicker({'edge': here}, {'edge': there}, motion)['boundary'] == 1
    there[3] = 1
    assert flicker({'edge': here}, {'edge': there}, motion)['boundary'] == pytest.approx(1 / 3)
    nothing = Motion(motion.source, np.zeros((10, 10), bool))
    figures = flicker({'semseg': np.zeros((10, 10), np.uint8), 'depth': depth},
                      {'semseg': np.zeros((10, 10), np.uint8), 'depth': depth}, nothing)
    assert np.isnan(figures['class_changes']) and np.isnan(figures['depth_p95'])


@pytest.fixture
def frames():
    picture = texture((SIZE[0] + 80, SIZE[1] + 120), 7)
    return [window(picture, frame) for frame in range(4)]


def test_a_model_on_moving_and_on_still_frames(tiny_model, frames):
    predictor = Predictor(tiny_model, 'onnxruntime', 1)
    moving = measure_steadiness({'tiny': predictor}, frames)['tiny']
    resting = measure_steadiness({'tiny': predictor}, frames[:1] * 3)['tiny']
    assert {len(values) for values in moving.frames.values()} == {3}
    assert {len(values) for values in moving.noise.values()} == {4}
    figures = resting.figures()
    assert figures['video']['class_changes'] == 0 < figures['noise']['class_changes']
    assert moving.figures()['video']['class_changes'] > 0
    assert moving.worst == sorted(moving.worst, key=lambda pair: -pair.change)
    again = measure_steadiness({'tiny': predictor}, frames)['tiny']
    assert (again.frames, again.noise) == (moving.frames, moving.noise)


def test_what_cannot_be_compared_is_said(tiny_model, frames):
    predictor = Predictor(tiny_model, 'onnxruntime', 1)
    with pytest.raises(EvaluationError, match='1 frames: want two'):
        measure_steadiness({'tiny': predictor}, frames[:1])
    with pytest.raises(EvaluationError, match=r'frame 1 is 80x96 .* before 160x96'):
        measure_steadiness({'tiny': predictor}, [frames[0], frames[1][:, :80].copy()])


def test_the_verb_on_a_folder_of_frames(tiny_model, frames, tmp_path, capsys):
    pytest.importorskip('tqdm', reason="pip install '.[train]'")
    pytest.importorskip('matplotlib', reason="pip install '.[plots]'")
    (tmp_path / 'clip').mkdir()
    for number, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / 'clip' / f'{number}.png'), frame)

    def run(*more):
        return main(['eval', str(tiny_model), '--video', str(tmp_path / 'clip'), '--engine',
                     'onnxruntime', *map(str, more)])

    assert run('--json', tmp_path / 'a.json', '--sheet', tmp_path / 'a.png', '--plots',
               tmp_path / 'plots', '--against', tiny_model) == 0
    assert 'share of pixels that change class' in capsys.readouterr().out
    content = json.loads((tmp_path / 'a.json').read_text())
    one, other = content['figures'].values()
    assert one == other and len(content['frames']) == 2
    assert content['conditions']['frames'] == 4
    assert len(list((tmp_path / 'plots').iterdir())) == 4
    assert cv2.imread(str(tmp_path / 'a.png')).shape[0] > 3 * SIZE[0]
    assert run('--limit', 2, '--input-size', 'auto', '--json', tmp_path / 'b.json') == 0
    content = json.loads((tmp_path / 'b.json').read_text())
    assert content['conditions']['frames'] == 2
    assert run('--sheet', tmp_path / 'a.png', '--stereo', tmp_path) == 2
    assert main(['eval', str(tiny_model), '--video', str(tmp_path / 'none.mp4')]) == 1
    assert 'does not exist' in capsys.readouterr().err
