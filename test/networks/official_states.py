"""Random state dicts in the names and shapes of the released code, written from spec 5.2."""

import torch

NYUD = {'semseg': 40, 'depth': 1, 'normals': 3, 'edge': 1}


def tensor(*shape):
    return torch.randn(shape) * 0.05


def linear(name, outputs, inputs):
    return {f'{name}.weight': tensor(outputs, inputs), f'{name}.bias': tensor(outputs)}


def norm(name, channels, running=True):
    state = {f'{name}.weight': 1 + tensor(channels), f'{name}.bias': tensor(channels)}
    if running:
        state |= {f'{name}.running_mean': tensor(channels),
                  f'{name}.running_var': 1 + tensor(channels).abs(),
                  f'{name}.num_batches_tracked': torch.tensor(9)}
    return state


def attention(name, dim):
    return {f'{name}.in_proj_weight': tensor(3 * dim, dim),
            f'{name}.in_proj_bias': tensor(3 * dim),
            **linear(f'{name}.out_proj', dim, dim)}


def demt_head(channels=(4, 8, 16, 32), tasks=None, *, dim=16, depth=1, order='current',
              gate=False):
    """Return the head's state dict of DeMT, or with ``gate`` of DeMTG."""
    tasks = tasks or NYUD
    hidden = sum(channels) // 8
    state = {}
    for task in tasks:
        state[f'bottleneck.{task}.conv.weight'] = tensor(hidden, dim, 3, 3)
        state |= norm(f'bottleneck.{task}.bn', hidden)
    for task, outputs in tasks.items():
        state[f'final_logits.{task}.weight'] = tensor(outputs, hidden, 1, 1)
        state[f'final_logits.{task}.bias'] = tensor(outputs)
    conv, bn, deform = {'current': ('0', '2', '3'), 'first_release': ('1', '3', '0')}[order]
    for index in range(len(tasks)):
        for block in range(depth):
            name = f'defor_mixers.{index}.blocks.{block}'
            state |= {f'{name}.{conv}.weight': tensor(dim, dim, 1, 1),
                      f'{name}.{conv}.bias': tensor(dim), **norm(f'{name}.{bn}', dim)}
            name = f'{name}.{deform}.fn'
            state |= {f'{name}.0.weight': tensor(dim, dim, 1, 1), f'{name}.0.bias': tensor(dim),
                      f'{name}.0.offset': tensor(1, 2 * dim, 1, 1),
                      f'{name}.0.get_offset.p_conv.weight': tensor(18, dim, 3, 3),
                      f'{name}.0.get_offset.p_conv.bias': tensor(18),
                      f'{name}.0.get_offset.opt.weight': tensor(2 * dim, 9, 3, 3),
                      f'{name}.0.get_offset.opt.bias': tensor(2 * dim), **norm(f'{name}.2', dim)}
    state |= {**linear('linear1.0', dim, sum(channels)), **norm('linear1.1', dim, False),
              **attention('task_fusion', dim), **linear('smlp.0', dim, dim),
              **norm('smlp.1', dim, False)}
    for index in range(len(tasks)):
        state |= {**linear(f'smlp2.{index}.0', dim, dim), **norm(f'smlp2.{index}.1', dim, False)}
    for index in range(len(tasks)):
        state |= attention(f'task_querys.{index}', dim)
    if gate:
        name = 'gmlps.gating.0.fn'
        state |= {**norm(f'{name}.ln1_0', dim, False), **linear(f'{name}.fc1_0', 2 * dim, dim),
                  **norm(f'{name}.sgu_0.ln', dim, False),
                  f'{name}.sgu_0.proj.weight': tensor(dim, dim, 1),
                  f'{name}.sgu_0.proj.bias': tensor(dim), **linear(f'{name}.fc2_0', dim, dim)}
    return state


def hrnet(width=4, modules=(1, 1, 1), blocks=1, layer1_blocks=1):
    """Return the state dict of an HRNet of ours, whose names are the official ones."""
    from demt_perception.networks.backbones.hrnet import HRNet
    backbone = HRNet(width, modules, blocks, layer1_blocks)
    return {key: value + 0.01 if value.is_floating_point() else value
            for key, value in backbone.state_dict().items()}


def demt(order='current', **options):
    """Return the state dict of a whole DeMT or DeMTG on a small HRNet."""
    return {**{f'backbone.{key}': value for key, value in hrnet().items()},
            **{f'head.{key}': value for key, value in demt_head(order=order, **options).items()}}
