"""Official weights load by their official names, strictly."""

import re

from official_states import demt, demt_head, NYUD
import pytest
import torch

from demt_perception.networks import create_head, create_model, load_official
from demt_perception.networks.detect import build, detect, UnknownNetworkError

CHANNELS = (4, 8, 16, 32)


def maps(channels=CHANNELS, size=16):
    return [torch.randn(1, c, size >> i, size >> i) for i, c in enumerate(channels)]


def small(name='demt', **options):
    return create_head(name, CHANNELS, NYUD, dim=16, **options).eval()


def golden_state(case):
    return {key[3:]: value for key, value in case.items() if key.startswith('sd.')}


def assert_close(seen, wanted, relative):
    error = float((seen - wanted).abs().max() / wanted.abs().max())
    assert error <= relative, f'relative error {error:.2e}'


@pytest.mark.parametrize('prefix', ['', 'head.', 'module.head.'])
def test_the_released_head_with_any_prefix(golden, prefix):
    case = golden('demt_head_hrnet18_nyud_b1')
    head = create_head('demt', (18, 36, 72, 144), 'nyud').eval()
    load_official(head, {prefix + key: value for key, value in golden_state(case).items()})
    with torch.no_grad():
        out = head([case[f'feat{i}'] for i in range(4)])
    for task in NYUD:
        assert_close(out[task], case[f'out.{task}'], 1e-5)


@pytest.mark.parametrize(('name', 'tolerance'), [
    ('demt_full_hrnet18_nyud', 1e-4), ('mti_mini_nyud2_aux4', 1e-4), ('pad_mini_nyud2', 1e-4),
    ('mt_baseline_mini_nyud2', 1e-4)])
def test_whole_networks_are_told_built_and_loaded(golden, name, tolerance):
    case = golden(name)
    state = golden_state(case)
    model = build(detect(state)).eval()
    load_official(model, {f'module.{key}': value for key, value in state.items()})
    with torch.no_grad():
        out = model(case['x'])
    wanted = [key for key in case if key.startswith('out.') and key.count('.') == 1
              and not key.startswith('out.initial')]
    assert {key[4:] for key in wanted} == set(model.tasks)
    for key in wanted:
        assert_close(out[key[4:]], case[key], tolerance)


def test_a_head_takes_its_part_of_a_whole_network():
    state = demt()
    head, alone = small(), small()
    load_official(head, state)
    load_official(alone, {k: v for k, v in state.items() if k.startswith('head.')})
    for key, value in head.state_dict().items():
        assert torch.equal(value, alone.state_dict()[key]), key


def test_demtg_gate():
    state = demt_head(depth=2, gate=True)
    head = small('demtg')
    load_official(head, state)
    fn = {key.removeprefix('gmlps.gating.0.fn.'): value for key, value in state.items()
          if key.startswith('gmlps')}
    y = torch.randn(1, 7, 16)
    f = torch.nn.functional
    x = f.gelu(f.linear(f.layer_norm(y, (16,), fn['ln1_0.weight'], fn['ln1_0.bias']),
                        fn['fc1_0.weight'], fn['fc1_0.bias']))
    r, g = x.chunk(2, -1)
    g = f.layer_norm(g, (16,), fn['sgu_0.ln.weight'], fn['sgu_0.ln.bias']).transpose(1, 2)
    g = f.conv1d(g, fn['sgu_0.proj.weight'], fn['sgu_0.proj.bias']).transpose(1, 2)
    wanted = y + f.linear(r * g, fn['fc2_0.weight'], fn['fc2_0.bias'])
    assert_close(head.gate(y).detach(), wanted, 1e-5)


def renamed_to_first_release(state):
    """Give weights of the current layout the names of the first release."""
    new = {}
    for key, value in state.items():
        for now, then in (('.3.fn.', '.0.fn.'), ('.0.', '.1.'), ('.2.', '.3.')):
            start, found, rest = key.partition(f'.blocks.0{now}')
            if found and 'defor_mixers' in start:
                key = f'{start}.blocks.0{then}{rest}'
                break
        new[key] = value
    return new


def test_both_mixer_orders_load_and_differ():
    state = demt_head()
    old = renamed_to_first_release(state)
    assert old.keys() == demt_head(order='first_release').keys()
    assert detect({f'head.{k}': v for k, v in old.items()} | {
        k: v for k, v in demt().items() if k.startswith('backbone')}).options['mixer'] == (
            'first_release')
    current, first = small(), small(mixer='first_release')
    load_official(current, state)
    load_official(first, old)
    for key, value in current.state_dict().items():  # the same weights, another function
        assert torch.equal(value, first.state_dict()[key]), key
    features = maps()
    with torch.no_grad():
        a, b = current(features)['depth'], first(features)['depth']
    assert (a - b).abs().max() > 0.01 * a.abs().max()


@pytest.mark.parametrize(('order', 'other'), [('current', 'first_release'),
                                              ('first_release', 'current')])
def test_the_wrong_mixer_order_is_refused_with_the_remedy(order, other):
    head = small(mixer=other)
    before = {key: value.clone() for key, value in head.state_dict().items()}
    with pytest.raises(ValueError, match=f"mixer='{order}'"):
        load_official(head, demt_head(order=order))
    assert all(torch.equal(before[key], value) for key, value in head.state_dict().items())


def test_mixed_orders_are_refused():
    with pytest.raises(ValueError, match='mix both orders'):
        load_official(small(), demt_head() | demt_head(order='first_release'))


def test_every_key_that_does_not_fit_is_named():
    state = demt()
    del state['head.linear1.1.bias'], state['backbone.conv1.weight']
    state['head.task_fusion.in_proj_weight'] = torch.zeros(47, 16)
    state['backbone.bn1.weight'] = torch.zeros(3)
    state |= {'head.extra': torch.zeros(1), 'backbone.classifier.weight': torch.zeros(2)}
    model = build(detect(demt()))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(ValueError, match='6 keys do not fit') as caught:
        load_official(model, state)
    for line in ('missing: head.linear1.1.bias [16]',
                 'missing: backbone.conv1.weight [64, 3, 3, 3]',
                 'wrong shape: head.task_fusion.in_proj_weight is [47, 16], want [48, 16]',
                 'wrong shape: backbone.bn1.weight is [3], want [64]', 'unexpected: head.extra',
                 'unexpected: backbone.classifier.weight'):
        assert line in str(caught.value)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_one_missing_key_of_each_is_named():
    whole = demt_head()
    for missing in whole:
        if missing.endswith(('.offset', 'num_batches_tracked')):
            continue
        with pytest.raises(ValueError, match=rf'missing: {re.escape(missing)} '):
            load_official(small(), {k: v for k, v in whole.items() if k != missing})


def test_buffers_that_are_no_weights_may_be_absent_or_extra():
    state = {key: value for key, value in demt_head().items()
             if not key.endswith(('.offset', 'num_batches_tracked'))}
    load_official(small(), state | {'backbone.stages.0.blocks.1.attn_mask': torch.zeros(1),
                                    'defor_mixers.0.blocks.0.3.fn.0.offset': torch.zeros(1)})


def test_tasks_in_another_order_are_refused():
    head = create_head('demt', CHANNELS, dict(reversed(NYUD.items())), dim=16)
    with pytest.raises(ValueError, match=r"order \['semseg', 'depth', 'normals', 'edge'\]"):
        load_official(head, demt_head())


def test_a_linear_interaction_takes_what_it_computes():
    state = demt_head()
    published, linear = small(), small(interaction='linear')
    load_official(published, state)
    load_official(linear, state)
    features = maps()
    with torch.no_grad():
        assert_close(linear(features)['edge'], published(features)['edge'], 1e-6)


def test_half_precision_weights_become_float():
    head = small()
    load_official(head, {key: value.half() if value.is_floating_point() else value
                         for key, value in demt_head().items()})
    assert {value.dtype for value in head.parameters()} == {torch.float32}


def test_what_is_no_network_of_ours_is_refused():
    with pytest.raises(ValueError, match='Linear is neither a Head nor a MultiTaskModel'):
        load_official(torch.nn.Linear(2, 2), demt_head())


def test_single_task_names(golden):
    state = {}
    for key, value in golden_state(golden('mt_baseline_mini_nyud2')).items():
        if not key.startswith('decoders.depth'):
            state[key.replace('decoders.semseg', 'decoder')] = value
    with pytest.raises(UnknownNetworkError, match='--task semseg'):
        detect(state)
    found = detect(state, 'semseg')
    assert (found.name, found.tasks) == ('single_task', {'semseg': 40})
    load_official(build(found), state)


@pytest.mark.parametrize(('options', 'name', 'heads'), [
    ({}, 'demt', 4), ({'depth': 2}, 'demt', 4), ({'depth': 2, 'gate': True}, 'demtg', 2)])
def test_detected_options(options, name, heads):
    found = detect(demt(**options))
    assert (found.name, found.options['heads'], found.options['dim']) == (name, heads, 16)
    assert found.options['depth'] == options.get('depth', 1)
    assert found.backbone_options['width'] == 4
    load_official(build(found), demt(**options))


@pytest.mark.parametrize('task_set', ['nyud', 'pascal_context'])
def test_the_task_order_survives_a_sorted_file(task_set):
    tasks = dict(create_head('demt', CHANNELS, task_set, dim=16).tasks)
    state = demt(tasks=tasks)
    assert list(detect(dict(sorted(state.items()))).tasks) == list(tasks)
    backwards = dict(reversed(tasks.items()))
    assert list(detect(demt(tasks=backwards)).tasks) == list(backwards)


def test_an_alphabetical_task_order_is_kept():
    """DeMT numbers its mixers in the order that the user gave: `--tasks depth,semseg`, too."""
    state = demt(tasks={'depth': 1, 'semseg': 40})
    assert list(detect(state).tasks) == ['depth', 'semseg']
    model = build(detect(state))
    load_official(model, state)
    assert torch.equal(model.head.mixers['depth'][0].channel[0].weight,
                       state['head.defor_mixers.0.blocks.0.0.weight'])
    other = create_head('demt', CHANNELS, {'semseg': 40, 'depth': 1}, dim=16)
    with pytest.raises(ValueError, match=r"order \['depth', 'semseg'\]"):
        load_official(other, demt_head(tasks={'depth': 1, 'semseg': 40}))


@pytest.mark.parametrize(('state', 'said'), [
    ({'a.weight': torch.zeros(1)}, 'no known network'), (demt_head(), 'backbone with keys'),
    ({'decoders.semseg.weight': torch.zeros(1)}, 'no task')])
def test_unknown_networks_are_said(state, said):
    with pytest.raises(UnknownNetworkError, match=said):
        detect(state)


@pytest.mark.parametrize('name', ['hrnet18', 'hrnet48', 'swin_t', 'swin_s', 'swin_b', 'swin_l'])
def test_backbones_are_told_by_their_shapes(name):
    with torch.device('meta'):
        model = create_model('demt', name, 'nyud')
    state = {f'head.{k}': v for k, v in demt_head(model.backbone.channels).items()} | {
        f'backbone.{k}': v for k, v in model.backbone.state_dict().items()}
    assert detect(state).backbone == name


@pytest.mark.parametrize('name', ['resnet18', 'resnet50'])
def test_resnets_are_told_and_dilated(name):
    with torch.device('meta'):
        model = create_model('demt', name, 'nyud')
    state = {f'backbone.{k}': v for k, v in model.backbone.state_dict().items()} | {
        'decoders.semseg.4.weight': torch.zeros(21, 256, 1, 1)}
    found = detect(state)
    assert (found.backbone, found.backbone_options) == (name, {'dilated': True})
    assert (found.name, found.options) == ('multi_task', {'style': 'aspp'})
