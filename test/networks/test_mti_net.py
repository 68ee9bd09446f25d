"""MTI-Net gives the numbers of the released code, has its names, and takes any size."""


import pytest
from shared_data import SHARED
import torch
from torch.utils.flop_counter import FlopCounterMode

from demt_perception.networks.backbones.hrnet import HRNet
from demt_perception.networks.distillation import MultiModalDistillation
from demt_perception.networks.feature_propagation import FeaturePropagation
from demt_perception.networks.initial_prediction import ScalePrediction
from demt_perception.networks.model import MultiTaskModel
from demt_perception.networks.mti_net import MTINetHead

PLANES = (18, 36, 72, 144)
TWO = {'semseg': 40, 'depth': 1}
FOUR = {'semseg': 40, 'normals': 3, 'edge': 1, 'depth': 1}
FIVE = {'semseg': 21, 'human_parts': 7, 'sal': 1, 'normals': 3, 'edge': 1}
KEYS = SHARED / 'reference' / 'keys'


def assert_close(seen, wanted, relative=1e-5):
    error = (seen - wanted).abs().max() / wanted.abs().max()
    assert seen.shape == wanted.shape and error <= relative, f'relative error {float(error):.2e}'


def inside(case, prefix):
    return {k.removeprefix(prefix): v for k, v in case.items() if k.startswith(prefix)}


def load(module, case, prefix):
    """Load the numbers; the share for users leaves the counters of batches out."""
    result = module.load_state_dict(inside(case, prefix), strict=False)
    assert not result.unexpected_keys
    assert all(k.endswith('num_batches_tracked') for k in result.missing_keys)
    return module.eval()


def captured(head, maps):
    """Return the outputs of all direct children, by name, and the head's own."""
    seen = {}
    hooks = [m.register_forward_hook(lambda _, __, out, name=name: seen.__setitem__(name, out))
             for name, m in head.named_children()]
    with torch.no_grad():
        out = head(maps, auxiliary=True)
    for hook in hooks:
        hook.remove()
    return seen, out


def maps_of(planes, height, width, batch=1):
    return [torch.randn(batch, c, -(-height // s), -(-width // s))
            for c, s in zip(planes, (4, 8, 16, 32), strict=True)]


@pytest.mark.parametrize(('file', 'name', 'channels'), [
    ('mti_modules_share', 'fpm0', 18), ('mti_modules', 'fpm0', 18), ('mti_modules', 'fpm1', 18),
    ('mti_modules', 'fpm2', 36)])
def test_feature_propagation(golden, file, name, channels):
    case = golden(file)
    features = inside(case, f'{name}.features_')
    tasks = [t for t in ('semseg', 'human_parts', 'sal', 'normals', 'edge', 'depth')
             if t in features]
    module = load(FeaturePropagation(tasks, channels), case, f'{name}.sd.')
    with torch.no_grad():
        out = module(features)
    assert list(out) == tasks
    for task, value in out.items():
        assert_close(value, case[f'{name}.out.{task}'])


def test_initial_prediction(golden):
    case = golden('mti_modules')
    module = load(ScalePrediction(FOUR, 18, 36), case, 'itp.sd.')
    with torch.no_grad():
        features = module(case['itp.x'], inside(case, 'itp.prev.'))
        predictions = module.predict(features)
    assert list(features) == list(predictions) == list(FOUR)
    for task in FOUR:
        assert_close(features[task], case[f'itp.out.features_{task}'])
        assert_close(predictions[task], case[f'itp.out.{task}'])


@pytest.mark.parametrize('file', ['mti_modules_share', 'mti_modules'])
def test_distillation(golden, file):
    case = golden(file)
    module = load(MultiModalDistillation(TWO, FOUR, 18), case, 'distil.sd.')
    with torch.no_grad():
        out = module(inside(case, 'distil.features_'))
    assert list(out) == ['semseg', 'depth']
    for task, value in out.items():
        assert_close(value, case[f'distil.out.{task}'])


def test_head_on_the_official_feature_maps(golden):
    case = golden('mti_mini_nyud2_aux4')
    state = {k: v for k, v in inside(case, 'sd.').items() if not k.startswith('backbone.')}
    head = MTINetHead((8, 16, 32, 64), TWO, auxiliary=FOUR)
    head.load_state_dict(state)
    seen, out = captured(head.eval(), [case[f'feat{i}'] for i in range(4)])
    for key, wanted in case.items():
        if key.startswith('sub.'):
            _, module, _, task = key.split('.')
            assert_close(seen[module][task], wanted)
        elif key.startswith('out.deep_supervision.'):
            _, _, scale, name = key.split('.')
            assert_close(out['deep_supervision'][scale][name], wanted)
        elif key.startswith('out.'):
            assert_close(out[key[4:]], wanted)
    outputs = {f'{scale}.{name}' for scale, values in out['deep_supervision'].items()
               for name in values}
    assert outputs == set(inside(case, 'out.deep_supervision.'))
    assert list(out) == ['semseg', 'depth', 'deep_supervision']


def test_whole_network(golden):
    case = golden('mti_mini_nyud2_aux4')
    model = MultiTaskModel(HRNet(8, (1, 1, 1)), MTINetHead((8, 16, 32, 64), TWO, auxiliary=FOUR))
    state = {k if k.startswith('backbone.') else f'head.{k}': v
             for k, v in inside(case, 'sd.').items()}
    model.load_state_dict(state)
    with torch.no_grad():
        out = model.eval()(case['x'])
    assert list(out) == list(TWO)
    for task, value in out.items():
        assert_close(value, case[f'out.{task}'], 1e-4)


@pytest.mark.parametrize(('name', 'tasks', 'auxiliary', 'parameters'), [
    ('nyud', TWO, None, 8_578_179), ('nyud_aux4', TWO, FOUR, 14_838_121),
    ('pascal', FIVE, None, 24_494_171)])
def test_official_names(name, tasks, auxiliary, parameters):
    model = MultiTaskModel(HRNet(), MTINetHead(PLANES, tasks, auxiliary=auxiliary))
    assert sum(p.numel() for p in model.parameters()) == parameters
    path = KEYS / f'mti_net_hrnet18_{name}_keys.txt'
    if not path.exists():
        pytest.skip(f'{path.name} is not at hand')
    lines = [line.split('\t') for line in path.read_text().splitlines() if line[0] != '#']
    assert {k.removeprefix('head.'): str(list(v.shape)) for k, v in model.state_dict().items()
            } == dict(lines)


@pytest.mark.parametrize(('tasks', 'auxiliary', 'size', 'gmac'), [
    (TWO, None, (480, 640), 17.14), (TWO, FOUR, (448, 576), 19.22),
    (FOUR, None, (448, 576), 23.84), (FIVE, None, (512, 512), 30.31)])
def test_published_operations(tasks, auxiliary, size, gmac):
    with torch.device('meta'):
        model = MultiTaskModel(HRNet(), MTINetHead(PLANES, tasks, auxiliary=auxiliary)).eval()
        image = torch.empty(1, 3, *size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(image, auxiliary=True)
    assert round(counter.get_total_flops() / 2e9, 2) == gmac


@pytest.mark.parametrize('softmax', ['channel_view', 'task'])
def test_which_channels_compete(softmax):
    n, c = 3, 5
    module = FeaturePropagation('abc', c, softmax)
    scores = torch.randn(2, n * c, 4, 6)
    wanted = torch.empty_like(scores)
    for channel in range(c):
        for task in range(n):
            if softmax == 'task':  # the same channel of every task
                rivals = [other * c + channel for other in range(n)]
                index = task * c + channel
            else:  # the n neighbours in the concatenation
                rivals = [channel * n + other for other in range(n)]
                index = channel * n + task
            total = sum(scores[:, r].exp() for r in rivals)
            wanted[:, index] = scores[:, index].exp() / total
    assert_close(module.attention(scores), wanted)


def test_softmax_is_chosen_at_all_scales(randomised):
    options = {}
    maps = maps_of((8, 16, 32, 64), 64, 96)
    for softmax in ('channel_view', 'task'):
        torch.manual_seed(1)
        head = randomised(MTINetHead((8, 16, 32, 64), TWO, fpm_softmax=softmax))
        assert {head.get_submodule(f'fpm_scale_{s}').softmax for s in (1, 2, 3)} == {softmax}
        with torch.no_grad():
            options[softmax] = head(maps)['depth']
    assert not torch.allclose(options['channel_view'], options['task'])


@pytest.mark.parametrize('planes', [PLANES, (6, 9, 20, 33), (24, 40, 112, 320)])
def test_any_backbone_and_size(randomised, planes):
    head = randomised(MTINetHead(planes, FIVE))
    for height, width in ((70, 101), (33, 64)):
        maps = maps_of(planes, height, width, 2)
        with torch.no_grad():
            out = head(maps, (height, width), auxiliary=True)
            alone = head([m[1:] for m in maps], (height, width))
        scales = out.pop('deep_supervision')
        assert {t: tuple(v.shape) for t, v in out.items()} == {
            t: (2, c, height, width) for t, c in FIVE.items()}
        for scale, m in enumerate(maps):
            assert {tuple(v.shape[-2:]) for v in scales[f'scale_{scale}'].values()} == {
                tuple(m.shape[-2:])}
        for task, value in alone.items():
            assert_close(out[task][1:], value)


def test_every_parameter_learns(randomised):
    head = randomised(MTINetHead(PLANES, TWO, auxiliary=FOUR)).train()
    out = head(maps_of(PLANES, 64, 96, 2))
    values = [v for scale in out.pop('deep_supervision').values() for v in scale.values()]
    sum((v * torch.randn_like(v)).mean() for v in [*values, *out.values()]).backward()
    without = [n for n, p in head.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_order_of_tasks_is_the_networks_own():
    head = MTINetHead(PLANES, {'depth': 1, 'semseg': 40}, auxiliary={
        'edge': 1, 'depth': 1, 'lanes': 2, 'normals': 3, 'semseg': 40})
    assert list(head.tasks) == list(head.heads) == ['semseg', 'depth']
    assert list(head.auxiliary) == ['semseg', 'normals', 'edge', 'depth', 'lanes']


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"lack \{'depth': 1\}: want every main task"):
        MTINetHead(PLANES, TWO, auxiliary={'semseg': 40, 'edge': 1})
    with pytest.raises(ValueError, match=r"lack \{'semseg': 40\}.*same channels"):
        MTINetHead(PLANES, TWO, auxiliary={**FOUR, 'semseg': 21})
    with pytest.raises(ValueError, match="fpm_softmax 'tasks' is unknown"):
        MTINetHead(PLANES, TWO, fpm_softmax='tasks')
