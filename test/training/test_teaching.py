"""Learning from teachers, soft labels and one's own average: toy runs and exact parts."""

from pathlib import Path
import shutil

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')
pytest.importorskip('lightning_fabric', reason='training needs Lightning Fabric')

import archives
import runs
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from demt_perception.training import loading, trainer
from demt_perception.training.config import ConfigError, Source
from demt_perception.training.datasets import soft
from demt_perception.training.datasets.check import check_dataset
from demt_perception.training.datasets.sample import Sample
from demt_perception.training.failures import TrainingError
from demt_perception.training.losses.distilling import (
    agreed,
    confident,
    distillation,
    opinion,
    unlabelled,
)
from demt_perception.training.objective import Objective
from demt_perception.training.teaching import Teacher
from demt_perception.training.trainer import train
from demt_perception.training.transforms import Driving, driving

CHANNELS = {'semseg': 5, 'depth': 1, 'normals': 3, 'edge': 1, 'sal': 2}
STREET = {'protocol': 'driving', 'losses': 'driving', 'model': 'demt_light',
          'model_options': {'dim': 16, 'hidden': 8}, 'backbone': 'efficientnet_lite0',
          'optimizer': 'adamw', 'lr': 1e-2, 'loss_weights': {'edge': 5.0}, 'size': (32, 64),
          'batch': 2}


def metres(logits):
    return logits.exp()


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return runs.write_labelled(tmp_path_factory.mktemp('labelled'), 4, (32, 64))


@pytest.fixture(scope='module')
def labelled(root):
    path = root / 'dataset.yaml'
    if 'focal' not in path.read_text():
        path.write_text(path.read_text() + 'focal: 80\n')
    return root


@pytest.fixture(scope='module')
def bare(labelled, tmp_path_factory):
    """Return the same pictures without labels."""
    out = tmp_path_factory.mktemp('bare')
    shutil.copytree(labelled / 'images', out / 'images')
    return out


@pytest.fixture(scope='module')
def teacher(labelled, tmp_path_factory):
    out = tmp_path_factory.mktemp('teacher') / 'run'
    path = train(runs.small_config(labelled, out, **STREET, iterations=1, ema=0.9))
    state = load_file(path)
    for name in state:  # so that it has opinions, without having learned for long
        if name.endswith('logits.weight'):
            state[name] *= 60
    save_file(state, path)
    return out


def test_soft_labels_of_a_task_that_is_not_learned_are_refused(labelled, tmp_path):
    with pytest.raises(ConfigError, match='distill'):
        train(runs.small_config(labelled, tmp_path / 'r', **{
            **STREET, 'tasks': {'depth': 1}, 'loss_weights': {}}, distill={'semseg': 1.0}))


@pytest.mark.parametrize('task', CHANNELS)
def test_nothing_is_to_learn_from_ones_own_opinion(task):
    logits = torch.randn(2, CHANNELS[task], 6, 7, requires_grad=True)
    wanted = opinion(task, logits.detach(), metres)
    everywhere = torch.ones(2, 6, 7, dtype=torch.bool)
    same = distillation(task, logits, wanted, everywhere, metres)
    other = distillation(task, logits + torch.randn_like(logits), wanted, everywhere, metres)
    entropy = 0.0
    if task in ('edge', 'sal'):
        entropy = float(F.binary_cross_entropy(wanted, wanted))
    assert abs(float(same.detach()) - entropy) < 1e-5 and other > same + 0.01
    same.backward()
    # L1 has a gradient of any sign at its minimum; the others have none there.
    if task not in ('depth', 'normals'):
        assert float(logits.grad.abs().max()) < 1e-6
    assert distillation(task, logits, wanted, ~everywhere, metres) == 0


def test_depth_beyond_what_a_network_can_say_asks_for_its_limit(tmp_path):
    """Else what it cannot reach would pull at it for ever."""
    config = runs.small_config(tmp_path, tmp_path, **STREET, far=30.0)
    own = Objective(config, runs.TASKS).metres
    for wanted, logit in ((1000.0, 9.0), (30.5, 9.0), (0.01, -9.0)):
        logits = torch.full((1, 1, 2, 2), logit, requires_grad=True)
        loss = distillation('depth', logits, torch.full((1, 2, 2), wanted).log(),
                            torch.ones(1, 2, 2, dtype=torch.bool), own)
        loss.backward()
        assert float(loss.detach()) == 0 and not logits.grad.any(), wanted
    logits = torch.zeros(1, 1, 2, 2)   # 12.2 m
    found = distillation('depth', logits, torch.full((1, 2, 2), 1000.0).log(),
                         torch.ones(1, 2, 2, dtype=torch.bool), own)
    assert float(found) == pytest.approx(np.log(30) - 2.5, abs=1e-5)
    wide = Objective(runs.small_config(tmp_path, tmp_path), runs.TASKS).metres
    metres_of = torch.full((1, 1, 2, 2), 12.0)
    assert float(distillation('depth', metres_of, torch.full((1, 2, 2), 1000.0).log(), torch.ones(
        1, 2, 2, dtype=torch.bool), wide)) == pytest.approx(np.log(1000 / 12), abs=1e-5)


def test_classes_are_compared_by_the_softened_divergence():
    logits, teacher = torch.randn(1, 5, 4, 4), torch.randn(1, 5, 4, 4)
    found = distillation('semseg', logits, teacher.softmax(1), torch.ones(1, 4, 4).bool(),
                         metres, temperature=3.0)
    wanted = F.kl_div((logits / 3).log_softmax(1), (teacher / 3).softmax(1),
                      reduction='none').sum(1).mean() * 9
    assert abs(float(found - wanted)) < 1e-5


def test_opinions_are_averaged_as_what_they_are():
    depth = agreed('depth', [torch.full((1, 2, 2), 2.0).log(), torch.full((1, 2, 2), 8.0).log()])
    assert torch.allclose(depth.exp(), torch.tensor(4.0))
    normals = agreed('normals', [torch.tensor([1.0, 0, 0])[None, :, None, None],
                                 torch.tensor([0.0, 1, 0])[None, :, None, None]])
    assert torch.allclose(normals.flatten(), torch.tensor([0.5 ** 0.5, 0.5 ** 0.5, 0]))


def test_only_confident_and_only_unlabelled_pixels_count():
    wanted = torch.tensor([[0.9, 0.4, 0.0], [0.1, 0.6, 0.0]])[None, :, None]
    assert confident('semseg', wanted, 0.7).tolist() == [[[True, False, False]]]
    assert confident('semseg', wanted, 0.0).tolist() == [[[True, True, False]]]
    ids = torch.tensor([[[255, 255, 1, 1], [255, 255, 1, 1]]])
    assert unlabelled('semseg', ids, (1, 2)).tolist() == [[[True, False]]]
    depth = torch.tensor([[[torch.nan, 3.0]]])
    assert unlabelled('depth', depth, (1, 2)).tolist() == [[[True, False]]]


def test_soft_labels_are_cut_like_the_picture():
    """Every pixel's red tells its place, and so does its distribution."""
    size, classes = (32, 64), 2
    ramp = np.broadcast_to(np.linspace(0.02, 0.98, size[1]), size)
    image = np.stack([255 * ramp, 255 * ramp, 255 * ramp], 2).astype(np.uint8)
    likely = np.stack([ramp, 1 - ramp])[:, 2::4, 2::4]
    sample = Sample(image, soft=soft.encode(likely, np.ones(likely.shape[1:], bool)))
    settings = Driving(64, 100, (0, 0, 0), (255, 255, 255), classes=classes, two_views=True)
    for seed in range(12):
        out = driving(sample, size, ('semseg',), np.random.default_rng(seed), settings=settings)
        seen = F.avg_pool2d(out['weak'][:1], 4)[0]
        assert out['soft'].shape == (classes, 8, 16)
        assert float((out['soft'][0] - seen).abs().max()) < 0.08  # a cell is 0.06 wide
    with_label = driving(Sample(image, np.zeros(size, np.uint8)), size, ('semseg',),
                         np.random.default_rng(0), settings=settings)
    assert float(with_label['soft'].abs().max()) == 0


def test_a_student_learns_from_a_teacher_what_no_label_says(labelled, bare, teacher, tmp_path):
    options = {**STREET, 'teacher': (str(teacher),), 'least_confidence': 0.0,
               'distill': {'semseg': 1.0, 'depth': 1.0, 'normals': 1.0, 'edge': 1.0}}
    with pytest.raises(ConfigError, match='no dataset says what the classes'):
        train(runs.small_config(bare, tmp_path / 'nameless', **options))
    config = runs.small_config(bare, tmp_path / 'student', **options, iterations=24, seed=3,
                               classes=Teacher(teacher).config.classes)
    train(config)
    losses = runs.losses(config.out)
    for task in runs.TASKS:
        first, last = (np.mean([losses[step][f'{task}/teacher'] for step in steps])
                       for steps in (range(1, 5), range(21, 25)))
        # Of the boundaries' cross-entropy most is the teacher's own doubt.
        assert last < (0.98 if task == 'edge' else 0.8) * first, (task, first, last)
        assert losses[24][task] == 0  # there was no label to learn from


def test_depth_is_taught_in_the_students_focal_length(teacher):
    image = torch.rand(1, 3, 32, 64)
    one, two = Teacher(teacher), Teacher(teacher)
    near, far = one.opinions(image, one.config.focal), two.opinions(image, 2 * one.config.focal)
    assert torch.allclose(far['depth'].exp(), 2 * near['depth'].exp(), rtol=1e-4)


@pytest.mark.parametrize('options', [
    {'agreement': {'semseg': 1.0, 'depth': 0.5}, 'ema': 0.9},
    {'distill': {'semseg': 1.0}, 'teacher': True, 'precision': 'bf16', 'accumulate': 2}],
    ids=['agreement', 'teacher, bf16, accumulated'])
def test_a_killed_run_continues_to_the_same_weights(labelled, bare, teacher, tmp_path,
                                                     monkeypatch, options):
    options = {**STREET, 'iterations': 4, 'save_every': 2, 'least_confidence': 0.1, **options}
    if options.pop('teacher', False):
        options['teacher'] = (str(teacher),)
    data = [Source(root=str(labelled)), Source(root=str(bare))]
    whole = train(runs.small_config(labelled, tmp_path / 'whole', data=data, **options))
    real, done = trainer.Run._step, iter(range(99))

    def die(run, pieces):
        if next(done) == 3:
            raise KeyboardInterrupt
        return real(run, pieces)

    monkeypatch.setattr(trainer.Run, '_step', die)
    with pytest.raises(KeyboardInterrupt):
        train(runs.small_config(labelled, tmp_path / 'cut', data=data, **options))
    monkeypatch.undo()
    again = train(runs.small_config(labelled, tmp_path / 'cut', data=data, **options))
    a, b = load_file(whole), load_file(again)
    assert all(torch.equal(a[name], b[name]) for name in a)
    extra = next(iter(name for name in runs.losses(tmp_path / 'whole')[4] if '/' in name))
    assert extra in ('semseg/agreement', 'semseg/teacher')


def test_soft_labels_are_read_only_where_they_are_wanted(labelled, tmp_path):
    root = Path(shutil.copytree(labelled, tmp_path / 'soft'))
    likely = np.full((5, 16, 24), 0.2)
    for path in (root / 'images').iterdir():
        archives.write_grey(root / 'semseg_soft' / f'{path.stem}.png',
                            soft.encode(likely, np.ones((16, 24), bool)))
    for options, wanted in (({}, False), ({'distill': {'semseg': 1.0}}, True)):
        config = runs.small_config(root, tmp_path / 'out', **STREET, **options)
        items = loading.TrainingItems(loading.open_sources(config.data, config, runs.TASKS),
                                      config, tuple(runs.TASKS), 4)
        assert ('soft' in items[0]) == wanted
    assert torch.allclose(items[0]['soft'], torch.tensor(0.2))
    assert check_dataset(root, 'folder')[0] == []
    wrong = root / 'semseg_soft' / f'{items.mixture.datasets[0].names[0]}.png'
    archives.write_grey(wrong, np.ones((16 * 5 + 1, 24), np.uint8))
    (path, reason), = check_dataset(root, 'folder')[0]
    assert path == wrong and reason.startswith('soft labels are (81, 24)')
    with pytest.raises(ValueError, match=f'{wrong.name}: soft labels'):
        items.mixture.datasets[0][0]
    mapped = runs.small_config(root, tmp_path / 'out', **STREET, distill={'semseg': 1.0},
                               data=[{'root': str(root), 'label_maps': {'semseg': {0: 1}}}])
    with pytest.raises(ConfigError, match='no label_maps'):
        loading.open_sources(mapped.data, mapped, runs.TASKS)


def test_what_cannot_be_taught_is_refused(labelled, teacher, tmp_path):
    for options, match in (
            ({'distill': {'sal': 1.0}}, r"distill: the network has no task \['sal'\]"),
            ({'agreement': {'semseg': 1.0}}, 'running average'),
            ({'teacher': (str(teacher),)}, 'teacher without distill'),
            ({'distill': {'depth': 1.0}}, r"distill of \['depth'\] without teacher"),
            ({'distill': {'semseg': 1.0}}, 'want soft labels'),
            ({'teacher': (str(tmp_path),), 'distill': {'depth': 1.0}}, 'no .*config.yaml'),
            ({'teacher': (str(teacher),), 'distill': {'semseg': 1.0}, 'tasks': {
                'semseg': 4, 'depth': 1, 'normals': 3, 'edge': 1}}, 'classes|cannot teach')):
        with pytest.raises(ConfigError, match=match):
            train(runs.small_config(labelled, tmp_path / 'run', **STREET | options))
    turned = shutil.copytree(labelled, tmp_path / 'turned')
    (turned / 'dataset.yaml').write_text('classes: [e, d, c, b, a]\nfocal: 80\n')
    with pytest.raises(ConfigError, match='in one order'):
        train(runs.small_config(turned, tmp_path / 'run', **STREET, teacher=(str(teacher),),
                                distill={'semseg': 1.0}))
    shutil.copytree(teacher, tmp_path / 'bad')
    path = tmp_path / 'bad' / 'weights.safetensors'
    state = load_file(path)
    state['backbone.stem.0.weight'][0] = torch.nan
    save_file(state, path)
    with pytest.raises(TrainingError, match='no numbers'):
        Teacher(tmp_path / 'bad')
