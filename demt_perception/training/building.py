"""The network of a configuration, and its weights."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn, Tensor

from demt_perception.model_card import CARD_FILE, WEIGHTS
from demt_perception.networks import create_model
from demt_perception.networks.model import MultiTaskModel
from demt_perception.training import checkpoints
from demt_perception.training.config import ConfigError, TrainConfig
from demt_perception.training.failures import TrainingError
from demt_perception.training.from_graph import weights_of_graph


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


def start_from(config: TrainConfig, network: nn.Module) -> list[str]:
    """Load what a file of weights, or a model folder, has; return the names that it lacks.

    A model folder without weights, as that of ``demt_driving_base``, has them in its graph.

    Raises:
        ConfigError: a graph does not have the statistics of the norms, and these are to learn.
        TrainingError: the file is none, or is damaged, or has what the network has not, or has it
            in another shape.
        OSError: it cannot be read.
    """
    path = Path(config.start_from)
    if path.is_dir():
        if not (path / WEIGHTS).exists():
            if not (path / CARD_FILE).exists():
                raise TrainingError(f'start_from: {path} has neither {WEIGHTS} nor a model: is '
                                    'its run finished?')
            if '' not in config.freeze_norms:
                raise ConfigError(f'start_from: {path} has no {WEIGHTS}, and its graph not the '
                                  "statistics of norms: set freeze_norms=['']")
            _fill(network, weights_of_graph(path, network), path)
            return []
        path /= WEIGHTS
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
