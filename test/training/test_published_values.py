"""The published configurations hold the published values, by a table of their own.

Source: the configurations of DeMT, DeMTG and Multi-Task-Learning-PyTorch, and what their code
fixes (spec 1.8, 1.9, 2).
"""

from pathlib import Path

import pytest

pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')

from demt_perception.training.config import load_config

FOLDER = Path(__file__).parents[2] / 'config' / 'training'
WEIGHTS = {'semseg': 1, 'human_parts': 2, 'sal': 5, 'normals': 10, 'depth': 1, 'edge': 50}
N4, N2 = 'semseg depth normals edge', 'semseg depth'
P5, P3 = 'semseg human_parts sal normals edge', 'semseg human_parts sal'

# optimizer, rate, decay, momentum, schedule, iterations, epochs, batch
RECIPES = {
    'demt': ('sgd', 1e-3, 5e-4, 0.9, 'poly', 40_000, 0, 8),
    'atrc 0.01': ('sgd', 1e-2, 5e-4, 0.9, 'poly', 40_000, 0, 8),
    'atrc 0.005': ('sgd', 5e-3, 5e-4, 0.9, 'poly', 40_000, 0, 8),
    'adam 100': ('adam', 1e-4, 1e-4, None, 'poly_epoch', 0, 100, 8),
    'adam 80': ('adam', 1e-4, 1e-4, None, 'poly_epoch', 0, 80, 8),
    'adam 100 of 6': ('adam', 1e-4, 1e-4, None, 'poly_epoch', 0, 100, 6),
    'adam 60 of 12': ('adam', 1e-4, 1e-4, None, 'poly_epoch', 0, 60, 12),
    'sgd 60': ('sgd', 1e-2, 1e-4, 0.9, 'poly_epoch', 0, 60, 8)}

# protocol, size, table of losses, layout
PLACES = {
    ('nyud', True): ('demt', (425, 560), 'demt_nyud', 'nyud'),
    ('nyud', False): ('mtl_nyud', (480, 640), 'mtl', 'nyud'),
    ('pascal_context', True): ('demt', (512, 512), 'demt_pascal', 'pascal'),
    ('pascal_context', False): ('mtl_pascal', (512, 512), 'mtl', 'pascal')}

# file: recipe, network, options, tasks of the loss, tasks of the network where they differ
TABLE = {
    **{f'nyud/demt_swin_{size}': ('demt', 'demt', {}, N4) for size in 'tsbl'},
    **{f'pascal_context/demt_swin_{size}': ('demt', 'demt', {}, P5) for size in 'tsb'},
    'nyud/demt_depth2_swin_t': ('demt', 'demt', {'depth': 2}, N4),
    'nyud/demt_hrnet18': ('demt', 'demt', {'dim': 128}, N4),
    'nyud/demt_hrnet18_dim256': ('demt', 'demt', {'dim': 256}, N4),
    'pascal_context/demt_hrnet18': ('demt', 'demt', {'dim': 128}, P5),
    'pascal_context/demt_hrnet18_dim256': ('demt', 'demt', {'dim': 256}, P5),
    **{f'nyud/demtg_swin_{size}': ('demt', 'demtg', {}, N4) for size in 'tsbl'},
    **{f'pascal_context/demtg_swin_{size}': ('demt', 'demtg', {}, P5) for size in 'tsbl'},
    **{f'nyud/multi_task_fcn_{backbone}': ('atrc 0.01', 'multi_task', {'style': 'fcn'}, N4)
       for backbone in ('hrnet18', 'hrnet48')},
    'pascal_context/multi_task_fcn_hrnet18': ('atrc 0.005', 'multi_task', {'style': 'fcn'}, P5),
    **{f'nyud/single_{task}_fcn_hrnet18': ('atrc 0.01', 'single_task', {'style': 'fcn'}, task)
       for task in N4.split()},
    **{f'pascal_context/single_{task}_fcn_hrnet18': (
        'atrc 0.005', 'single_task', {'style': 'fcn'}, task) for task in P5.split()},
    **{f'nyud/{name}_hrnet18': ('adam 100', name, {}, N2) for name in ('mti_net', 'pad_net')},
    **{f'nyud/{name}_aux_hrnet18': (
        'adam 100', name, {'auxiliary': {'semseg': 40, 'depth': 1, 'normals': 3, 'edge': 1}}, N4,
        N2) for name in ('mti_net', 'pad_net')},
    **{f'pascal_context/{name}_hrnet18': ('adam 100', name, {}, P5)
       for name in ('mti_net', 'pad_net')},
    **{f'pascal_context/{name}_small_hrnet18': ('adam 80', name, {}, P3)
       for name in ('mti_net', 'pad_net')},
    'nyud/multi_task_hrnet18': ('adam 100', 'multi_task', {'style': 'hrnet'}, N2),
    'nyud/multi_task_resnet50': ('adam 100', 'multi_task', {'style': 'aspp'}, N2),
    'pascal_context/multi_task_hrnet18': ('adam 100', 'multi_task', {'style': 'hrnet'}, P5),
    'pascal_context/multi_task_small_hrnet18': ('adam 80', 'multi_task', {'style': 'hrnet'}, P3),
    'pascal_context/multi_task_resnet18': ('adam 100 of 6', 'multi_task', {'style': 'aspp'}, P5),
    **{f'nyud/single_{task}_{backbone}': ('adam 100', 'single_task', {'style': style}, task)
       for task in N2.split() for backbone, style in (('hrnet18', 'hrnet'), ('resnet50', 'aspp'))},
    **{f'pascal_context/single_{task}_{backbone}': (recipe, 'single_task', {'style': style}, task)
       for task in P5.split() for recipe, backbone, style in (
           ('sgd 60', 'hrnet18', 'hrnet'), ('adam 60 of 12', 'resnet18', 'aspp'))}}


def test_every_published_file_is_in_the_table():
    files = {str(path.relative_to(FOLDER).with_suffix('')) for path in FOLDER.rglob('*.yaml')
             if path.parent.name in ('nyud', 'pascal_context')}
    assert files == set(TABLE) and len(files) == 59


@pytest.mark.parametrize('name', sorted(TABLE))
def test_values(name):
    recipe, model, options, losses, *tasks = TABLE[name]
    config = load_config(FOLDER / f'{name}.yaml')
    dataset, _, file = name.partition('/')
    atrc = recipe.startswith(('demt', 'atrc'))
    assert (config.protocol, config.size, config.losses, config.data[0].layout) == PLACES[
        dataset, atrc]
    optimizer, lr, decay, momentum, schedule, iterations, epochs, batch = RECIPES[recipe]
    assert (config.optimizer, config.lr, config.weight_decay) == (optimizer, lr, decay)
    assert (config.schedule, config.iterations, config.epochs, config.batch) == (
        schedule, iterations, epochs, batch)
    assert momentum in (None, config.momentum)
    assert (config.model, config.model_options) == (model, options)
    assert config.backbone in file
    named = losses.split()
    # Multi-Task-Learning-PyTorch trains single tasks unweighted, ATRC and DeMT do not.
    assert config.loss_weights == ({named[0]: 1} if len(named) == 1 and not atrc else
                                   {task: WEIGHTS[task] for task in named})
    channels = {'semseg': 40 if dataset == 'nyud' else 21, 'human_parts': 7, 'sal': 2 if atrc
                else 1, 'normals': 3, 'depth': 1, 'edge': 1}
    main = tasks[0] if tasks else losses
    assert config.tasks in (dataset, {task: channels[task] for task in main.split()})
    # Alone, without classes to load, the released loader drops pictures without people.
    people = losses == 'human_parts' and not atrc
    assert [(source.split, source.people) for source in config.data + config.validation] == [
        ('train', people), ('val', people)]


@pytest.mark.parametrize('name', sorted(TABLE))
def test_nothing_unpublished_is_switched_on(name):
    config = load_config(FOLDER / f'{name}.yaml')
    assert (config.backbone_lr, config.warmup, config.clip, config.ema, config.precision) == (
        0, 0, 0, 0, 'fp32')
    assert (config.weighting, config.loss_options, config.consistency, config.seed) == (
        'fixed', {}, 0, 0)
    assert config.freeze == config.freeze_norms == () and config.validate_every == 0
    assert config.root == config.pretrained == '', 'the user knows where they are'
    text = (FOLDER / f'{name}.yaml').read_text()
    assert text.startswith('# ') and 'ublished' in text.partition('\nmodel')[0]
    assert f'demt train config/training/{name}.yaml root=DIR pretrained=FILE' in text
