"""Backbones against the released code, and on any image size."""

import copy
import itertools
import math
import sys

import pytest
from safetensors.torch import save_file
from shared_data import SHARED
import torch
from torch import nn
from torch.nn import functional as F

from demt_perception.hashes import write_sha256
from demt_perception.networks.backbones import create_backbone, list_backbones
from demt_perception.networks.backbones.hrnet import HRNet
from demt_perception.networks.backbones.swin import Swin

KEYS = SHARED / 'reference' / 'keys'
PARAMETERS = {
    # Spec 6.2: the whole network's count less that of its head.
    'hrnet18': 3_860_720, 'swin_t': 32_070_259 - 4_549_561,
    # torchvision's counts less the classifier (512 or 2048 to 1000).
    'resnet18': 11_689_512 - 513_000, 'resnet50': 25_557_032 - 2_049_000,
    # Counted on the released code.
    'hrnet48': 65_325_120, 'swin_s': 48_838_602, 'swin_b': 86_745_016, 'swin_l': 194_998_164,
    'efficientnet_lite0': 2_958_848, 'efficientnet_lite1': 3_723_520,
    'efficientnet_lite2': 4_357_952,
}
# Names in test/data/golden/backbones_33x47.safetensors, and the network that the released code
# built there, with the weights of `filled`.
GOLDEN = {
    'swin_mini': lambda: Swin(32, (2, 2, 4, 2)),
    'hrnet_twice': lambda: HRNet(8, (1, 2, 1), 1, 1),
    'hrnet_once': lambda: HRNet(8, (1, 2, 1), 1, 1, resize_twice=False),
    'resnet18_dilated': lambda: create_backbone('resnet18', dilated=True),
}
SMALL = {**GOLDEN, 'efficientnet_lite0': lambda: create_backbone('efficientnet_lite0')}
MINI = {'width': 8, 'modules': (1, 1, 1), 'resize_twice': False}


def filled(network):
    """Give every weight and statistic a value that depends on its name's rank alone."""
    state = {}
    for rank, (name, value) in enumerate(sorted(network.state_dict().items())):
        if not value.is_floating_point():
            state[name] = value
            continue
        at = torch.arange(value.numel(), dtype=torch.float64)
        noise = torch.sin(at * 12.9898 + rank * 78.233) * 43758.5453
        noise = (2 * (noise - noise.floor()) - 1).view(value.shape)
        if value.ndim > 1:
            state[name] = noise if 'table' in name else noise * math.sqrt(3 / value[0].numel())
        else:
            positive = name.endswith(('weight', 'running_var'))
            state[name] = 1 + 0.5 * noise if positive else 0.2 * noise
    network.load_state_dict({name: value.to(network.state_dict()[name].dtype)
                             for name, value in state.items()})
    return network.eval()


def image(height, width, batch=1):
    at = torch.arange(batch * 3 * height * width, dtype=torch.float64)
    return torch.sin(at * at * 0.37).float().view(batch, 3, height, width)


def relative(found, wanted):
    return float((found - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize('name', GOLDEN)
def test_odd_image_as_in_the_released_code(golden, name):
    wanted = golden('backbones_33x47')
    with torch.no_grad():
        maps = filled(GOLDEN[name]())(image(33, 47, 2))
    for index, found in enumerate(maps):
        assert relative(found[:1], wanted[f'{name}.map{index}']) < 1e-5


def test_the_two_ways_to_resize_differ_only_at_odd_sizes():
    twice, once = filled(GOLDEN['hrnet_twice']()), filled(GOLDEN['hrnet_once']())
    with torch.no_grad():
        assert relative(twice(image(33, 47))[0], once(image(33, 47))[0]) > 1e-3
        assert torch.equal(twice(image(64, 96))[0], once(image(64, 96))[0])


@pytest.mark.parametrize(('file', 'prefix', 'options'), [
    ('demt_full_hrnet18_nyud', 'sd.backbone.', {}),
    ('mti_mini_nyud2_aux4', 'sd.backbone.', MINI),
    ('mt_baseline_mini_nyud2', 'sd.backbone.', MINI)])
def test_hrnet_features_of_the_released_networks(golden, file, prefix, options):
    numbers = golden(file)
    network = HRNet(**options).eval()
    network.load_state_dict({key.removeprefix(prefix): value for key, value in numbers.items()
                             if key.startswith(prefix)})
    with torch.no_grad():
        maps = network(numbers['x'])
    for index, found in enumerate(maps):
        assert relative(found, numbers[f'feat{index}']) < 1e-5


@pytest.mark.parametrize(('file', 'name'), [
    ('demt_swin_t_nyud', 'swin_t'), ('demt_hrnet18_nyud', 'hrnet18'),
    ('mti_net_hrnet18_nyud', 'hrnet18')])
def test_official_keys_shapes_and_order(file, name):
    path = KEYS / f'{file}_keys.txt'
    if not path.exists():
        pytest.skip(f'{path} is not at hand')
    rows = [line.split('\t') for line in path.read_text().splitlines() if '\t' in line]
    found = [[key, str(list(value.shape))]
             for key, value in create_backbone(name).state_dict().items()]
    wanted = [[row[0].split('backbone.', 1)[1], row[1]] for row in rows if 'backbone.' in row[0]]
    assert found == wanted


def test_every_backbone_has_its_published_size():
    with torch.device('meta'):
        counts = {name: sum(p.numel() for p in create_backbone(name).parameters())
                  for name in list_backbones()}
    assert counts == PARAMETERS


@pytest.mark.parametrize('size', [(33, 47), (97, 65), (64, 96), (32, 32)])
@pytest.mark.parametrize('name', SMALL)
def test_any_size_each_image_alone(name, size):
    network = filled(SMALL[name]())
    both = image(*size, 2)
    strides = (4, 8, 8, 8) if 'dilated' in name else (4, 8, 16, 32)
    with torch.no_grad():
        maps, alone = network(both), network(both[1:])
    for found, one, channels, stride in zip(maps, alone, network.channels, strides, strict=True):
        assert found.shape == (2, channels, *(math.ceil(side / stride) for side in size))
        assert relative(found[1:], one) < 1e-5


@pytest.mark.parametrize('name', SMALL)
def test_every_parameter_learns(name):
    network = SMALL[name]().train()
    for module in network.modules():
        if hasattr(module, 'drop_path'):
            module.drop_path = 0.0
    sum(found.square().mean() for found in network(image(64, 96, 2))).backward()
    assert not [name for name, p in network.named_parameters()
                if p.grad is None or not p.grad.abs().sum() > 0]


def slow_attention(block, x, shift):
    """Attention of one Swin block, from the paper: pair by pair which tokens see each other."""
    attention = block.attn.w_msa
    _, height, width, dim = x.shape
    full = [math.ceil(side / 7) * 7 for side in (height, width)]
    padded = F.pad(block.norm1(x), (0, 0, 0, full[1] - width, 0, full[0] - height))[0]
    q, k, v = attention.qkv(padded).chunk(3, -1)
    per_head = dim // attention.heads
    out = torch.zeros_like(padded)
    at = [(y, x) for y in range(full[0]) for x in range(full[1])]
    windows = {}
    for y, x_ in at:
        # Windows lie shifted; what sticks out at the top and left is a window of its own here.
        windows.setdefault(((y - shift) // 7, (x_ - shift) // 7), []).append((y, x_))
    for places in windows.values():
        ys, xs = (torch.tensor(axis) for axis in zip(*places, strict=True))
        steps = (ys[:, None] - ys + 6) * 13 + xs[:, None] - xs + 6
        for head in range(attention.heads):
            part = slice(head * per_head, (head + 1) * per_head)
            scores = q[ys, xs, part] @ k[ys, xs, part].T / math.sqrt(per_head)
            scores = scores + attention.relative_position_bias_table[steps, head]
            out[ys, xs, part] = scores.softmax(-1) @ v[ys, xs, part]
    return x + attention.proj(out)[None, :height, :width]


@pytest.mark.parametrize('size', [(9, 12), (14, 21), (5, 5)])
def test_windows_against_pair_by_pair_attention(size):
    stage = copy.deepcopy(filled(Swin(64, (2, 2, 2, 2))).stages[0]).double()
    x = torch.randn(1, *size, 64, dtype=torch.float64)
    with torch.no_grad():
        wanted = x
        for index, block in enumerate(stage.blocks):
            wanted = slow_attention(block, wanted, 3 if index % 2 else 0)
            hidden, last = block.ffn.layers[0][0], block.ffn.layers[1]
            wanted = wanted + last(F.gelu(hidden(block.norm2(wanted))))
        assert relative(stage(x), wanted) < 1e-12


def test_stochastic_depth_grows_with_depth_and_keeps_the_mean():
    from demt_perception.networks.backbones.swin import _drop_path
    network = create_backbone('swin_t')
    rates = [block.drop_path for stage in network.stages for block in stage.blocks]
    assert rates[0] == 0 and rates[-1] == pytest.approx(0.1)
    assert all(b - a == pytest.approx(0.1 / 11) for a, b in itertools.pairwise(rates))
    dropped = _drop_path(torch.ones(4000, 2, 1, 1), 0.25, True)
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert dropped.mean() == pytest.approx(1, abs=0.05)
    assert torch.equal(dropped[:, 0], dropped[:, 1])


@pytest.mark.parametrize('name', ['swin_mini', 'hrnet_twice', 'resnet18_dilated'])
def test_exported_graph_computes_the_same(name, tmp_path):
    pytest.importorskip('onnxscript', reason='exporting needs onnxscript')
    runtime = pytest.importorskip('onnxruntime', reason='running a graph needs onnxruntime')
    network, x = filled(SMALL[name]()), image(97, 65)
    path = tmp_path / 'backbone.onnx'
    torch.onnx.export(network, (x,), path, dynamo=True, opset_version=20, verbose=False)
    session = runtime.InferenceSession(path, providers=['CPUExecutionProvider'])
    found = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.no_grad():
        for ours, wanted in zip(found, network(x), strict=True):
            assert relative(torch.from_numpy(ours), wanted) < 1e-4


def test_aliases_and_options():
    for alias in ('hrnet18_small_v2', 'hrnet_w18_small_v2'):
        with torch.device('meta'):
            assert create_backbone(alias).channels == (18, 36, 72, 144)
    assert create_backbone('hrnet18', momentum=0.01).stage4[1].branches[3][0].bn2.momentum == 0.01


def test_errors_say_what_is_wanted(tmp_path):
    with pytest.raises(ValueError, match=r"'vgg' is unknown: want one of .*'swin_t'.*timm/<name>"):
        create_backbone('vgg')
    with pytest.raises(ValueError, match=r'resnet18: .*`demt import-backbone FILE'):
        create_backbone('resnet18', pretrained=True)
    save_file(create_backbone('hrnet18').state_dict(), tmp_path / 'weights.safetensors')
    write_sha256(tmp_path / 'weights.safetensors')
    with pytest.raises(ValueError, match=r'wrong shape: layer1\.0\.conv1\.weight is '
                       r'\[64, 64, 1, 1\], want \[64, 64, 3, 3\]'):
        create_backbone('resnet18', pretrained=tmp_path / 'weights.safetensors')


def test_pretrained_file(tmp_path):
    source = filled(create_backbone('resnet18'))
    save_file(source.state_dict(), tmp_path / 'weights.safetensors')
    with pytest.raises(ValueError, match=r'no weights\.safetensors\.sha256 beside it.*sha256sum'):
        create_backbone('resnet18', tmp_path / 'weights.safetensors')
    write_sha256(tmp_path / 'weights.safetensors')
    loaded = create_backbone('resnet18', str(tmp_path / 'weights.safetensors')).eval()
    with torch.no_grad():
        assert torch.equal(loaded(image(64, 64))[3], source(image(64, 64))[3])


def test_timm_is_optional(monkeypatch):
    monkeypatch.setitem(sys.modules, 'timm', None)
    with pytest.raises(ImportError, match=r'timm/resnet34 needs timm.*pip install timm'):
        create_backbone('timm/resnet34')


class FakeTimm:
    """What is used of timm, for encoders of three kinds: maps (B,C,h,w) or (B,h,w,C), no stride 4.

    timm itself is not needed to run these tests, and its interface is older than this project.
    """

    __version__ = '1.0'

    @staticmethod
    def is_model(name):
        return name != 'nothing'

    @staticmethod
    def create_model(name, pretrained, features_only):
        assert features_only and not pretrained
        reductions = [2, 4, 8, 16, 32] if name != 'coarse' else [8, 16, 32]

        class Encoder(nn.Module):
            class feature_info:  # noqa: N801
                reduction = staticmethod(lambda: reductions)
                channels = staticmethod(lambda: [stride + 1 for stride in reductions])

            def forward(self, x):
                assert x.shape[2] % 32 == 0 and x.shape[3] % 32 == 0
                maps = [F.avg_pool2d(x[:, :1], stride).repeat(1, stride + 1, 1, 1)
                        for stride in reductions]
                return [m.permute(0, 2, 3, 1) for m in maps] if name == 'last' else maps

        return Encoder()


@pytest.mark.parametrize('name', ['first', 'last'])
def test_timm_encoders_of_both_layouts(monkeypatch, name):
    monkeypatch.setitem(sys.modules, 'timm', FakeTimm)
    backbone = create_backbone(f'timm/{name}')
    assert backbone.channels == (5, 9, 17, 33)
    maps = backbone(torch.ones(2, 3, 70, 64))
    assert [tuple(m.shape) for m in maps] == [
        (2, 5, 18, 16), (2, 9, 9, 8), (2, 17, 5, 4), (2, 33, 3, 2)]
    assert all(bool((m[:, :, 0] == 1).all()) for m in maps)


@pytest.mark.parametrize('name', ['first', 'last'])
def test_a_timm_map_may_be_as_high_as_it_has_channels(monkeypatch, name):
    monkeypatch.setitem(sys.modules, 'timm', FakeTimm)
    maps = create_backbone(f'timm/{name}')(torch.ones(1, 3, 32 * 33, 64))
    assert [tuple(m.shape) for m in maps] == [
        (1, 5, 264, 16), (1, 9, 132, 8), (1, 17, 66, 4), (1, 33, 33, 2)]


def test_timm_errors(monkeypatch):
    monkeypatch.setitem(sys.modules, 'timm', FakeTimm)
    with pytest.raises(ValueError, match=r"timm 1\.0 knows no model 'nothing'"):
        create_backbone('timm/nothing')
    with pytest.raises(ValueError, match=r"'coarse' gives strides \[8, 16, 32\], without \[4\]"):
        create_backbone('timm/coarse')
