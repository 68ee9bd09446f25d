"""The networks, as plain torch modules: ``create_model('demt', 'swin_t', tasks='nyud')``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from demt_perception.networks.backbones import create_backbone, list_backbones
from demt_perception.networks.baselines import MultiTaskHead, SingleTaskHead
from demt_perception.networks.demt import DeMTGHead, DeMTHead
from demt_perception.networks.demt_light import DeMTLightHead
from demt_perception.networks.fusing import fuse
from demt_perception.networks.heads import Head
from demt_perception.networks.model import MultiTaskModel
from demt_perception.networks.mti_net import MTINetHead
from demt_perception.networks.official import load_official
from demt_perception.networks.pad_net import PADNetHead
from demt_perception.networks.task_sets import resolve_tasks
from demt_perception.tasks import get_tasks

__all__ = ['Head', 'MultiTaskModel', 'create_backbone', 'create_head', 'create_model', 'fuse',
           'list_backbones', 'list_models', 'load_official', 'output_channels']

HEADS: dict[str, type[Head]] = {
    'demt': DeMTHead, 'demtg': DeMTGHead, 'mti_net': MTINetHead, 'pad_net': PADNetHead,
    'single_task': SingleTaskHead, 'multi_task': MultiTaskHead, 'demt_light': DeMTLightHead}
# Networks of Multi-Task-Learning-PyTorch (but for style fcn, which is ATRC's): one channel of
# saliency with a sigmoid, and backbones that differ in details from those of DeMT.
MTL = ('mti_net', 'pad_net', 'single_task', 'multi_task')


def list_models() -> tuple[str, ...]:
    """Return the names that ``create_model`` knows."""
    return tuple(HEADS)


def output_channels(tasks: tuple[str, ...], classes: int) -> dict[str, int]:
    """Return the head width of each task; a task without a fixed one has one per class."""
    return {task.name: task.channels or classes for task in get_tasks(tasks)}


def create_head(name: str, in_channels: Sequence[int], tasks: str | Mapping[str, int],
                **options: Any) -> Head:
    """Build a head alone, for feature maps of one's own.

    Args:
        name: one of ``list_models()``.
        in_channels: channels of four maps at strides 4/8/16/32.
        tasks: see ``create_model``.
        options: of the head's class.

    Raises:
        ValueError: a name or an option's value is unknown or does not fit.
        TypeError: the head has no such option.
    """
    if name not in HEADS:
        raise ValueError(f'model {name!r} is unknown: want one of {sorted(HEADS)}')
    saliency = 1 if name in MTL and options.get('style') != 'fcn' else 2
    return HEADS[name](in_channels, resolve_tasks(tasks, saliency), **options)


def create_model(name: str, backbone: str | nn.Module = 'efficientnet_lite0',
                 tasks: str | Mapping[str, int] = 'driving',
                 pretrained: bool | str | Path = False, **options: Any) -> MultiTaskModel:
    """Build a network with random weights, or with its backbone's pretrained ones.

    Args:
        name: one of ``list_models()``.
        backbone: one of ``list_backbones()``, ``timm/<name>``, or a module with attribute
            ``channels`` that gives four maps at strides 4/8/16/32. By name, it is built as the
            network's released code has it: HRNet of MTI-Net, PAD-Net and the baselines resizes
            once between scales, that of DeMT twice; style ``aspp`` has a dilated ResNet.
        tasks: ``nyud``, ``pascal_context``, ``driving`` or {task: output channels}.
        pretrained: a ``.safetensors`` file that ``demt import-backbone`` wrote, for a backbone
            given by name; or True where its weights come in a package (``efficientnet_lite0``,
            ``timm/<name>``).
        options: of the head's class, e.g. ``DeMTHead``; see docs/networks.md.

    Raises:
        ValueError: a name or an option's value is unknown or does not fit, no package has the
            pretrained weights, or ``pretrained`` is given with a module.
        TypeError: the head has no such option.
        ImportError: ``pretrained`` and the weights' package is missing.

    >>> import torch
    >>> model = create_model('demt_light', tasks={'semseg': 11, 'depth': 1}).eval()
    >>> {task: tuple(output.shape) for task, output in model(torch.rand(1, 3, 64, 96)).items()}
    {'semseg': (1, 11, 64, 96), 'depth': (1, 1, 64, 96)}
    """
    if isinstance(backbone, str):
        if name not in HEADS:
            raise ValueError(f'model {name!r} is unknown: want one of {sorted(HEADS)}')
        style = options.get('style')
        details: dict[str, Any] = {}
        if name in MTL and style != 'fcn' and backbone.startswith('hrnet'):
            details = {'resize_twice': False, 'momentum': 0.01}
        elif style == 'aspp' and backbone.startswith('resnet'):
            details = {'dilated': True}
        backbone = create_backbone(backbone, pretrained, **details)
    elif pretrained:
        raise ValueError(f'pretrained={pretrained!r} with a backbone that is built already: give '
                         'the backbone by name, or load its weights yourself')
    channels: Any = getattr(backbone, 'channels', None)
    if channels is None:
        raise ValueError(f'backbone {type(backbone).__name__} has no attribute `channels`: set it '
                         'to the channels of its four maps at strides 4/8/16/32')
    return MultiTaskModel(backbone, create_head(name, channels, tasks, **options))
