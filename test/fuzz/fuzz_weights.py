"""Targets: checkpoints, of others and of training, and the figures beside them."""

from contextlib import suppress
from functools import cache
from pathlib import Path
import warnings

from fuzz_target import scratch_folder, Target
import torch

from demt_perception.model_card import file_sha256
from demt_perception.networks.checkpoint import CheckpointError, read_checkpoint
from demt_perception.training.checkpoints import (
    load_checkpoint,
    read_weights,
    save_checkpoint,
    STATE,
    SUMS,
)
from demt_perception.training.config import ConfigError
from demt_perception.training.failures import TrainingError
from demt_perception.training.measuring import read_figures


@cache
def folder() -> Path:
    return scratch_folder()


def official(data: bytes) -> None:
    """A checkpoint from elsewhere: torch's two formats, and safetensors."""
    path = folder() / 'weights.pth'
    path.write_bytes(data)
    with suppress(CheckpointError):
        state = read_checkpoint(path)
        assert all(isinstance(value, torch.Tensor) for value in state.values())
        assert sum(value.nelement() for value in state.values()) < 2 ** 40


def officials() -> list[bytes]:
    from safetensors.torch import save
    state = {'module.a.weight': torch.ones(2, 3), 'module.b': torch.arange(3)}
    found = [save(state)]
    for new in (True, False):
        path = folder() / 'made.pth'
        torch.save({'state_dict': state, 'epoch': 3}, path, _use_new_zipfile_serialization=new)
        found.append(path.read_bytes())
    return found


def own(data: bytes) -> None:
    """A checkpoint of training whose hashes are right, whatever its files hold."""
    size = int.from_bytes(data[:2], 'little')
    step = folder() / 'run' / 'step_1'
    step.mkdir(parents=True, exist_ok=True)
    contents = {STATE: data[2:2 + size], 'state.safetensors': data[2 + size:]}
    for name, content in contents.items():
        (step / name).write_bytes(content)
    (step / SUMS).write_text(''.join(
        f'{file_sha256(step / name)}  {name}\n' for name in sorted(contents)))
    with suppress(TrainingError), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        load_checkpoint(step.parent)
    with suppress(TrainingError):
        read_weights(step / 'state.safetensors')


def owns() -> list[bytes]:
    path = save_checkpoint(folder() / 'made', 1, {}, {'a': torch.ones(2), 'b': {1: [None, 'x']}})
    parts = [(path / name).read_bytes() for name in (STATE, 'state.safetensors')]
    return [len(parts[0]).to_bytes(2, 'little') + b''.join(parts)]


def figures(data: bytes) -> None:
    """Figures of single tasks, which Delta_m is measured against."""
    path = folder() / 'figures.json'
    path.write_bytes(data)
    with suppress(ConfigError):
        assert read_figures(str(path), {'depth': 1}).keys() == {'depth'}


TARGETS = {
    'checkpoint': Target(official, officials),
    'checkpoint of training': Target(own, owns, 1024),
    'single-task figures': Target(figures, lambda: [b'{"depth": 1.5}'], 64),
}
