"""The networks, as plain torch modules."""

from collections.abc import Mapping
from typing import Any

from demt_perception.networks.demt import DeMT
from demt_perception.networks.efficientnet_lite import EfficientNetLite0, imagenet_weights
from demt_perception.tasks import get_tasks

__all__ = ['DeMT', 'create_model', 'list_models', 'output_channels']

BACKBONES = {'efficientnet_lite0': (EfficientNetLite0, imagenet_weights)}
MODELS = {'demt': DeMT}


def list_models() -> tuple[str, ...]:
    """Return the names that ``create_model`` knows."""
    return tuple(MODELS)


def output_channels(tasks: tuple[str, ...], classes: int) -> dict[str, int]:
    """Return the head width of each task; a task without a fixed one has one per class."""
    return {task.name: task.channels or classes for task in get_tasks(tasks)}


def create_model(name: str, backbone: str = 'efficientnet_lite0',
                 outputs: Mapping[str, int] | None = None, pretrained: bool = False,
                 **options: Any) -> DeMT:
    """Build a network with random or ImageNet-trained encoder weights.

    Args:
        name: one of ``list_models()``.
        backbone: encoder name.
        outputs: {task: channels}, see ``output_channels``; default: all driving tasks with 11
            classes.
        pretrained: load the encoder's ImageNet weights.
        options: passed to the network.

    Raises:
        ValueError: unknown name.
        ImportError: ``pretrained`` and the weights' package is missing.
    """
    if name not in MODELS:
        raise ValueError(f'model {name!r} is unknown: want one of {sorted(MODELS)}')
    if backbone not in BACKBONES:
        raise ValueError(f'backbone {backbone!r} is unknown: want one of {sorted(BACKBONES)}')
    encoder_class, weights = BACKBONES[backbone]
    encoder = encoder_class()
    if pretrained:
        encoder.load_imagenet(weights())
    if outputs is None:
        outputs = output_channels(('semseg', 'depth', 'normals', 'edge'), 11)
    return MODELS[name](encoder, outputs, **options)
