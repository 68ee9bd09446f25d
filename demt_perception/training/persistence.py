"""A run folder: configuration, checkpoints, weights; and continuing from it."""

from collections.abc import Mapping
import os
from pathlib import Path
from typing import Any

from torch import Tensor

from demt_perception.model_card import WEIGHTS
from demt_perception.training import checkpoints, processes
from demt_perception.training.claim import claim
from demt_perception.training.config import (
    CONFIG,
    ConfigError,
    load_config,
    save_config,
    TrainConfig,
)

CHECKPOINTS = 'checkpoints'
BEST = 'best.safetensors'
# What may change between the parts of a run without changing its result.
FREE = ('out', 'root', 'workers', 'threads', 'save_every', 'log_every', 'panels', 'accelerator',
        'validate_every', 'strategy', 'compile', 'channels_last', 'accumulate', 'sources',
        'single_task', 'classes', 'palette', 'start_from', 'depth_range', 'assumed_hfov')


def save(run: Any) -> None:
    """Write a checkpoint of a ``trainer.Run``; all processes must call it."""
    tensors = {'network': processes.whole(run.weights())}
    if run.average is not None:
        tensors['average'] = processes.whole(run.average.values)
    scaler = getattr(run.fabric.strategy.precision, 'scaler', None)
    state = {
        'optimizer': processes.whole_tree(run.optimizer.state_dict()),
        'weighting': run.objective.weighting.state_dict(),
        'weight_optimizer': run.weight_optimizer and run.weight_optimizer.state_dict(),
        'scaler': scaler and scaler.state_dict(), 'sums': run.sums, 'best': run.best,
        'pictures': run.digest}
    if run.fabric.is_global_zero:
        checkpoints.save_checkpoint(run.out / CHECKPOINTS, run.step, tensors, state)
    run.fabric.barrier()


def resume(run: Any) -> int:
    """Load the newest checkpoint into a ``trainer.Run``; return its step, 0 without one.

    Raises:
        ConfigError: the folder holds a run with other settings.
        TrainingError: every checkpoint is damaged, or another process trains in the folder.
    """
    if run.fabric.is_global_zero:
        run.out.mkdir(parents=True, exist_ok=True)
        run.claim = claim(run.out)
        _same_run(run.config, run.out / CONFIG)
    run.fabric.barrier()
    found = checkpoints.load_checkpoint(run.out / CHECKPOINTS)
    if found is None:
        return 0
    step, tensors, state = found
    _fill(run.weights(), tensors['network'])
    if run.average is not None:
        _fill(run.average.values, tensors['average'])
    processes.load_optimizer(run.optimizer, state['optimizer'])
    run.objective.weighting.load_state_dict(state['weighting'])
    if run.weight_optimizer is not None:
        run.weight_optimizer.load_state_dict(state['weight_optimizer'])
    if state['scaler']:
        run.fabric.strategy.precision.scaler.load_state_dict(state['scaler'])
    run.sums, run.best = state['sums'], state['best']
    run.other_pictures = state.get('pictures', run.digest) != run.digest
    return step


def write_weights(run: Any, name: str) -> Path:
    """Write the weights: for WEIGHTS the average where there is one, else those of now."""
    if name == WEIGHTS and run.average is not None:
        values = processes.whole(run.average.values)
    else:
        values = processes.whole(run.weights())
    if run.fabric.is_global_zero:
        checkpoints.write_weights(run.out / name, values)
    run.fabric.barrier()
    return run.out / name


def _fill(targets: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, target in targets.items():
        processes.fill(target, values[name])


def _same_run(config: TrainConfig, path: Path) -> None:
    """Keep the configuration beside the run, and refuse to continue with another one."""
    if path.exists():
        before = load_config(path)
        changed = [name for name in vars(config) if name not in FREE
                   and _comparable(getattr(config, name)) != _comparable(getattr(before, name))]
        if changed:
            raise ConfigError(
                f'{path.parent} holds a run with other settings: ' + ', '.join(
                    f'{name} {getattr(before, name)!r}, now {getattr(config, name)!r}'
                    for name in changed) + '; set another out, or remove that folder')
        _same_order(before, config, path.parent)
    temporary = path.with_suffix('.tmp')
    save_config(config, temporary)
    os.replace(temporary, path)


def _same_order(before: TrainConfig, config: TrainConfig, folder: Path) -> None:
    """Let classes be called otherwise, but never be numbered otherwise."""
    moved = [name for name in before.classes if name in config.classes
             and config.classes.index(name) != before.classes.index(name)]
    if moved:
        raise ConfigError(
            f'{folder} holds a run with the classes {", ".join(before.classes)}, now in another '
            f'order, {", ".join(config.classes)}: other ids are other labels; want that order '
            'again, or another out')


def _comparable(value: Any) -> Any:
    """Leave the folders out of datasets: they may lie elsewhere on the next machine."""
    if isinstance(value, list):
        return [{**vars(source), 'root': ''} for source in value]
    return value
