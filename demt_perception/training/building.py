"""The network of a configuration, and its weights."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn, Tensor

from demt_perception.networks import create_model
from demt_perception.networks.model import MultiTaskModel
from demt_perception.training import checkpoints
from demt_perception.training.config import ConfigError, TrainConfig
from demt_perception.training.failures import TrainingError


def build(config: TrainConfig, pretrained: bool = False) -> MultiTaskModel:
    """Return the network of a configuration, its backbone with pretrained weights if wanted."""
    torch.manual_seed(config.seed)
    weights = config.pretrained == 'package' or config.pretrained or False
    try:
        return create_model(config.model, config.backbone, config.tasks,
                            weights if pretrained else False, **config.model_options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f'model {config.model}, backbone {config.backbone}: {error}') from error


def labels_needed(network: MultiTaskModel) -> dict[str, int]:
    """Return {task: channels} of the network's tasks and of those that only help to train."""
    auxiliary: Mapping[str, int] = getattr(network.head, 'auxiliary', {})
    return {**network.tasks, **auxiliary}


def load_weights(path: str | Path, network: nn.Module) -> None:
    """Load a file of weights into a network, strictly.

    Raises:
        TrainingError: the file is none, or is damaged, or of another network.
        OSError: it cannot be read.
    """
    _fill(network, _read(path), path)


def start_from(path: str | Path, network: nn.Module) -> list[str]:
    """Load what a file of weights has for a network; return the names that it lacks.

    Raises:
        TrainingError: the file is none, or is damaged, or has what the network has not, or has it
            in another shape.
        OSError: it cannot be read.
    """
    own, given = network.state_dict(), _read(path)
    _fill(network, {**own, **given}, path)
    return [name for name in own if name not in given]


def _read(path: str | Path) -> dict[str, Tensor]:
    # The first shipped weights are older than the split into backbone and head.
    return {key if key.startswith(('backbone.', 'head.')) else f'head.{key}': value
            for key, value in checkpoints.read_weights(path).items()}


def _fill(network: nn.Module, state: Mapping[str, Tensor], path: str | Path) -> None:
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise TrainingError(f'{path} is of another network: {error}') from error
