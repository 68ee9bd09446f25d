"""DeMT gives the numbers of the released code: parts, whole heads, whole network."""

from deform_conv import deform_conv2d
import pytest
import torch

from demt_perception.networks import create_head, create_model, load_official
from demt_perception.networks.deform import sample_per_channel
from demt_perception.networks.mixer import create_mixer

PLANES = (18, 36, 72, 144)


def assert_close(seen, wanted, relative=1e-5):
    error = (seen - wanted).abs().max() / wanted.abs().max()
    assert seen.shape == wanted.shape and error <= relative, f'relative error {float(error):.2e}'


def state_of(case, prefix='sd.'):
    return {k.removeprefix(prefix): v for k, v in case.items() if k.startswith(prefix)}


def features(case):
    return [case[f'feat{i}'] for i in range(4)]


def test_sampling_equals_the_deformable_convolution(golden):
    case = {k[2:]: v for k, v in golden('deform_conv2d_cases').items() if k.startswith('2.')}
    sampled = sample_per_channel(case['x'], case['offset'])
    seen = torch.nn.functional.conv2d(sampled, case['weight'], case['bias'])
    assert_close(seen, case['y'])


@pytest.mark.parametrize(('index', 'options'), [
    (0, {'padding': 1}), (1, {'stride': 2, 'padding': 1}), (2, {}), (3, {'dilation': 2})])
def test_deformable_convolution(golden, index, options):
    case = {k[2:]: v for k, v in golden('deform_conv2d_cases').items() if k[0] == str(index)}
    assert_close(deform_conv2d(case['x'], case['offset'], case['weight'], case.get('bias'),
                               mask=case.get('mask'), **options), case['y'])


@pytest.mark.parametrize('depth', [1, 2])
def test_mixer(golden, depth):
    case = golden(f'demt_mixer_depth{depth}')
    mixer = create_mixer('current', 256, depth).eval()
    names = {
        'channel.0': '0', 'channel.2': '2', 'spatial.2': '3.fn.2',
        'spatial.0.p_conv': '3.fn.0.get_offset.p_conv', 'spatial.0.opt': '3.fn.0.get_offset.opt',
        'spatial.0': '3.fn.0'}
    state = {}
    for key in mixer.state_dict():
        block, module, leaf = key.split('.', 1)[0], *key.split('.', 1)[1].rsplit('.', 1)
        state[key] = case[f'sd.blocks.{block}.{names[module]}.{leaf}']
    mixer.load_state_dict(state)
    with torch.no_grad():
        assert_close(mixer[0].channel(case['x']), case['sub.blocks.0.2.out'])
        assert_close(mixer(case['x']), case['y'])


@pytest.mark.parametrize('tasks', ['nyud', 'pascal_context'])
def test_head(golden, tasks):
    case = golden(f'demt_head_hrnet18_{tasks.removesuffix("_context")}_b1')
    head = create_head('demt', PLANES, tasks).eval()
    load_official(head, state_of(case))
    with torch.no_grad():
        out = head(features(case))
    assert list(out) == list(head.tasks)
    for task, value in out.items():
        assert_close(value, case[f'out.{task}'])


def test_every_stage_of_the_head(golden):
    case = golden('demt_head_hrnet18_nyud_b1')
    head = create_head('demt', PLANES, 'nyud').eval()
    load_official(head, state_of(case))
    seen = {}
    watched = {
        'linear1': head.aggregation, 'defor_mixers.0': head.mixers['semseg'],
        'defor_mixers.1': head.mixers['depth'], 'smlp': head.interaction,
        'smlp2.0': head.queries['semseg'].smlp, 'bottleneck.semseg': head.bottleneck['semseg'],
        'final_logits.semseg': head.final_logits['semseg']}
    for name, module in watched.items():
        module.register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out}))
    with torch.no_grad():
        head(features(case))
    for name, value in seen.items():
        wanted = case[f'sub.{name}.out']
        if name == 'linear1':
            value = value.permute(0, 2, 3, 1)
        if name == 'smlp':  # ours keeps tasks and pixels apart
            value = value.flatten(1, 2)
        assert_close(value.reshape(wanted.shape), wanted)
    assert set(seen) == set(watched)


@pytest.mark.parametrize('batched', [False, True])
def test_batch_of_two(golden, batched):
    """Per image as published, or over the batch as the released forward computes it."""
    weights, case = golden('demt_head_hrnet18_nyud_b1'), golden('demt_head_hrnet18_nyud_b2')
    head = create_head('demt', PLANES, 'nyud', batch_attention=batched).eval()
    load_official(head, state_of(weights))
    with torch.no_grad():
        out = head(features(case))
    for task, value in out.items():
        assert_close(value, case[f'{"out_batched" if batched else "out_one_by_one"}.{task}'])


def test_whole_network(golden):
    case = golden('demt_full_hrnet18_nyud')
    model = create_model('demt', 'hrnet18', 'nyud').eval()
    load_official(model, state_of(case))
    assert sum(p.numel() for p in model.parameters()) == 6748218
    with torch.no_grad():
        for index, value in enumerate(model.backbone(case['x'])):
            assert_close(value, case[f'feat{index}'])
        out = model(case['x'])
    for task, value in out.items():
        assert_close(value, case[f'out.{task}'], 1e-4)
