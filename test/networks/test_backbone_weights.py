"""Weights of other code, in every layout, end as the same network."""

import re
import subprocess

import pytest
import torch

from demt_perception.cli.main import main
from demt_perception.hashes import write_sha256
from demt_perception.model_card import file_sha256
from demt_perception.networks.backbones import create_backbone
from demt_perception.networks.backbones.weights import BackboneWeightsError, convert_backbone


@pytest.fixture(scope='module')
def backbones():
    """Networks with statistics and norms of their own, by name."""
    torch.manual_seed(5)
    made = {}
    for name in ('swin_t', 'hrnet18', 'resnet18', 'resnet50'):
        network = create_backbone(name).eval()
        with torch.no_grad():
            for key, value in network.state_dict().items():
                if value.is_floating_point() and value.ndim == 1:
                    value.copy_(torch.rand_like(value) + 0.5 if key.endswith(('weight', 'var'))
                                else torch.randn_like(value) * 0.1)
                if key.endswith('table'):
                    value.normal_()
        made[name] = network
    return made


def images():
    return torch.randn(1, 3, 65, 97, generator=torch.Generator().manual_seed(1))


def same(network, name, state):
    """Check that weights give the same maps as the network that they were made from."""
    loaded = create_backbone(name).eval()
    loaded.load_state_dict(state, strict=False)
    with torch.no_grad():
        for found, wanted in zip(loaded(images()), network(images()), strict=True):
            assert torch.equal(found, wanted)


def microsoft(state, classifier=True):
    """Name Swin as Microsoft does: merging reads the patch's tokens (0,0), (1,0), (0,1), (1,1)."""
    out = {}
    for key, value in state.items():
        key = key.replace('patch_embed.projection', 'patch_embed.proj').replace(
            'stages.', 'layers.').replace('.w_msa.', '.').replace(
            'ffn.layers.0.0', 'mlp.fc1').replace('ffn.layers.1', 'mlp.fc2')
        if '.downsample.' in key:
            channels = value.shape[-1] // 4
            order = [channel * 4 + row * 2 + column for row, column in (
                (0, 0), (1, 0), (0, 1), (1, 1)) for channel in range(channels)]
            value = value[..., order]
        if classifier and key.startswith('norm3.'):
            key = key.replace('norm3', 'norm')
        elif classifier and re.match(r'norm\d\.', key):
            continue
        out[key] = value
    out['layers.0.blocks.1.attn_mask'] = torch.zeros(64, 49, 49)
    if classifier:
        width = state['norm3.weight'].shape[0]
        out |= {'head.weight': torch.zeros(1000, width), 'head.bias': torch.zeros(1000)}
    return out


def new_timm(state):
    """As Microsoft's, with each merging in the stage that it leads to, and no tables."""
    out = {}
    for key, value in microsoft(state).items():
        if key.endswith(('relative_position_index', 'attn_mask')):
            continue
        found = re.match(r'layers\.(\d)\.(downsample\..*)', key)
        out[f'layers.{int(found[1]) + 1}.{found[2]}' if found
            else key.replace('head.', 'head.fc.')] = value
    return out


def mmseg(state):
    return {f'backbone.{key}': value for key, value in state.items()} | {
        'decode_head.conv_seg.weight': torch.zeros(150, 512, 1, 1),
        'auxiliary_head.conv_seg.bias': torch.zeros(150)}


def hrnet_classifier(state):
    return state | {'incre_modules.0.0.conv1.weight': torch.zeros(32, 18, 1, 1),
                    'downsamp_modules.0.0.bias': torch.zeros(256),
                    'final_layer.0.bias': torch.zeros(2048), 'classifier.bias': torch.zeros(1000)}


def torchvision(state):
    return {key: value for key, value in state.items() if 'num_batches' not in key} | {
        'fc.weight': torch.zeros(1000, 512), 'fc.bias': torch.zeros(1000)}


@pytest.mark.parametrize(('name', 'layout'), [
    ('swin_t', mmseg), ('swin_t', lambda s: microsoft(s, classifier=False)), ('swin_t', dict),
    ('hrnet18', hrnet_classifier), ('hrnet18', mmseg),
    ('resnet18', torchvision), ('resnet50', torchvision)],
    ids=['mmseg', 'microsoft_detector', 'own', 'hrnet', 'hrnet_mmseg', 'resnet18', 'resnet50'])
def test_whole_backbones_survive_the_round_trip(backbones, name, layout):
    found, state = convert_backbone(layout(backbones[name].state_dict()))
    assert found == name
    same(backbones[name], found, state)


@pytest.mark.parametrize('layout', [microsoft, new_timm])
def test_swin_classifiers_lack_three_norms_that_start_as_identity(backbones, layout):
    wanted = backbones['swin_t'].state_dict()
    found, state = convert_backbone(layout(wanted))
    assert found == 'swin_t'
    for index in range(3):
        assert bool((state[f'norm{index}.weight'] == 1).all())
        assert bool((state[f'norm{index}.bias'] == 0).all())
    fresh = {key for key in state if re.match(r'norm[012]\.', key)}
    same(backbones['swin_t'], found, state | {key: wanted[key] for key in fresh})


def test_half_precision_becomes_float(backbones):
    state = {key: value.half() if value.is_floating_point() else value
             for key, value in backbones['resnet18'].state_dict().items()}
    _, converted = convert_backbone(state)
    assert converted['conv1.weight'].dtype == torch.float32


def test_every_key_that_does_not_fit_is_named(backbones):
    state = microsoft(backbones['swin_t'].state_dict())
    del state['layers.1.blocks.0.norm1.weight'], state['norm.bias']
    state['layers.0.blocks.0.attn.relative_position_bias_table'] = torch.zeros(529, 3)
    state['layers.0.downsample.reduction.weight'] = torch.zeros(192, 380)
    state['absolute_pos_embed'] = torch.zeros(1, 49, 96)
    with pytest.raises(BackboneWeightsError) as caught:
        convert_backbone(state)
    lines = str(caught.value).splitlines()
    assert lines[0] == '5 keys do not fit backbone swin_t:'
    assert sorted(line.strip() for line in lines[1:-1]) == [
        'missing: norm3.bias [768]',
        'missing: stages.1.blocks.0.norm1.weight [192]',
        'unexpected: absolute_pos_embed [1, 49, 96]',
        'wrong shape: stages.0.blocks.0.attn.w_msa.relative_position_bias_table is [529, 3], '
        'want [169, 3]',
        'wrong shape: stages.0.downsample.reduction.weight is [192, 380], want [192, 384]']


def test_a_detector_with_one_norm_lost_is_refused(backbones):
    state = microsoft(backbones['swin_t'].state_dict(), classifier=False)
    del state['norm1.weight']
    with pytest.raises(BackboneWeightsError, match=r'missing: norm1\.weight \[192\]'):
        convert_backbone(state)


@pytest.mark.parametrize(('state', 'text'), [
    ({'stage2.0.branches.0.0.conv1.weight': torch.zeros(32, 32, 3, 3)},
     r'a HRNet of width 32: want one of \[18, 48\]'),
    ({'patch_embed.proj.weight': torch.zeros(64, 3, 4, 4)}, r'a Swin of .* \(64, 0\)'),
    ({'layer1.0.conv1.weight': torch.zeros(1), 'layer2.0.conv1.weight': torch.zeros(1)},
     r'a ResNet of depths \(1, 1, 0, 0\)'),
    ({'blocks.0.weight': torch.zeros(1)}, r"no known backbone has the keys \['blocks\.0\.weight")])
def test_unknown_backbones_are_described(state, text):
    with pytest.raises(BackboneWeightsError, match=text):
        convert_backbone(state)


def test_another_name_than_the_weights_is_refused(backbones):
    with pytest.raises(BackboneWeightsError, match='missing: stages'):
        convert_backbone(microsoft(backbones['swin_t'].state_dict()), 'swin_s')


def test_command_writes_what_create_backbone_reads(backbones, tmp_path, capsys):
    path, out = tmp_path / 'swin.pth', tmp_path / 'swin.safetensors'
    torch.save({'model': microsoft(backbones['swin_t'].state_dict(), classifier=False)}, path)
    assert main(['import-backbone', str(path), '--out', str(out)]) == 0
    subprocess.run(['sha256sum', '-c', 'swin.safetensors.sha256'], cwd=tmp_path, check=True)
    assert 'swin.safetensors: swin_t, 177 tensors, 27520698 values' in capsys.readouterr().out
    other = ['import-backbone', str(path), '--out', str(out), '--sha256']
    assert main([*other, file_sha256(path).upper()]) == 0
    assert main([*other, '0' * 64]) == 1
    assert 'it is not the file that was published' in capsys.readouterr().err
    loaded = create_backbone('swin_t', out).eval()
    with torch.no_grad():
        for found, wanted in zip(loaded(images()), backbones['swin_t'](images()), strict=True):
            assert torch.equal(found, wanted)


def test_command_says_what_is_wrong(tmp_path, capsys):
    torch.save({'blocks.0.weight': torch.zeros(1)}, tmp_path / 'vit.pth')
    out = str(tmp_path / 'out.safetensors')
    assert main(['import-backbone', str(tmp_path / 'vit.pth'), '--out', out]) == 1
    assert 'no known backbone' in capsys.readouterr().err
    assert main(['import-backbone', str(tmp_path / 'vit.pth'), '--out', out,
                 '--backbone', 'vgg']) == 1
    assert "backbone 'vgg' is unknown" in capsys.readouterr().err
    assert main(['import-backbone', str(tmp_path / 'vit.pth'), '--out', str(tmp_path)]) == 1
    assert 'want a file with the ending .safetensors' in capsys.readouterr().err


def test_a_file_that_was_not_converted_is_described(tmp_path):
    torch.save({}, tmp_path / 'vit.pth')
    write_sha256(tmp_path / 'vit.pth')
    with pytest.raises(BackboneWeightsError, match=r'no \.safetensors file.*import-backbone'):
        create_backbone('resnet18', tmp_path / 'vit.pth')
