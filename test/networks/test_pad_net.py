"""PAD-Net gives the numbers of the released code."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from demt_perception.networks.backbones.hrnet import HRNet
from demt_perception.networks.model import MultiTaskModel
from demt_perception.networks.pad_net import PADNetHead

PLANES = (18, 36, 72, 144)
SMALL = (8, 16, 32, 64)
TWO = {'semseg': 40, 'depth': 1}
FOUR = {'semseg': 40, 'normals': 3, 'edge': 1, 'depth': 1}
FIVE = {'semseg': 21, 'human_parts': 7, 'sal': 1, 'normals': 3, 'edge': 1}


def assert_close(seen, wanted, relative=1e-4):
    error = (seen - wanted).abs().max() / wanted.abs().max()
    assert seen.shape == wanted.shape and error <= relative, f'relative error {float(error):.2e}'


def maps_of(planes, height, width, batch=1):
    return [torch.randn(batch, c, -(-height // s), -(-width // s))
            for c, s in zip(planes, (4, 8, 16, 32), strict=True)]


@pytest.fixture
def official(golden):
    """The golden case, and the network with its weights."""
    case = golden('pad_mini_nyud2')
    model = MultiTaskModel(HRNet(8, (1, 1, 1)), PADNetHead(SMALL, TWO))
    state = {}
    for key, value in case.items():
        if key.startswith('sd.'):
            key = key.removeprefix('sd.').replace('backbone.1.', 'head.fuse.')
            key = key.replace('backbone.0.', 'backbone.')
            state[key if key.startswith(('backbone.', 'head.')) else f'head.{key}'] = value
    model.load_state_dict(state)
    return case, model.eval()


def test_parts_on_the_official_feature_map(official):
    case, model = official
    head = model.head
    with torch.no_grad():
        features = head.initial_task_prediction_heads(case['feat'])
        initial = head.initial_task_prediction_heads.predict(features)
        refined = head.multi_modal_distillation(features)
    for task in TWO:
        initially = 'sub.initial_task_prediction_heads.out.'
        assert_close(features[task], case[f'{initially}features_{task}'], 1e-5)
        assert_close(initial[task], case[f'{initially}{task}'], 1e-5)
        assert_close(refined[task], case[f'sub.multi_modal_distillation.out.{task}'], 1e-5)


def test_whole_network(official):
    case, model = official
    with torch.no_grad():
        assert_close(model.head.fuse(model.backbone(case['x'])), case['feat'])
        out = model(case['x'], auxiliary=True)
        assert list(model(case['x'])) == list(TWO)
    # The initial predictions stay at stride 4: so does the golden output.
    assert set(out) == {k[4:] for k in case if k.startswith('out.')}
    for name, value in out.items():
        assert_close(value, case[f'out.{name}'])


@pytest.mark.parametrize(('tasks', 'size', 'parameters', 'gmac'), [
    (TWO, (480, 640), 7_019_056, 70.25), (FOUR, (448, 576), 19_521_848, 260.54),
    (FIVE, (512, 512), 29_304_992, 424.90)])
def test_published_parameters_and_operations(tasks, size, parameters, gmac):
    with torch.device('meta'):
        model = MultiTaskModel(HRNet(), PADNetHead(PLANES, tasks)).eval()
        image = torch.empty(1, 3, *size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(image, auxiliary=True)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert round(counter.get_total_flops() / 2e9, 2) == gmac


def test_auxiliary_tasks_feed_the_main_ones(randomised):
    head = randomised(PADNetHead(SMALL, {'depth': 1, 'semseg': 40}, auxiliary={
        'edge': 1, 'semseg': 40, 'depth': 1}))
    assert list(head.tasks) == ['semseg', 'depth']
    assert list(head.auxiliary) == ['semseg', 'edge', 'depth']
    maps = maps_of(SMALL, 41, 70, 2)
    with torch.no_grad():
        out = head(maps, (41, 70), auxiliary=True)
        alone = head([m[1:] for m in maps], (41, 70))
        head.initial_task_prediction_heads.layers['edge'][1].bn3.bias += 1
        other = head(maps, (41, 70))
    assert {n: tuple(v.shape) for n, v in out.items()} == {
        'semseg': (2, 40, 41, 70), 'depth': (2, 1, 41, 70), 'initial_semseg': (2, 40, 11, 18),
        'initial_edge': (2, 1, 11, 18), 'initial_depth': (2, 1, 11, 18)}
    for task, value in alone.items():
        assert_close(out[task][1:], value, 1e-5)
        assert not torch.allclose(other[task], out[task])


def test_every_parameter_learns(randomised):
    head = randomised(PADNetHead(SMALL, TWO, auxiliary=FOUR)).train()
    out = head(maps_of(SMALL, 32, 48, 2))
    sum((v * torch.randn_like(v)).mean() for v in out.values()).backward()
    assert [n for n, p in head.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_main_tasks_have_to_be_auxiliary():
    with pytest.raises(ValueError, match=r"lack \{'depth': 1\}: want every main task"):
        PADNetHead(SMALL, TWO, auxiliary={'semseg': 40})
