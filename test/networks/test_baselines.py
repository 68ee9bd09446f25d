"""The baselines give the numbers of the released code, or what their formula says."""

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from demt_perception.networks.backbones import create_backbone
from demt_perception.networks.backbones.hrnet import HRNet
from demt_perception.networks.baselines import MultiTaskHead, SingleTaskHead
from demt_perception.networks.deploy import Deployed, logit_stride
from demt_perception.networks.model import MultiTaskModel

PLANES = (18, 36, 72, 144)
SMALL = (8, 16, 32, 64)
TWO = {'semseg': 40, 'depth': 1}
FOUR = {**TWO, 'normals': 3, 'edge': 1}
FIVE = {'semseg': 21, 'human_parts': 7, 'sal': 1, 'normals': 3, 'edge': 1}
STYLES = ('hrnet', 'fcn', 'aspp')


def assert_close(seen, wanted, relative=1e-4):
    error = (seen - wanted).abs().max() / wanted.abs().max()
    assert seen.shape == wanted.shape and error <= relative, f'relative error {float(error):.2e}'


def maps_of(planes, height, width, batch=1):
    return [torch.randn(batch, c, -(-height // s), -(-width // s))
            for c, s in zip(planes, (4, 8, 16, 32), strict=True)]


def test_official_numbers(golden):
    case = golden('mt_baseline_mini_nyud2')
    model = MultiTaskModel(HRNet(8, (1, 1, 1)), MultiTaskHead(SMALL, TWO))
    model.load_state_dict({k.removeprefix('sd.') if '.backbone.' in k else f'head.{k[3:]}': v
                           for k, v in case.items() if k.startswith('sd.')})
    with torch.no_grad():
        whole = model.eval()(case['x'])
        out = model.head([case[f'feat{i}'] for i in range(4)])
    assert list(out) == list(TWO)
    for task in TWO:
        assert_close(out[task], case[f'out.{task}'], 1e-5)
        assert_close(whole[task], case[f'out.{task}'], 1e-4)


@pytest.mark.parametrize(('head', 'tasks', 'size', 'parameters', 'gmac'), [
    (MultiTaskHead, TWO, (480, 640), 4_019_251, 12.77),
    (MultiTaskHead, FOUR, (448, 576), 4_167_755, 13.10),
    (MultiTaskHead, FIVE, (512, 512), 4_238_213, 14.45),
    (SingleTaskHead, {'semseg': 40}, (480, 640), 3_945_270, 11.37),
    (SingleTaskHead, {'depth': 1}, (480, 640), 3_934_701, 11.17)])
def test_published_parameters_and_operations(head, tasks, size, parameters, gmac):
    with torch.device('meta'):
        model = MultiTaskModel(HRNet(), head(PLANES, tasks)).eval()
        image = torch.empty(1, 3, *size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(image)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert round(counter.get_total_flops() / 2e9, 2) == gmac


def test_fcn_is_what_its_formula_says(randomised):
    head = randomised(MultiTaskHead(SMALL, TWO, style='fcn'))
    maps = maps_of(SMALL, 37, 50)
    x = torch.cat([F.interpolate(m, (10, 13), mode='bilinear') for m in maps], 1)
    with torch.no_grad():
        out = head(maps, (37, 50))
        for task in TWO:
            norm = head.bottleneck[task].bn
            y = F.conv2d(x, head.bottleneck[task].conv.weight, padding=1)
            assert y.shape[1] == sum(SMALL) // 4
            y = F.batch_norm(y, norm.running_mean, norm.running_var, norm.weight, norm.bias)
            last = head.final_logits[task]
            y = F.conv2d(y.relu(), last.weight, last.bias)
            assert_close(out[task], F.interpolate(y, (37, 50), mode='bilinear'), 1e-5)
    assert set(head.state_dict()) == {
        f'{name}.{task}.{leaf}' for task in TWO for name, leaves in (
            ('bottleneck', ('conv.weight', 'bn.weight', 'bn.bias', 'bn.running_mean',
                            'bn.running_var', 'bn.num_batches_tracked')),
            ('final_logits', ('weight', 'bias'))) for leaf in leaves}


def test_aspp_is_what_its_formula_says(randomised):
    head = randomised(MultiTaskHead(SMALL, {'depth': 2}, style='aspp'))
    state = head.state_dict()
    maps = maps_of(SMALL, 200, 300)
    maps[3] = torch.randn(1, 64, 25, 38)  # stride 8, as a dilated backbone gives it

    def step(x, conv, norm, **options):
        y = F.conv2d(x, state[f'decoders.depth.{conv}.weight'], **options)
        return F.batch_norm(y, *(state[f'decoders.depth.{norm}.{k}'] for k in (
            'running_mean', 'running_var', 'weight', 'bias'))).relu()

    x = maps[3]
    pooled = step(x.mean((2, 3), keepdim=True), '0.convs.4.1', '0.convs.4.2')
    branches = [
        step(x, '0.convs.0.0', '0.convs.0.1'),
        *(step(x, f'0.convs.{i}.0', f'0.convs.{i}.1', padding=12 * i, dilation=12 * i)
          for i in (1, 2, 3)),
        F.interpolate(pooled, (25, 38), mode='bilinear')]
    y = step(torch.cat(branches, 1), '0.project.0', '0.project.1')
    y = step(y, '1', '2', padding=1)
    y = F.conv2d(y, state['decoders.depth.4.weight'], state['decoders.depth.4.bias'])
    with torch.no_grad():
        assert_close(head.logits(maps)['depth'], y, 1e-5)
        assert_close(head(maps, (200, 300))['depth'],
                     F.interpolate(y, (200, 300), mode='bilinear'), 1e-5)
    assert head.decoders['depth'][0].project[3].p == 0.5


@pytest.mark.parametrize('style', STYLES)
def test_any_size_and_batch(randomised, style):
    head = randomised(MultiTaskHead(PLANES, FIVE, style=style))
    maps = maps_of(PLANES, 41, 70, 2)
    with torch.no_grad():
        out = head(maps, (41, 70))
        alone = head([m[1:] for m in maps], (41, 70))
    assert {t: tuple(v.shape) for t, v in out.items()} == {
        t: (2, c, 41, 70) for t, c in FIVE.items()}
    for task, value in alone.items():
        assert_close(out[task][1:], value, 1e-5)


@pytest.mark.parametrize('style', STYLES)
def test_every_parameter_learns(randomised, style):
    head = randomised(MultiTaskHead(SMALL, TWO, style=style)).train()
    maps = maps_of(SMALL, 64, 96, 3)
    maps[3] = torch.randn(3, 64, 40, 40)  # the widest dilation reaches over 36 pixels
    out = head(maps)
    sum((v * torch.randn_like(v)).mean() for v in out.values()).backward()
    assert [n for n, p in head.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"\['semseg', 'depth'\]: single_task wants exactly one"):
        SingleTaskHead(SMALL, TWO)
    with pytest.raises(ValueError, match=r"style 'deeplab' is unknown.*'hrnet', 'fcn', 'aspp'"):
        MultiTaskHead(SMALL, TWO, style='deeplab')
    with pytest.raises(ValueError, match='at least one task'):
        MultiTaskHead(SMALL, {})


@pytest.mark.parametrize(('dilated', 'stride'), [(True, 8), (False, 32)])
def test_aspp_is_deployed_at_the_sizes_of_all_others(randomised, dilated, stride):
    """Its logits are coarser: resized once, as the released network does."""
    tasks = {'semseg': 5, 'depth': 1}
    backbone = create_backbone('resnet18', dilated=dilated)
    model = randomised(MultiTaskModel(backbone, MultiTaskHead(
        backbone.channels, tasks, style='aspp')))
    assert logit_stride(model) == stride
    deployed = Deployed(model, tuple(tasks), 80.0, 'linear', stride=stride).eval()
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        seen = dict(zip(deployed.names, deployed(image), strict=True))
        logits = model.logits(image)
    fine = F.interpolate(logits['semseg'], (32, 48), mode='bilinear', align_corners=False)
    assert torch.equal(seen['semantic'], fine.argmax(1).to(torch.uint8))
    depth = F.interpolate(logits['depth'], (16, 24), mode='bilinear', align_corners=False)
    assert_close(seen['depth'], depth[:, 0].clamp(min=0))
    assert seen['confidence'].shape == seen['depth'].shape == (1, 16, 24)
