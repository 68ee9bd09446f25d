"""Pseudo-labels: frames vote, what does not hold is ignored, and the job continues."""

import shutil

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='labelling needs torch: pip install torch==2.13.0')
pytest.importorskip('lightning_fabric', reason='training needs Lightning Fabric')

from safetensors.torch import load_file, save_file
import yaml

from demt_perception.cli.main import main
from demt_perception.training.building import build
from demt_perception.training.config import save_config, TrainConfig
from demt_perception.training.datasets import Folder, IGNORE, soft, Video
from demt_perception.training.datasets.check import check_dataset
from demt_perception.training.evaluation.motion import estimate_motion, Motion, still
from demt_perception.training.labelling.averaging import average, farthest
from demt_perception.training.labelling.job import labels
from demt_perception.training.labelling.voting import coarser, vote
from demt_perception.training.teaching import Teacher

SIZE = (64, 96)
CLASSES = ('a', 'b', 'c')


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """Return the folder of a run whose network has opinions of its own."""
    out = tmp_path_factory.mktemp('run')
    config = TrainConfig(
        model='demt_light', backbone='efficientnet_lite0', protocol='driving', losses='driving',
        tasks={'semseg': 3, 'depth': 1, 'normals': 3, 'edge': 1}, data=[{'root': 'x'}],
        out=str(out), iterations=1, size=SIZE, model_options={'dim': 16, 'hidden': 8},
        classes=CLASSES, focal=100.0)
    save_config(config, out / 'config.yaml')
    state = build(config).eval().state_dict()
    for name in state:
        if name.endswith('logits.weight'):
            state[name] = state[name] * 200
    save_file(state, out / 'weights.safetensors')
    return out


def picture(shift=0):
    """Return a picture with structure everywhere, moved to the left."""
    noise = np.random.default_rng(0).integers(0, 256, (SIZE[0], SIZE[1] + 40, 3)).astype(np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0)
    smooth = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)
    return np.ascontiguousarray(smooth[:, shift:shift + SIZE[1]])


def test_frames_that_agree_are_averaged_and_others_silence_a_pixel():
    height, width = 8, 10
    mine = np.zeros((2, height, width), np.float32)
    mine[0], mine[1] = 0.8, 0.2
    theirs = mine.copy()
    theirs[:, :, :3] = theirs[::-1, :, :3]  # three columns of another opinion
    theirs[0, :, 3:], theirs[1, :, 3:] = 0.6, 0.4
    motion = still(height, width)
    motion.seen[:, 7:] = False
    result, holds = vote({'semseg': mine}, [({'semseg': theirs}, motion)])
    assert holds['semseg'][0].tolist() == [False] * 3 + [True] * 4 + [False] * 3
    assert np.allclose(result['semseg'][0, 0], [0.8] * 3 + [0.7] * 4 + [0.8] * 3)
    # A second frame that sees the rest, and agrees, makes that hold.
    seen = Motion(motion.source, ~motion.seen)
    _, holds = vote({'semseg': mine}, [({'semseg': theirs}, motion), ({'semseg': mine}, seen)])
    assert holds['semseg'][0].tolist() == [False] * 3 + [True] * 7
    assert vote({'semseg': mine}, [])[1]['semseg'].all()
    # One that has no opinion of a task has no vote on it.
    _, holds = vote({'semseg': mine}, [({}, seen), ({'semseg': mine}, seen)])
    assert (holds['semseg'] == seen.seen).all()


def test_depth_agrees_after_the_cameras_way():
    """A street seen twice, 2 m farther on: what moved by itself, or is wrong, does not hold."""
    metres = np.tile(np.linspace(6, 45, 30, dtype=np.float32), (20, 1))
    later = metres - 2
    later[:5] *= 1.5
    own, other = {'depth': np.log(metres)}, {'depth': np.log(later)}
    result, holds = vote(own, [(other, still(20, 30))])
    assert not holds['depth'][:5].any() and holds['depth'][5:].all()
    assert np.allclose(result['depth'][5:], own['depth'][5:], atol=1e-4)


def test_opinions_follow_the_motion():
    before, now = picture(0), picture(6)
    motion = coarser(estimate_motion(before, now))
    inner = np.s_[4:-4, 6:-8]
    assert motion.seen[inner].mean() > 0.9
    shift = motion.source - still(SIZE[0] // 2, SIZE[1] // 2).source
    assert abs(float(np.median(shift[inner][..., 0])) - 3) < 0.2
    assert abs(float(np.median(shift[inner][..., 1]))) < 0.2


def test_the_mirror_and_other_sizes_give_the_same_view_back(run):
    teacher = Teacher(run)
    device = torch.device('cpu')
    image = np.full((*SIZE, 3), 90, np.uint8)
    image[:, :48] = 200
    one = average([teacher], image, [1.0], (100.0, 100.0), device)
    other = average([teacher], image[:, ::-1].copy(), [1.0], (100.0, 100.0), device)
    for task in ('semseg', 'depth', 'edge'):
        assert np.allclose(one[task], other[task][..., ::-1], atol=1e-4)
    assert np.allclose(one['normals'][1:], other['normals'][1:, :, ::-1], atol=1e-4)
    assert np.allclose(one['normals'][0], -other['normals'][0, :, ::-1], atol=1e-4)
    twice = average([teacher], image, [1.0, 1.5], (200.0, 200.0), device)
    assert one['semseg'].shape == twice['semseg'].shape == (3, 32, 48)
    again = average([teacher], image, [1.0], (200.0, 200.0), device)
    assert np.allclose(np.exp(again['depth']), 2 * np.exp(one['depth']), rtol=1e-3)
    assert 'depth' not in average([teacher], image, [1.0], None, device)


def test_what_all_say_is_beyond_range_is_the_sky_at_any_size(run, tmp_path):
    """Networks see multiples of 32, and several sizes: each has another greatest depth."""
    shutil.copytree(run, tmp_path / 'run')
    state = load_file(run / 'weights.safetensors')
    state['head.heads.depth.logits.bias'][:] = 1e3
    save_file(state, tmp_path / 'run' / 'weights.safetensors')
    teachers = [Teacher(tmp_path / 'run')]
    focal, device = (90.0, 110.0), torch.device('cpu')
    for size, scales in ((SIZE, [1.0]), ((80, 96), [1.0]), (SIZE, [0.5, 1.0])):
        image = np.full((*size, 3), 90, np.uint8)
        found = average(teachers, image, scales, focal, device)['depth']
        assert np.allclose(np.exp(found), farthest(teachers, size, scales, focal), rtol=1e-4)
    assert np.isinf(farthest(teachers, SIZE, [1.0], None))

    pictures = tmp_path / 'images'
    pictures.mkdir()
    cv2.imwrite(str(pictures / 'a.png'), picture())
    (tmp_path / 'dataset.yaml').write_text('focal: 100\n')
    command = ['label', str(tmp_path / 'run'), '--data', str(tmp_path), '--still', '--out',
               str(tmp_path / 'out'), '--size', '80', '96']
    assert main(command) == 0
    assert np.isposinf(Folder(tmp_path / 'out')[0].depth).all()


@pytest.mark.parametrize(('options', 'match'), [
    (['--size', '63', '96'], 'multiples of 4'), (['--least', '60'], 'least 60.0'),
    (['--scales', '1', '0'], 'sizes above 0')])
def test_numbers_that_do_not_fit_are_refused(run, tmp_path, capsys, options, match):
    (tmp_path / 'images').mkdir()
    cv2.imwrite(str(tmp_path / 'images' / 'a.png'), picture())
    assert main(['label', str(run), '--data', str(tmp_path), '--out', str(tmp_path / 'out'),
                 *options]) == 1
    assert match in capsys.readouterr().err


def test_only_what_is_sure_becomes_a_label():
    likely = np.zeros((2, 4, 4), np.float32)
    likely[0], likely[1] = 0.9, 0.1
    likely[:, :2, :2] = 0.5
    holds = {task: np.ones((4, 4), bool) for task in ('semseg', 'depth', 'sal')}
    holds['semseg'][3, 3] = holds['depth'][0, 0] = False
    depth = np.full((4, 4), np.log(10), np.float32)
    depth[1] = np.log(149)
    salient = np.array([[0.1, 0.5, 0.9, 0.9]] * 4, np.float32)
    normals = np.zeros((3, 4, 4), np.float32)
    normals[2] = -1
    holds['normals'] = np.ones((4, 4), bool)
    out = labels({'semseg': likely, 'depth': depth, 'sal': salient, 'normals': normals}, holds,
                 0.6, 147.0)
    assert not out['normals'][1].any() and (out['normals'][[0, 2, 3]] == (0, 0, -1)).all()
    assert (out['semseg'][:2, :2] == IGNORE).all() and out['semseg'][3, 3] == IGNORE
    assert out['semseg'][0, 2] == 0
    assert np.isnan(out['depth'][0, 0]) and np.isposinf(out['depth'][1]).all()
    assert out['sal'][0].tolist() == [0, IGNORE, 1, 1]
    found = soft.decode(out['soft'], 2)
    assert np.allclose(found[:, 0, 1], [0.9, 0.1], atol=0.02)
    assert found[:, 0, 0].sum() == found[:, 1, 1].sum() == 0


def test_of_a_band_of_boundary_only_the_ridge_becomes_a_label():
    row = [0.1] * 7 + [0.5, 0.75, 0.9, 0.75, 0.5] + [0.1] * 7
    edge = np.tile(np.float32(row), (16, 1))
    out = labels({'edge': edge}, {'edge': np.ones(edge.shape, bool)}, 0.6, 147.0)['edge']
    assert out[8].tolist() == [0] * 7 + [IGNORE, IGNORE, 1, IGNORE, IGNORE] + [0] * 7


def test_a_clip_becomes_a_dataset_and_the_job_continues(run, tmp_path, capsys):
    clip = tmp_path / 'clips' / 'one'
    clip.mkdir(parents=True)
    for number in range(4):
        cv2.imwrite(str(clip / f'{number}.png'), picture(2 * number))
    (tmp_path / 'clips' / 'video.yaml').write_text(yaml.safe_dump(
        {'validation': 0.25, 'camera': {'size': list(SIZE), 'matrix': [80, 80, 48, 32]}}))
    out = tmp_path / 'labelled'
    command = ['label', str(run), '--data', str(tmp_path / 'clips'), '--split', 'train', '--out',
               str(out), '--least', '0.34']
    assert main(command) == 0
    found = Folder(out)
    assert found.names == Video(tmp_path / 'clips', 'train').names == ['one_0', 'one_1', 'one_2']
    assert found.classes == CLASSES
    sample = found[1]
    assert sample.focal == (80.0, 80.0) and sample.image.shape == (*SIZE, 3)
    assert 0 < (sample.semseg != IGNORE).mean() < 1
    assert check_dataset(out, 'folder')[0] == [] or all(
        'no known depth' in reason for _, reason in check_dataset(out, 'folder')[0])
    kept = {path.name: path.read_bytes() for path in (out / 'images').iterdir()}
    label = (out / 'semseg' / 'one_1.png').read_bytes()
    (out / 'images' / 'one_1.jpg').unlink()
    (out / 'semseg' / 'one_1.png').unlink()
    assert main(command) == 0
    assert (out / 'semseg' / 'one_1.png').read_bytes() == label
    assert {path.name: path.read_bytes() for path in (out / 'images').iterdir()} == kept
    assert main([*command[:-3], str(tmp_path / 'some'), *command[-2:], '--every', '2']) == 0
    assert Folder(tmp_path / 'some').names == ['one_0', 'one_2']
    assert (tmp_path / 'some' / 'semseg' / 'one_2.png').read_bytes() == (
        out / 'semseg' / 'one_2.png').read_bytes()
    capsys.readouterr()
    assert main([*command, '--still']) == 1
    assert 'has labels made otherwise' in capsys.readouterr().err


def test_how_much_keeps_its_label_is_told_and_stills_that_vote_are_noticed(run, tmp_path, capsys):
    pictures = tmp_path / 'images'
    pictures.mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):   # no frames of one clip, though called so
        cv2.imwrite(str(pictures / f'shot_{number}.png'),
                    rng.integers(0, 256, (*SIZE, 3), np.uint8))
    command = ['label', str(run), '--data', str(tmp_path), '--least', '0', '--out']
    assert main([*command, str(tmp_path / 'still'), '--still']) == 0
    still = capsys.readouterr()
    assert 'pixels that keep their label: semseg 100%' in still.out
    assert 'semseg' not in still.err.partition('demt label: ')[2]
    assert main([*command, str(tmp_path / 'voted')]) == 0
    said = capsys.readouterr()
    share = np.mean([(sample.semseg != IGNORE).mean() for sample in Folder(tmp_path / 'voted')])
    assert f'semseg {share:.0%}' in said.out and share < 0.5
    assert ', edge less than 30% of the pixels' in said.err
    assert 'give --still, and another --out' in said.err
    assert main([*command, str(tmp_path / 'voted')]) == 0
    assert 'keep their label' not in capsys.readouterr().out, 'there was nothing left to do'
