"""Inference forms of MTI-Net, PAD-Net and the baselines: the same numbers, fewer operations."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from demt_perception.networks import create_head, fuse
from demt_perception.networks.aspp import ASPP
from demt_perception.networks.distillation import MultiModalDistillation
from demt_perception.networks.fusing.pyramid import (
    FUSED,
    FusedASPP,
    FusedPyramid,
    StackedDistillation,
)
from demt_perception.networks.pyramid_decoder import PyramidDecoder, PyramidFuse

PLANES = (18, 36, 72, 144)
TWO = {'semseg': 40, 'depth': 1}
FIVE = {'semseg': 21, 'human_parts': 7, 'sal': 1, 'normals': 3, 'edge': 1}
CASES = {
    'mti_net': (PLANES, FIVE, {}),
    'mti_net, 4 auxiliary': (PLANES, TWO, {'auxiliary': {**TWO, 'normals': 3, 'edge': 1}}),
    'mti_net, one task': (PLANES, {'depth': 1}, {}),
    'mti_net, wide maps': ((64, 80, 96, 200), TWO, {'fpm_softmax': 'task'}),
    'pad_net': ((8, 16, 64, 64), TWO, {}),
    'multi_task': (PLANES, FIVE, {}),
    'multi_task, narrow maps': ((6, 9, 20, 33), FIVE, {}),
    'multi_task, fcn': (PLANES, FIVE, {'style': 'fcn'}),
    'multi_task, aspp': (PLANES, FIVE, {'style': 'aspp'}),
    'single_task': (PLANES, {'semseg': 40}, {}),
}


def maps_of(planes, height, width, batch=1):
    return [torch.randn(batch, c, -(-height // s), -(-width // s))
            for c, s in zip(planes, (4, 8, 16, 32), strict=True)]


def flat(out):
    for name, value in out.items():
        if isinstance(value, dict):
            yield from ((f'{name}.{n}', v) for n, v in flat(value))
        else:
            yield name, value


@pytest.mark.parametrize('case', CASES)
def test_same_outputs_auxiliary_ones_included(case, randomised):
    planes, tasks, options = CASES[case]
    head = randomised(create_head(case.split(',')[0], planes, tasks, **options))
    fused = fuse(head)
    for height, width in ((64, 96), (70, 101), (33, 64)):
        maps = maps_of(planes, height, width, 2)
        with torch.no_grad():
            wanted = dict(flat(head(maps, (height, width), auxiliary=True)))
            seen = dict(flat(fused(maps, (height, width), auxiliary=True)))
        assert list(seen) == list(wanted)
        for name, value in wanted.items():
            error = float((seen[name] - value).abs().max() / value.abs().max())
            assert error <= 1e-4, f'{name} at {height}x{width}: {error:.1e}'
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fused.modules())
    assert not any(p.requires_grad for p in fused.parameters())
    before = next(iter(fused.parameters())).clone()
    with torch.no_grad():
        for p in head.parameters():
            p.zero_()
    assert torch.equal(before, next(iter(fused.parameters()))), 'weights are shared'


def test_maps_of_one_size(randomised):
    """A dilated backbone gives stride 8 three times."""
    head = randomised(create_head('multi_task', PLANES, TWO))
    maps = [torch.randn(1, c, *size) for c, size in zip(
        PLANES, ((20, 30), (10, 15), (10, 15), (10, 15)), strict=True)]
    with torch.no_grad():
        for task, value in head(maps).items():
            assert torch.allclose(fuse(head)(maps)[task], value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(('module', 'form'), [
    (PyramidFuse(PLANES), FusedPyramid), (PyramidDecoder(PLANES, 3), FusedPyramid),
    (MultiModalDistillation('ab', 'abc', 18), StackedDistillation),
    (MultiModalDistillation('ab', 'abc', 256), MultiModalDistillation),
    (MultiModalDistillation('a', 'a', 18), MultiModalDistillation), (ASPP(8), FusedASPP)])
def test_which_form(module, form):
    assert type(FUSED[type(module)](module)) is form


@pytest.mark.parametrize(('name', 'options', 'height', 'ratio'), [
    ('mti_net', {}, 448, 0.83), ('multi_task', {}, 448, 0.35),
    ('multi_task', {'style': 'aspp'}, 448, 0.98)])
def test_fewer_operations(name, options, height, ratio):
    counts = []
    with torch.device('meta'):
        head = create_head(name, PLANES, 'nyud', **options).eval()
        maps = maps_of(PLANES, height, 576)
        for form in (head, fuse(head)):
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                form(maps)
            counts.append(counter.get_total_flops())
    assert counts[1] / counts[0] <= ratio
