"""Inference forms beyond their numbers: types, devices, weights loaded, modules of others."""

import copy
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from demt_perception.networks import create_backbone, create_head, create_model, fuse
from demt_perception.networks.mixer import DeformableConv1x1
from demt_perception.networks.query import TaskQuery

CHANNELS = (8, 16, 32, 64)
TASKS = {'semseg': 5, 'depth': 1}
SIZE = (64, 96)
HEADS = {'demt': {'dim': 16}, 'demtg': {'dim': 16}, 'demt_light': {'dim': 16, 'hidden': 8},
         'mti_net': {}, 'pad_net': {}, 'multi_task': {}}


def feature_maps(like=None):
    like = torch.zeros(()) if like is None else like
    return [torch.randn(2, c, SIZE[0] // s, SIZE[1] // s).to(like)
            for c, s in zip(CHANNELS, (4, 8, 16, 32), strict=True)]


@pytest.fixture(params=list(HEADS))
def make(request, randomised):
    """Return a function that creates a head with the random weights of a seed."""
    return lambda seed=0: randomised(
        create_head(request.param, CHANNELS, TASKS, **HEADS[request.param]), seed)


def error_of(seen, wanted):
    return max(float((seen[t] - v).abs().max() / v.abs().max()) for t, v in wanted.items())


@torch.no_grad()
@pytest.mark.parametrize('size', [None, SIZE])
def test_fused_parts_have_the_type_of_the_network(make, size):
    head = make().double()
    maps = feature_maps(torch.zeros((), dtype=torch.float64))
    assert error_of(fuse(head, size)(maps), head(maps)) < 1e-9


@torch.no_grad()
@pytest.mark.parametrize('size', [None, SIZE])
def test_fused_parts_are_on_the_device_of_the_network(make, size):
    """On meta, which like a GPU refuses to compute with what lies on the CPU."""
    fused = fuse(make().to('meta'), size)
    assert {v.device.type for v in fused.state_dict().values()} == {'meta'}
    out = fused(feature_maps(torch.zeros((), device='meta')))
    assert {v.device.type for v in out.values()} == {'meta'}


@torch.no_grad()
def test_weights_load_into_a_fused_network_of_one_size(make):
    """Its constants are made of weights, too, and are not in the state dict."""
    wanted, other, maps = fuse(make()), fuse(make(seed=1), SIZE), feature_maps()
    assert error_of(other(maps), wanted(maps)) > 0.01
    other.load_state_dict(wanted.state_dict())
    assert error_of(other(maps), wanted(maps)) < 1e-4


def test_what_is_fused_is_for_inference(make):
    head = make()
    head.train()
    fused = fuse(head)
    assert not [name for name, module in fused.named_modules() if module.training]
    assert not [name for name, value in fused.named_parameters() if value.requires_grad]


@torch.no_grad()
def test_fusing_again_changes_nothing(make):
    fused, maps = fuse(make(), SIZE), feature_maps()
    assert error_of(fuse(fused, SIZE)(maps), fused(maps)) < 1e-6


class Preactivated(nn.Module):
    """A user's backbone, which registers a norm behind a convolution that it does not follow."""

    channels = CHANNELS

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, 4)
        self.shortcut = nn.Conv2d(8, 8, 1)
        self.norm = nn.BatchNorm2d(8)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, 2) for a, b in pairwise(CHANNELS))

    def forward(self, x):
        x = self.stem(x)
        maps = [self.shortcut(x) + self.norm(x).relu()]
        for layer in self.down:
            maps.append(layer(maps[-1]))
        return maps


def traced():
    backbone = torch.fx.symbolic_trace(Preactivated())
    backbone.channels = CHANNELS
    return backbone


@torch.no_grad()
@pytest.mark.parametrize('make', [Preactivated, traced])
def test_the_order_in_which_others_register_their_layers_does_not_matter(randomised, make):
    model = randomised(create_model('multi_task', make(), TASKS))
    image = torch.randn(2, 3, *SIZE)
    assert error_of(fuse(model)(image), model(image)) < 1e-4


def test_a_query_over_the_batch_is_not_fused():
    with pytest.raises(ValueError, match='batch_attention is for parity'):
        fuse(TaskQuery(16, 4, batch_attention=True))


@torch.no_grad()
@pytest.mark.parametrize('form', [lambda step: step, fuse])
def test_positions_are_not_rounded_under_autocast(form):
    """In bf16 a position near the 144th column misses by half a pixel."""
    step = DeformableConv1x1(16)  # the released initialisation: offsets of tens of pixels
    x = F.interpolate(torch.randn(1, 16, 28, 36), scale_factor=4, mode='bilinear')
    wanted = step(x)
    with torch.autocast('cpu', torch.bfloat16):
        seen = form(step)(x)
    assert seen.dtype == torch.bfloat16
    assert float((seen - wanted).norm() / wanted.norm()) < 0.01


@torch.no_grad()
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_a_grid_is_not_rounded_with_the_module_that_keeps_it(dtype):
    step = DeformableConv1x1(16)
    x = F.interpolate(torch.randn(1, 16, 28, 36), scale_factor=4, mode='bilinear')
    wanted = step(x)
    kept = fuse(copy.deepcopy(step))
    kept.fix(x)
    forms = fuse(copy.deepcopy(step).to(dtype)), kept.to(dtype)
    cast, fixed = (float((form(x.to(dtype)).float() - wanted).norm() / wanted.norm())
                   for form in forms)
    assert fixed <= 1.01 * cast


def test_pretrained_weights_need_a_backbone_by_name():
    with pytest.raises(ValueError, match='give the backbone by name'):
        create_model('demt', create_backbone('resnet18'), 'nyud', pretrained=True)
