"""Short runs on made-up pictures: they learn, continue exactly, and say what is wrong."""

import json
from pathlib import Path
import shutil

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')
pytest.importorskip('lightning_fabric', reason='training needs Lightning Fabric')

import archives
import runs
from safetensors.torch import load_file

from demt_perception.training import building, trainer
from demt_perception.training.checkpoints import write_weights
from demt_perception.training.config import ConfigError
from demt_perception.training.failures import TrainingError
from demt_perception.training.logbook import read_log
from demt_perception.training.trainer import train
from demt_perception.training.validation import gain


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return archives.write_folder(tmp_path_factory.mktemp('data'), count=6, size=(48, 64))


def same(a, b):
    a, b = load_file(a), load_file(b)
    assert set(a) == set(b)
    return [name for name in a if not torch.equal(a[name], b[name])]


def cut_short(monkeypatch, config, step):
    """Run until the given number of steps is done, then die without saving."""
    real, done = trainer.Run._step, iter(range(10 ** 6))

    def die(run, pieces):
        if next(done) == step:
            raise KeyboardInterrupt
        return real(run, pieces)

    monkeypatch.setattr(trainer.Run, '_step', die)
    with pytest.raises(KeyboardInterrupt):
        train(config)
    monkeypatch.undo()


@pytest.mark.parametrize('options', [
    {}, {'ema': 0.9, 'optimizer': 'adamw', 'lr': 1e-3, 'precision': 'bf16', 'workers': 1},
    {'weighting': 'uncertainty', 'accumulate': 2, 'clip': 1.0},
    {'weighting': 'gradnorm'}, {'weighting': 'dwa', 'epochs': 2, 'iterations': 0,
                                'schedule': 'poly_epoch', 'optimizer': 'adam', 'lr': 1e-3}],
    ids=['sgd', 'adamw, average, bf16, worker', 'uncertainty, accumulated', 'gradnorm', 'dwa'])
def test_a_killed_run_continues_to_the_same_weights(root, tmp_path, monkeypatch, options):
    options = {'validation': [{'root': str(root)}], 'validate_every': 4, **options}
    whole = train(runs.small_config(root, tmp_path / 'whole', **options))
    cut_short(monkeypatch, runs.small_config(root, tmp_path / 'cut', **options), 5)
    assert not (tmp_path / 'cut' / 'weights.safetensors').exists()
    continued = train(runs.small_config(root, tmp_path / 'cut', **options))
    assert same(whole, continued) == []
    assert runs.losses(tmp_path / 'whole') == runs.losses(tmp_path / 'cut')
    lines = [[line for line in read_log(tmp_path / name) if line['kind'] == 'validation']
             for name in ('whole', 'cut')]
    assert lines[0] == lines[1] and len(lines[0]) == 2


def test_it_learns_and_keeps_the_best(root, tmp_path):
    config = runs.small_config(root, tmp_path / 'r', iterations=90, lr=3e-3, optimizer='adamw',
                               panels=2, loss_weights={'edge': 5.0, 'normals': 1.0},
                               validation=[{'root': str(root)}], validate_every=30)
    train(config)
    losses = runs.losses(tmp_path / 'r')
    for task in runs.TASKS:
        first, last = (np.mean([losses[s][task] for s in steps])
                       for steps in (range(1, 11), range(81, 91)))
        assert last < 0.8 * first, task
    best = json.loads((tmp_path / 'r' / 'best.json').read_text())
    assert best['main']['semseg'] > 0.3 and set(best['main']) == set(runs.TASKS)
    assert (tmp_path / 'r' / 'panels' / '1.png').exists()
    assert list((tmp_path / 'r' / 'tensorboard').iterdir())
    assert train(config).exists(), 'a finished run is left as it is'


def test_best_is_the_greatest_gain_over_the_single_tasks(root, tmp_path):
    single = tmp_path / 'single.json'
    single.write_text(json.dumps({'semseg': 0.2, 'depth': 2.0, 'normals': 40.0, 'edge': 0.5}))
    config = runs.small_config(root, tmp_path / 'r', single_task=str(single), validate_every=2,
                               validation=[{'root': str(root)}])
    train(config)
    lines = [line for line in read_log(tmp_path / 'r') if line['kind'] == 'validation']
    best = json.loads((tmp_path / 'r' / 'best.json').read_text())
    assert best['delta_m'] == max(line['delta_m'] for line in lines)
    main = best['main']
    expected = ((main['semseg'] - 0.2) / 0.2 - (main['depth'] - 2) / 2
                - (main['normals'] - 40) / 40 + (main['edge'] - 0.5) / 0.5) / 4
    assert best['delta_m'] == pytest.approx(expected)


def test_single_task_figures_may_come_to_a_run_under_way(root, tmp_path, monkeypatch):
    options = {'validation': [{'root': str(root)}], 'validate_every': 2}
    cut_short(monkeypatch, runs.small_config(root, tmp_path / 'r', **options), 3)
    first = json.loads((tmp_path / 'r' / 'best.json').read_text())
    single = tmp_path / 'single.json'
    single.write_text(json.dumps({'semseg': 0.2, 'depth': 2.0, 'normals': 40.0, 'edge': 0.5}))
    train(runs.small_config(root, tmp_path / 'r', single_task=str(single), **options))
    lines = [line for line in read_log(tmp_path / 'r') if line['kind'] == 'validation']
    best = json.loads((tmp_path / 'r' / 'best.json').read_text())
    of_first = gain(first['main'], json.loads(single.read_text()))
    assert 'delta_m' not in lines[0] and all('delta_m' in line for line in lines[1:])
    assert gain(best['main'], json.loads(single.read_text())) == max(
        of_first, *(line['delta_m'] for line in lines[1:]))


def test_accumulated_pieces_are_one_batch(root, tmp_path):
    """Without BatchNorm's statistics a batch in pieces is the same step."""
    options = {'freeze_norms': ('',), 'lr': 1e-6, 'iterations': 3}
    whole = train(runs.small_config(root, tmp_path / 'a', **options))
    pieces = train(runs.small_config(root, tmp_path / 'b', accumulate=4, **options))
    a, b = load_file(whole), load_file(pieces)
    start = trainer.build(runs.small_config(root, tmp_path)).state_dict()
    moved = max(float((a[name] - start[name]).abs().max()) for name in a)
    assert max(float((a[name] - b[name]).abs().max()) for name in a) < 0.02 * moved


def test_frozen_parts_stay(root, tmp_path):
    options = {'freeze': ('backbone.conv1',), 'freeze_norms': ('backbone',), 'iterations': 2}
    after = load_file(train(runs.small_config(root, tmp_path / 'r', **options)))
    before = trainer.build(runs.small_config(root, tmp_path / 'r')).state_dict()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert not any(name.startswith('backbone.conv1.') for name in changed)
    assert not any('backbone' in name and 'running' in name for name in changed)
    assert any(name.startswith('backbone.') for name in changed)
    assert any('running_mean' in name for name in changed), 'those of the head go on'


def test_only_the_uncertainty_of_a_finished_network_learns(root, tmp_path):
    driving = {'model': 'demt_light', 'losses': 'driving', 'protocol': 'driving', 'iterations': 2}
    small = {'dim': 16, 'hidden': 8}
    finished = train(runs.small_config(root, tmp_path / 'a', **driving, model_options=small))
    before = load_file(finished)
    after = load_file(train(runs.small_config(
        root, tmp_path / 'b', **driving, model_options={**small, 'uncertainty': True}, ema=0.5,
        start_from=str(finished), learn=('head.uncertainty',))))
    assert all(torch.equal(after[name], value) for name, value in before.items())
    added = {name for name in after if name not in before}
    assert added and all(name.startswith('head.uncertainty.depth.') for name in added)
    assert all(bool(after[name].any()) for name in added), 'the last layer began at zero'


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_batch(root, tmp_path):
    config = runs.small_config(root, tmp_path / 'r', lr=1e30)
    with pytest.raises(TrainingError, match=r'iteration [1-5].*bad_batch.safetensors'):
        train(config)
    batch = load_file(tmp_path / 'r' / 'bad_batch.safetensors')
    assert batch['image'].shape == (4, 3, 32, 64) and 'depth' in batch


def test_lack_of_memory_is_explained(root, tmp_path):
    config = runs.small_config(root, tmp_path, batch=4096, size=(8192, 8192))
    text = r'out of memory with batch 4096 of 8192x8192.*accumulate=2'
    with pytest.raises(TrainingError, match=text), trainer.explained_memory(config):
        torch.empty(2 ** 60)
    with pytest.raises(RuntimeError, match=r'^other$'), trainer.explained_memory(config):
        raise RuntimeError('other')


@pytest.mark.parametrize(('options', 'text'), [
    ({'data': [{'root': 'lacking'}]}, "no picture of lacking has a label for 'normals'"),
    ({'tasks': {**runs.TASKS, 'semseg': 9}}, 'has 5 classes, the network 9'),
    ({'data': [{'root': '/nowhere'}]}, '/nowhere is not a folder'),
    ({'data': [{}]}, 'give root=DIR'),
    ({'data': [{'layout': 'nyu', 'root': '.'}]}, "layout 'nyu' is unknown"),
    ({'model': 'demtt'}, "'demtt' is unknown"),
    ({'model_options': {'dmi': 3}}, 'dmi'),
    ({'freeze': ('backbone.stem',)}, "no part 'backbone.stem'"),
    ({'learn': ('head.doubt',)}, "learn: the network has no part 'head.doubt'"),
    ({'batch': 3, 'accumulate': 2}, 'want a multiple of 2'),
    ({'loss_weights': {'sal': 1.0}}, "no task .'sal'."),
    ({'loss_options': {'depth': 'border_cross_entropy'}}, 'loss_options.depth'),
    ({'consistency': 1.0}, 'protocol driving'),
    ({'standing': 1.0, 'losses': 'driving', 'protocol': 'driving'}, 'ground and stands'),
    ({'class_shares': (0.5, 0.5)}, '2 numbers, the network 5'),
    ({'weighting': 'dwa', 'loss_weights': {'depth': 2.0}}, 'leave out loss_weights'),
    ({'precision': 'fp16'}, 'precision=bf16'),
    ({'single_task': '/nowhere.json'}, 'want JSON'),
])
def test_what_does_not_fit_is_said_before_training(root, tmp_path, monkeypatch, options, text):
    monkeypatch.chdir(tmp_path)
    archives.write_folder(tmp_path / 'lacking')
    shutil.rmtree(tmp_path / 'lacking' / 'normals')
    with pytest.raises((ConfigError, FileNotFoundError), match=text):
        train(runs.small_config(root, tmp_path / 'r', **options))


def test_classes_in_another_order_are_not_mixed(root, tmp_path):
    other = shutil.copytree(root, tmp_path / 'other')
    (other / 'dataset.yaml').write_text('classes: [ground, sky, wall, thing, person]\n')
    data = [{'root': str(root)}, {'root': str(other)}]
    options = {'iterations': 1, 'validation': data[1:]}
    with pytest.raises(ConfigError, match=r'other has the classes ground, sky.*run sky, ground'):
        train(runs.small_config(root, tmp_path / 'r', data=data, iterations=1))
    with pytest.raises(ConfigError, match=r'other has the classes'):
        train(runs.small_config(root, tmp_path / 'r', **options))
    data[1]['label_maps'] = {'semseg': {0: 1, 1: 0, 2: 2, 3: 3, 4: 4}}
    train(runs.small_config(root, tmp_path / 'r', data=data, iterations=1))


def test_depth_without_a_focal_length_is_not_left_out_silently(tmp_path):
    root = archives.write_folder(tmp_path / 'data')
    shutil.rmtree(root / 'cameras')
    (root / 'dataset.yaml').write_text('classes: [sky, ground, wall, thing, person]\n')
    options = {'losses': 'driving', 'protocol': 'driving', 'iterations': 1}
    with pytest.raises(ConfigError, match=r'depth has a focal length.*dataset.yaml'):
        train(runs.small_config(root, tmp_path / 'r', **options))
    train(runs.small_config(root, tmp_path / 'r', tasks={'semseg': 5}, **options))


def test_a_folder_with_another_run_is_not_continued(root, tmp_path):
    train(runs.small_config(root, tmp_path / 'r', iterations=2))
    with pytest.raises(ConfigError, match=r'other settings: lr 0.01, now 0.02'):
        train(runs.small_config(root, tmp_path / 'r', iterations=2, lr=0.02))
    train(runs.small_config(root, tmp_path / 'r', iterations=2, workers=1))


def test_a_run_that_continues_on_other_pictures_says_so(root, tmp_path, monkeypatch, capsys):
    data = shutil.copytree(root, tmp_path / 'data')
    cut_short(monkeypatch, runs.small_config(data, tmp_path / 'r'), 5)
    capsys.readouterr()
    min((data / 'images').iterdir()).unlink()
    train(runs.small_config(data, tmp_path / 'r'))
    assert 'the datasets hold other pictures than before' in capsys.readouterr().out
    assert 'other pictures' not in runs.finish(runs.start(
        runs.small_config(root, tmp_path / 'whole')))


@pytest.mark.parametrize('options', [
    {'losses': 'driving', 'protocol': 'driving', 'consistency': 0.5, 'class_shares': (0.2,) * 5,
     'standing': 0.5, 'ground': (1,), 'stands': (2, 3)},
    {'loss_options': {'semseg': 'border_cross_entropy', 'depth': 'scale_invariant_log'}},
    {'protocol': 'demt', 'losses': 'demt_nyud', 'model': 'mti_net', 'tasks': {'semseg': 5},
     'model_options': {'auxiliary': {'semseg': 5, 'depth': 1}}},
    {'compile': False, 'channels_last': True, 'model': 'pad_net', 'protocol': 'mtl_pascal',
     'tasks': {'semseg': 5, 'edge': 1}}],
    ids=['driving, consistency', 'other losses', 'auxiliary', 'channels last'])
def test_other_ways_to_train(root, tmp_path, options):
    config = runs.small_config(root, tmp_path / 'r', iterations=2,
                               validation=[{'root': str(root)}], **options)
    train(config)
    losses = runs.losses(tmp_path / 'r')[2]
    assert all(np.isfinite(value) for value in losses.values())
    if config.consistency:
        assert losses['consistency'] > 0
        assert losses['standing'] == 0, 'all depth is labelled'
    if config.model == 'mti_net':
        assert 'depth/scale_0' in losses and 'depth' not in losses


def test_partial_labels_train(tmp_path):
    """Pictures that lack labels teach only what they have."""
    root = archives.write_folder(tmp_path / 'data', count=6, size=(48, 64))
    for task in ('depth', 'normals'):
        for file in sorted(Path(root, task).iterdir())[:4]:
            file.unlink()
    with open(Path(root, 'dataset.yaml'), 'a') as file:
        file.write('\npartial: [depth, normals]\n')
    train(runs.small_config(root, tmp_path / 'r', batch=1, iterations=12))
    losses = runs.losses(tmp_path / 'r')
    without = [step for step in losses if losses[step]['depth'] == 0]
    assert 4 <= len(without) <= 10, 'two thirds of the pictures have no depth'
    assert all(losses[step]['semseg'] > 0 for step in losses)


@pytest.fixture
def driving_options(root):
    return {'protocol': 'driving', 'losses': 'driving', 'tasks': {'semseg': 5, 'edge': 1},
            'data': [{'root': str(root)}], 'size': (64, 96)}


def test_the_sizes_of_a_run_change_by_step_and_not_by_who_loads(root, tmp_path, driving_options):
    config = runs.small_config(root, tmp_path / 'run', **driving_options,
                               more_sizes=((96, 64), (64, 160)), iterations=20, batch=2)
    items = trainer.Run(config).items
    shapes = [tuple(items[i]['image'].shape[-2:]) for i in range(40)]
    assert shapes[::2] == shapes[1::2], 'the pictures of one step have one size'
    assert set(shapes) == {(64, 96), (96, 64), (64, 160)}
    assert shapes[::-1] == [tuple(items[i]['image'].shape[-2:]) for i in reversed(range(40))]


def test_pictures_are_measured_at_the_size_of_their_shape(root, tmp_path, driving_options):
    config = runs.small_config(root, tmp_path / 'run', **driving_options,
                               more_sizes=((96, 128), (64, 160)),
                               validation=[{'root': str(root)}])
    assert trainer.Run(config).held_out[0][0]['image'].shape[-2:] == (96, 128)   # 3:4, as 48x64


def test_a_run_starts_from_the_weights_of_another(root, tmp_path):
    first = train(runs.small_config(root, tmp_path / 'first'))
    config = runs.small_config(root, tmp_path / 'second', start_from=str(first), seed=5)
    network = trainer.Run(config).network
    assert all(torch.equal(value, load_file(first)[name])
               for name, value in network.state_dict().items())
    fewer = {**runs.TASKS, 'semseg': 3}
    with pytest.raises(TrainingError, match='of another network'):
        train(runs.small_config(root, tmp_path / 'third', start_from=str(first), tasks=fewer))


def test_what_weights_lack_begins_anew(root, tmp_path):
    options = {'model': 'demt_light', 'backbone': 'efficientnet_lite0', 'losses': 'driving',
               'tasks': {'semseg': 5, 'depth': 1}}
    given = building.build(runs.small_config(root, tmp_path, **options))
    write_weights(tmp_path / 'w.safetensors', given.state_dict())
    config = runs.small_config(root, tmp_path, **options, seed=1,
                               model_options={'uncertainty': True},
                               start_from=str(tmp_path / 'w.safetensors'))
    network = building.build(config)
    new = building.start_from(config, network)
    assert new and all(name.startswith('head.uncertainty.') for name in new)
    filled = network.state_dict()
    assert all(torch.equal(value, filled[name]) for name, value in given.state_dict().items())
