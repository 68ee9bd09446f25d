"""Weights in the layouts of the released code: DeMT, DeMTG, Multi-Task-Learning-PyTorch, ATRC.

For every tensor of ours this knows the official one it comes from (spec 5.2), so that whatever
does not fit is reported in the names that the user's file has.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
import re

import torch
from torch import nn, Tensor

from demt_perception.networks.heads import Head

# Where each Linear of the attention layers lies in the official `in_proj`, which stacks three.
IN_PROJ = {'query': 0, 'key': 1, 'value': 2}
# Indices inside an official mixer block: channel conv, its BatchNorm, residual deformable half.
MIXER_ORDERS = {'current': ('0', '2', '3.fn'), 'first_release': ('1', '3', '0.fn')}
FIRST_RELEASE_KEY = re.compile(r'defor_mixers\.\d+\.blocks\.\d+\.0\.fn\.')
CURRENT_KEY = re.compile(r'defor_mixers\.\d+\.blocks\.\d+\.3\.fn\.')
# Fixed tables, not weights: ours are computed. May be in the file or not.
TOLERATED = re.compile(
    r'.*(defor_mixers\..*\.offset|\.relative_position_index|\.attn_mask|num_batches_tracked)$')

# Our name inside the head to the official one. {task} is the task's index, {channel}, {norm} and
# {spatial} are those of MIXER_ORDERS.
_DEMT_RULES = tuple((re.compile(own), official) for own, official in (
    (r'aggregation\.project\.(\w+)', r'linear1.0.\1'),
    (r'aggregation\.norm\.(\w+)', r'linear1.1.\1'),
    (r'mixers\.(?P<task>\w+)\.(\d+)\.channel\.0\.(\w+)',
     r'defor_mixers.{task}.blocks.\2.{channel}.\3'),
    (r'mixers\.(?P<task>\w+)\.(\d+)\.channel\.2\.(\w+)',
     r'defor_mixers.{task}.blocks.\2.{norm}.\3'),
    (r'mixers\.(?P<task>\w+)\.(\d+)\.spatial\.0\.((?:p_conv|opt)\.\w+)',
     r'defor_mixers.{task}.blocks.\2.{spatial}.0.get_offset.\3'),
    (r'mixers\.(?P<task>\w+)\.(\d+)\.spatial\.(\d\.\w+)',
     r'defor_mixers.{task}.blocks.\2.{spatial}.\3'),
    (r'interaction\.(?:query|key|value)\.(weight|bias)', r'task_fusion.in_proj_\1'),
    (r'interaction\.out\.(\w+)', r'task_fusion.out_proj.\1'),
    (r'interaction\.smlp\.(\d\.\w+)', r'smlp.\1'),
    (r'queries\.(?P<task>\w+)\.(?:query|key|value)\.(weight|bias)',
     r'task_querys.{task}.in_proj_\2'),
    (r'queries\.(?P<task>\w+)\.out\.(\w+)', r'task_querys.{task}.out_proj.\2'),
    (r'queries\.(?P<task>\w+)\.smlp\.(\d\.\w+)', r'smlp2.{task}.\2'),
    (r'gate\.norm\.(\w+)', r'gmlps.gating.0.fn.ln1_0.\1'),
    (r'gate\.expand\.(\w+)', r'gmlps.gating.0.fn.fc1_0.\1'),
    (r'gate\.gate_norm\.(\w+)', r'gmlps.gating.0.fn.sgu_0.ln.\1'),
    (r'gate\.gate_proj\.(\w+)', r'gmlps.gating.0.fn.sgu_0.proj.\1'),
    (r'gate\.reduce\.(\w+)', r'gmlps.gating.0.fn.fc2_0.\1'),
))


@dataclass(frozen=True)
class _Source:
    """Where a tensor of ours comes from: a third of ``key`` where ``part`` is given."""

    key: str
    shape: tuple[int, ...]
    part: int | None = None


def load_official(model_or_head: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """Load the weights of the released code into a network of ours, strictly.

    Nothing is loaded unless everything fits. Buffers that are no weights (``offset``,
    ``relative_position_index``, ``attn_mask``, ``num_batches_tracked``) may be absent or present.

    Args:
        model_or_head: a ``MultiTaskModel`` or a ``Head`` of ``create_model``/``create_head``; a
            head takes only the head's part of a whole network's weights, with or without the
            prefix ``head.``.
        state_dict: official names to tensors, of any floating type; a prefix ``module.``
            (DataParallel) is tolerated. See ``checkpoint.read_checkpoint`` for files.

    Raises:
        ValueError: lists every key that is missing, unexpected or has the wrong shape; or the
            order of the mixer's halves or of the tasks is not the one that the model was created
            with, which would run but compute something else.
    """
    given = {key.removeprefix('module.'): value for key, value in state_dict.items()}
    head = model_or_head if isinstance(model_or_head, Head) else getattr(
        model_or_head, 'head', None)
    if not isinstance(head, Head):
        raise ValueError(f'{type(model_or_head).__name__} is neither a Head nor a MultiTaskModel: '
                         'create it with create_model or create_head')
    _check_order(head, given)
    prefix = 'head.' if any(key.startswith('head.') for key in given) else ''
    own = model_or_head.state_dict()
    sources = {name: _source(name, value, head, prefix, alone=model_or_head is head)
               for name, value in own.items()}
    if model_or_head is head:
        belongs = {source.key for source in sources.values()}
        given = {key: value for key, value in given.items()
                 if key in belongs or not key.startswith('backbone.')}
    problems = [*_misfits(sources, given)]
    if problems:
        raise ValueError(f'{len(problems)} keys do not fit {type(head).__name__} with tasks '
                         f'{head.tasks}:\n  ' + '\n  '.join(problems) + '\nCreate the model that '
                         'the weights are for (backbone, tasks and options), or give its weights')
    with torch.no_grad():
        for name, source in sources.items():
            if source.key in given:
                value = given[source.key]
                if source.part is not None:
                    value = value.chunk(3)[source.part]
                own[name].copy_(value.reshape(own[name].shape))


def _misfits(sources: Mapping[str, _Source], given: Mapping[str, Tensor]) -> Iterator[str]:
    """Yield a line for every key that does not fit, in the official names."""
    wanted = {source.key: source.shape for source in sources.values()}
    for key, shape in wanted.items():
        if key not in given:
            if not TOLERATED.match(key):
                yield f'missing: {key} {list(shape)}'
        elif not isinstance(given[key], Tensor):
            yield f'not a tensor: {key} is {type(given[key]).__name__}, want {list(shape)}'
        elif tuple(given[key].shape) != shape:
            yield f'wrong shape: {key} is {list(given[key].shape)}, want {list(shape)}'
    for key in given:
        if key not in wanted and not TOLERATED.match(key):
            yield f'unexpected: {key}'


def _source(name: str, value: Tensor, head: Head, prefix: str, alone: bool) -> _Source:
    """Return the official tensor that a tensor of our state dict comes from."""
    shape = tuple(value.shape)
    inside = name if alone else name.removeprefix('head.')
    if not alone and inside == name:  # the backbone's, whose names are the official ones
        separate = any(key.startswith('fuse.') for key in head.state_dict())
        return _Source(name.replace('backbone.', 'backbone.0.', 1) if separate else name, shape)
    if inside.startswith('fuse.'):  # PAD-Net's is officially the backbone's second half
        return _Source(f'backbone.1.{inside.removeprefix("fuse.")}', shape)
    for pattern, template in _DEMT_RULES:
        found = pattern.fullmatch(inside)
        if found:
            return _demt_source(inside, prefix + _fill(found.expand(template), found, head), shape)
    only = next(iter(head.tasks)) if is_single_task(head) else ''
    return _Source(prefix + inside.replace(f'decoders.{only}.', 'decoder.', 1), shape)


def _demt_source(inside: str, key: str, shape: tuple[int, ...]) -> _Source:
    if '.in_proj_' in key:
        return _Source(key, (3 * shape[0], *shape[1:]), IN_PROJ[inside.split('.')[-2]])
    if key.endswith('sgu_0.proj.weight'):  # officially a Conv1d of kernel 1
        shape = (*shape, 1)
    return _Source(key, shape)


def _fill(key: str, found: re.Match[str], head: Head) -> str:
    task = found.groupdict().get('task')
    if task is None:
        return key
    channel, norm, spatial = MIXER_ORDERS[mixer_order(head) or 'current']
    return key.format(task=list(head.tasks).index(task), channel=channel, norm=norm,
                      spatial=spatial)


def is_single_task(head: Head) -> bool:
    """Return whether this is the single-task baseline, whose decoder has no task in its names."""
    from demt_perception.networks.baselines import SingleTaskHead
    return isinstance(head, SingleTaskHead)


def mixer_order(head: nn.Module) -> str | None:
    """Return ``current`` or ``first_release``; None where the head has no deformable mixer."""
    orders = {bool(module.first_release) for module in head.modules()
              if hasattr(module, 'first_release')}
    return ('first_release' if orders.pop() else 'current') if orders else None


def layout_of(keys: Mapping[str, Tensor]) -> str | None:
    """Return the mixer order that a file's keys tell, None where it has no mixer.

    Raises:
        ValueError: the keys mix both orders.
    """
    first = next((key for key in keys if FIRST_RELEASE_KEY.search(key)), None)
    current = next((key for key in keys if CURRENT_KEY.search(key)), None)
    if first and current:
        raise ValueError(f'the keys mix both orders of the mixer halves: {first} is of the first '
                         f'release, {current} of the current code; want one of them')
    return 'first_release' if first else 'current' if current else None


def tasks_in_order(keys: Mapping[str, Tensor], folder: str) -> list[str]:
    """Return the task names in keys ``<folder>.<task>.*``, in the order of appearance."""
    pattern = re.compile(rf'(?:^|\.){re.escape(folder)}\.(\w+)\.')
    return list(dict.fromkeys(found[1] for found in map(pattern.search, keys) if found))


def sorted_by_name(state: Mapping[str, Tensor]) -> bool:
    """Return whether a file's keys are sorted (safetensors sorts within each data type).

    Then their order tells nothing. The names of the tasks alone do not show that: DeMT's tasks
    may be given in any order, the alphabetical one too.
    """
    kinds: dict[torch.dtype, list[str]] = {}
    for key, value in state.items():
        if isinstance(value, Tensor):
            kinds.setdefault(value.dtype, []).append(key)
    return all(keys == sorted(keys) for keys in kinds.values())


def _check_order(head: Head, given: Mapping[str, Tensor]) -> None:
    """Refuse what would load but compute something else."""
    seen, own = layout_of(given), mixer_order(head)
    if seen and own and seen != own:
        raise ValueError(f'the weights have the mixer order {seen!r}, the model {own!r}, and '
                         'these are different functions: create the model with '
                         f'mixer={seen!r}')
    tasks = tasks_in_order(given, 'final_logits')
    if (seen and not sorted_by_name(given) and set(tasks) == set(head.tasks)
            and tasks != list(head.tasks)):
        raise ValueError(f'the weights have the tasks in the order {tasks}, the model in '
                         f'{list(head.tasks)}, and mixers are numbered: create the model with the '
                         'tasks in the order of the weights')
