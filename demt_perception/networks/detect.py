"""Tell from official weights which network they are of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
import re
from typing import Any

from torch import Tensor

from demt_perception.networks.backbones import create_backbone
from demt_perception.networks.backbones.hrnet import HRNet
from demt_perception.networks.backbones.weights import RESNET_DEPTHS, SWIN_SIZES
from demt_perception.networks.model import MultiTaskModel
from demt_perception.networks.official import layout_of, sorted_by_name
from demt_perception.networks.task_sets import TASK_SETS

# The order of the released task sets; files sorted by name have lost it (spec 1.6).
TASK_ORDER = ('semseg', 'human_parts', 'sal', 'depth', 'normals', 'edge')
DEMT_HEADS, DEMTG_HEADS = 4, 2  # attention heads as released: the weights do not tell them
# Width, exchange modules of stages 2 to 4, blocks of a branch, blocks of stage 1.
HRNETS = {(18, (1, 3, 2), 2, 2): 'hrnet18', (48, (1, 4, 3), 4, 4): 'hrnet48'}


class UnknownNetworkError(ValueError):
    """The weights are of no network that is known; the text says what is missing."""


@dataclass(frozen=True)
class Description:
    """What a network is made of.

    Attributes:
        name: for ``create_model``.
        backbone: for ``create_backbone``, or ``hrnet`` for one of no standard size.
        tasks: {task: output channels}, in the order of the network.
        options: of the head.
        backbone_options: of the backbone.
    """

    name: str
    backbone: str
    tasks: dict[str, int]
    options: dict[str, Any] = field(default_factory=dict)
    backbone_options: dict[str, Any] = field(default_factory=dict)


def detect(state: Mapping[str, Tensor], task: str | None = None) -> Description:
    """Return which network official weights are of.

    Args:
        state: of ``read_checkpoint``.
        task: name of the task of a single-task network, which its weights do not tell.

    Raises:
        UnknownNetworkError: no network that is known has such keys, or ``task`` is missing.
    """
    given = {key.removeprefix('head.'): value for key, value in state.items()}
    if 'linear1.0.weight' in given:
        name, tasks, options = _demt(given)
    elif any(key.startswith('fpm_scale_3.') for key in given):
        name = 'mti_net'
        tasks = _channels(given, r'heads\.(\w+)\.last_layer\.3\.weight')
        options = _auxiliary(tasks, _channels(given, r'scale_0\.decoders\.(\w+)\.weight'))
    elif any(key.startswith('initial_task_prediction_heads.') for key in given):
        name = 'pad_net'
        tasks = _channels(given, r'heads\.(\w+)\.2\.weight')
        options = _auxiliary(tasks, _channels(
            given, r'initial_task_prediction_heads\.conv_out\.(\w+)\.weight'))
    elif any(key.startswith('decoders.') for key in given):
        name, (tasks, options) = 'multi_task', _decoders(given, r'decoders\.(\w+)\.')
    elif any(key.startswith('decoder.') for key in given):
        if task is None:
            raise UnknownNetworkError('the weights are of a single-task network, and do not tell '
                                      'of which task: give --task, e.g. --task semseg')
        name, (tasks, options) = 'single_task', _decoders(given, r'decoder\.()')
        tasks = dict.fromkeys([task] if tasks else [], *tasks.values())
    elif any(key.startswith('final_logits.') for key in given):
        name, options = 'multi_task', {'style': 'fcn'}
        tasks = _channels(given, r'final_logits\.(\w+)\.weight')
    else:
        raise UnknownNetworkError(
            f'no known network has the keys {list(state)[:4]} ... {list(state)[-4:]}: want '
            'weights of DeMT, DeMTG, MTI-Net, PAD-Net or one of their baselines')
    if not tasks:
        raise UnknownNetworkError(f'the weights look like {name} and have no task: their last '
                                  'layers are missing; is this the whole network?')
    atrc = name in ('demt', 'demtg') or options.get('style') == 'fcn'
    backbone, backbone_options = _backbone(given, atrc)
    if sorted_by_name(state):
        tasks = _in_order(tasks)
    return Description(name, backbone, tasks, options, backbone_options)


def build(description: Description) -> MultiTaskModel:
    """Return the network with random weights."""
    from demt_perception.networks import create_model
    options = description.backbone_options
    backbone = (HRNet(**options) if description.backbone == 'hrnet'
                else create_backbone(description.backbone, **options))
    return create_model(description.name, backbone, description.tasks, **description.options)


def _demt(given: Mapping[str, Tensor]) -> tuple[str, dict[str, int], dict[str, Any]]:
    tasks = _channels(given, r'final_logits\.(\w+)\.weight')
    gate = any(key.startswith('gmlps.') for key in given)
    try:
        order = layout_of(given)
    except ValueError as error:
        raise UnknownNetworkError(str(error)) from error
    numbers = [int(found[1]) for found in map(
        re.compile(r'defor_mixers\.\d+\.blocks\.(\d+)\.').match, given) if found]
    if order is None:
        raise UnknownNetworkError('the weights look like DeMT and have no `defor_mixers`')
    options: dict[str, Any] = {
        'dim': given['linear1.0.weight'].shape[0], 'depth': max(numbers) + 1, 'mixer': order,
        'heads': DEMTG_HEADS if gate else DEMT_HEADS}
    hidden = {value.shape[0] for key, value in given.items()
              if re.fullmatch(r'bottleneck\.\w+\.conv\.weight', key)}
    if len(hidden) == 1:
        options['hidden'] = hidden.pop()
    return 'demtg' if gate else 'demt', tasks, options


def _decoders(given: Mapping[str, Tensor], prefix: str) -> tuple[dict[str, int], dict[str, Any]]:
    hrnet = _channels(given, prefix + r'last_layer\.3\.weight')
    if hrnet:
        return hrnet, {'style': 'hrnet'}
    return _channels(given, prefix + r'4\.weight'), {'style': 'aspp'}


def _auxiliary(tasks: dict[str, int], auxiliary: dict[str, int]) -> dict[str, Any]:
    return {} if auxiliary == tasks else {'auxiliary': auxiliary}


def _channels(given: Mapping[str, Tensor], pattern: str) -> dict[str, int]:
    """Return {task: output channels} of the layers whose key matches."""
    matches = ((re.fullmatch(pattern, key), value) for key, value in given.items())
    return {found[1]: int(value.shape[0]) for found, value in matches
            if found and value.ndim > 1}


def _in_order(tasks: dict[str, int]) -> dict[str, int]:
    """Return tasks whose order is lost in the order of the released task sets."""
    names = list(tasks)
    for known in TASK_SETS.values():
        if set(known) == set(names):
            return {name: tasks[name] for name in known}
    rank = {name: index for index, name in enumerate(TASK_ORDER)}
    return {name: tasks[name] for name in sorted(names, key=lambda n: rank.get(n, len(rank)))}


def _backbone(given: Mapping[str, Tensor], atrc: bool) -> tuple[str, dict[str, Any]]:
    """Return name and options of the backbone, from the shapes of its weights.

    ``atrc``: DeMT and its baseline; the others are of Multi-Task-Learning-PyTorch, which resizes
    inside HRNet in one step and uses its ResNets dilated (spec 1.1, 3).
    """
    own = {re.sub(r'^backbone\.(0\.)?', '', key, count=1): value for key, value in given.items()
           if key.startswith('backbone.') and not key.startswith('backbone.1.last_layer.')}

    def count(pattern: str) -> int:
        matches = (re.match(pattern, key) for key in own)
        return 1 + max((int(found[1]) for found in matches if found), default=-1)

    if 'stage4.0.branches.0.0.conv1.weight' in own:
        shape = (own['stage4.0.branches.0.0.conv1.weight'].shape[0],
                 tuple(count(rf'stage{stage}\.(\d+)\.') for stage in (2, 3, 4)),
                 count(r'stage4\.0\.branches\.0\.(\d+)\.'), count(r'layer1\.(\d+)\.'))
        options = {} if atrc else {'resize_twice': False, 'momentum': 0.01}
        if shape in HRNETS:
            return HRNETS[shape], options
        return 'hrnet', dict(zip(('width', 'modules', 'blocks', 'layer1_blocks'), shape,
                                 strict=True)) | options
    if 'patch_embed.projection.weight' in own:
        size = (own['patch_embed.projection.weight'].shape[0],
                count(r'stages\.2\.blocks\.(\d+)\.'))
        if size in SWIN_SIZES:
            return SWIN_SIZES[size], {}
        raise UnknownNetworkError(f'the Swin backbone has {size[0]} channels and {size[1]} blocks '
                                  f'in its third stage, want one of {SWIN_SIZES}')
    if 'layer4.0.conv1.weight' in own:
        depths = tuple(count(rf'layer{stage}\.(\d+)\.') for stage in (1, 2, 3, 4))
        if depths in RESNET_DEPTHS:
            return RESNET_DEPTHS[depths], {} if atrc else {'dilated': True}
        raise UnknownNetworkError(f'the ResNet backbone has {depths} blocks, want {RESNET_DEPTHS}')
    raise UnknownNetworkError(
        f'the backbone with keys {list(own)[:4]} is unknown: want HRNet, Swin (mmseg layout) or '
        'ResNet; if the file holds a head only, give the whole network')
