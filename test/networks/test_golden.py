"""The building blocks of DeMT give the numbers of the released modules."""

import torch

from demt_perception.networks.attention import TaskInteraction, TaskQuery
from demt_perception.networks.deform import sample_per_channel
from demt_perception.networks.mixer import DeformableMixer


def assert_close(seen, wanted, relative=1e-5):
    error = (seen - wanted).abs().max() / wanted.abs().max()
    assert error <= relative, f'relative error {float(error):.2e}'


def test_sampling_equals_the_deformable_convolution(golden):
    case = {k[2:]: v for k, v in golden('deform_conv2d_cases').items() if k.startswith('2.')}
    sampled = sample_per_channel(case['x'], case['offset'])
    seen = torch.nn.functional.conv2d(sampled, case['weight'], case['bias'])
    assert_close(seen, case['y'])


def load_mixer(state, prefix):
    mixer = DeformableMixer(256).eval()
    names = {
        'channel.0': '0', 'channel.2': '2', 'spatial.2': '3.fn.2',
        'spatial.0.p_conv': '3.fn.0.get_offset.p_conv', 'spatial.0.opt': '3.fn.0.get_offset.opt',
        'spatial.0': '3.fn.0'}
    own = {}
    for key in mixer.state_dict():
        module, _, leaf = key.rpartition('.')
        own[key] = state[f'{prefix}.{names[module]}.{leaf}']
    mixer.load_state_dict(own)
    return mixer


def test_mixer(golden):
    case = golden('demt_mixer_depth1')
    mixer = load_mixer(case, 'sd.blocks.0')
    with torch.no_grad():
        assert_close(mixer.channel(case['x']), case['sub.blocks.0.2.out'])
        assert_close(mixer(case['x']), case['y'])


def attention_parts(state, prefix):
    parts = {}
    for leaf in ('weight', 'bias'):
        chunks = state[f'{prefix}.in_proj_{leaf}'].chunk(3)
        for name, chunk in zip(('query', 'key', 'value'), chunks, strict=True):
            parts[f'{name}.{leaf}'] = chunk
    parts |= {f'out.{leaf}': state[f'{prefix}.out_proj.{leaf}'] for leaf in ('weight', 'bias')}
    return parts


def smlp(state, prefix):
    return {f'smlp.{i}.{leaf}': state[f'{prefix}.{i}.{leaf}']
            for i in (0, 1) for leaf in ('weight', 'bias')}


def test_interaction_and_queries_of_the_whole_head(golden):
    case = golden('demt_head_hrnet18_nyud_b1')
    interaction = TaskInteraction(256).eval()
    parts = attention_parts(case, 'sd.task_fusion') | smlp(case, 'sd.smlp')
    interaction.load_state_dict({k: v for k, v in parts.items()
                                 if not k.startswith(('query', 'key'))})
    mixed = [load_mixer(case, f'sd.defor_mixers.{t}.blocks.0') for t in range(4)]
    with torch.no_grad():
        x = case['sub.linear1.out'].permute(0, 3, 1, 2)
        features = [m(x).flatten(2).transpose(1, 2) for m in mixed]
        assert_close(features[0].transpose(1, 2).reshape(1, 256, 8, 12),
                     case['sub.defor_mixers.0.out'])
        z = interaction(torch.stack(features, 1))
        assert_close(z.flatten(1, 2), case['sub.smlp.out'])
        query = TaskQuery(256, 4).eval()
        query.load_state_dict(attention_parts(case, 'sd.task_querys.0') | smlp(case, 'sd.smlp2.0'))
        seen = query(features[0], z)
        assert_close(seen - features[0], case['sub.smlp2.0.out'])
