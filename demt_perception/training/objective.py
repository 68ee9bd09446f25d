"""What a run minimises: the losses of its tasks and how they are weighed."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn, Tensor

from demt_perception.networks.heads import resize
from demt_perception.tasks import TASKS
from demt_perception.training.config import ConfigError, TrainConfig
from demt_perception.training.losses import driving, log_depth
from demt_perception.training.losses.boundary_aware import border_cross_entropy
from demt_perception.training.losses.consistency import normals_from_depth_loss
from demt_perception.training.losses.released import (
    DEMT_NYUD,
    DEMT_PASCAL,
    Loss,
    MTL,
    MTL_PARTIAL,
    WEIGHTS,
)
from demt_perception.training.losses.scale_invariant import scale_invariant_log
from demt_perception.training.losses.standing import standing_loss
from demt_perception.training.losses.supervision import FINAL, task_losses, UNCERTAINTIES
from demt_perception.training.losses.uncertainty import laplace
from demt_perception.training.losses.weighting import (
    DynamicWeightAverage,
    FixedWeights,
    GradNorm,
    UncertaintyWeights,
)

TABLES: dict[str, Mapping[str, Loss]] = {
    'demt_nyud': DEMT_NYUD, 'demt_pascal': DEMT_PASCAL, 'mtl': MTL, 'mtl_partial': MTL_PARTIAL}
DRIVING_WEIGHTS: Mapping[str, float] = {**WEIGHTS, 'normals': 0.7, 'edge': 5.0}
"""Those of the shipped models: the papers' weights are for losses of other sizes."""
LOG_DEPTH = ('driving',)
"""Tables of networks whose depth logits are logarithms (``deploy.depth_from_logits``)."""
OTHERS = ('border_cross_entropy', 'scale_invariant_log')
WEIGHTINGS: dict[str, Callable[[Mapping[str, float]], FixedWeights]] = {
    'fixed': FixedWeights, 'uncertainty': UncertaintyWeights, 'gradnorm': GradNorm,
    'dwa': DynamicWeightAverage}


class Objective:
    """The loss of a batch, with the weighting that a configuration asks for.

    Args:
        config: of the run.
        tasks: {task: channels} of the network, auxiliary ones too.

    Raises:
        ConfigError: a loss does not exist, or a setting does not fit the others.
    """

    def __init__(self, config: TrainConfig, tasks: Mapping[str, int]):
        for option, given in (('loss_weights', config.loss_weights),
                              ('loss_options', config.loss_options)):
            if strangers := sorted(set(given) - set(tasks)):
                raise ConfigError(f'{option}: the network has no task {strangers}, only '
                                  f'{sorted(tasks)}')
        self.log_depth = config.losses in LOG_DEPTH
        self.far, self.consistency = config.far, config.consistency
        self.uncertainty, self.standing = config.uncertainty, config.standing
        self.ground, self.stands = config.ground, config.stands
        if config.model_options.get('uncertainty') and not self.log_depth:
            raise ConfigError(f'model_options.uncertainty with losses {config.losses}: only '
                              f'{", ".join(LOG_DEPTH)} knows the logarithm of depth')
        if self.consistency and (config.protocol != 'driving' or not {'depth', 'normals'}
                                 <= set(tasks)):
            raise ConfigError(
                f'consistency {config.consistency}: wants tasks depth and normals and protocol '
                f'driving, which knows the camera; have {sorted(tasks)} and {config.protocol}')
        if self.standing and not (self.log_depth and {'depth', 'semseg'} <= set(tasks)
                                  and self.ground and self.stands):
            raise ConfigError(
                f'standing {config.standing}: wants tasks depth and semseg, losses '
                f'{", ".join(LOG_DEPTH)}, and the ids in ground and stands; have {sorted(tasks)}, '
                f'{config.losses}, {self.ground} and {self.stands}')
        if config.weighting != 'fixed' and config.loss_weights:
            raise ConfigError(f'weighting {config.weighting} finds the weights itself: leave out '
                              'loss_weights')
        self._needs = {option: needed for option, needed in (
            ('consistency', ('depth', 'normals')), ('standing', ('depth',)))
            if getattr(self, option)}
        self.class_weights = class_weights(config.class_shares, tasks.get('semseg', 0))
        self.losses = {task: self._loss(config, task) for task in tasks}
        usual = DRIVING_WEIGHTS if config.losses == 'driving' else WEIGHTS
        weights = {task: config.loss_weights.get(task, usual[task]) for task in tasks}
        self.weighting = WEIGHTINGS[config.weighting](weights)

    def __call__(self, outputs: Mapping[str, Any],
                 batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the total and the unweighted parts, detached, ``<task>`` or ``<task>/<stage>``.

        Args:
            outputs: of the network, see ``supervision.predictions``.
            batch: labels.
        """
        for option, needed in self._needs.items():
            if absent := [task for task in needed if task not in outputs]:
                raise ConfigError(f'{option}: the network learns {absent} as auxiliary only, and '
                                  f'does not put it out: leave out {option}')
        stages = task_losses(outputs, batch, self.losses)
        self.of_tasks = {task: sum(parts.values(), torch.zeros((), device=loss_device(parts)))
                         for task, parts in stages.items()}
        total = self.weighting(self.of_tasks)
        values = {task if stage == FINAL else f'{task}/{stage}': loss.detach()
                  for task, parts in stages.items() for stage, loss in parts.items()}
        if self.consistency:
            loss = self._agreement(outputs, batch)
            total, values['consistency'] = total + self.consistency * loss, loss.detach()
        if self.standing:
            size = batch['depth'].shape[-2:]
            loss = standing_loss(
                self.metres(resize(outputs['depth'].float(), (size[0], size[1]))), batch['semseg'],
                ~torch.isfinite(batch['depth']), self.ground, self.stands)
            total, values['standing'] = total + self.standing * loss, loss.detach()
        # Not among the task's stages: a learned weighting would take it for a harder task.
        for name, task in UNCERTAINTIES.items():
            if name in outputs:
                loss = self._likelihood(outputs[name], outputs[task], batch[task])
                total, values[name] = total + self.uncertainty * loss, loss.detach()
        return total, values

    def _loss(self, config: TrainConfig, task: str) -> Loss:
        name = config.loss_options.get(task, '')
        if name == 'border_cross_entropy' and TASKS[task].kind == 'classes':
            return border_cross_entropy
        if name == 'scale_invariant_log' and TASKS[task].kind == 'scalar':
            return lambda logits, target: scale_invariant_log(self.metres(logits), target)
        if name:
            raise ConfigError(f'loss_options.{task}: {name!r}, want one of {", ".join(OTHERS)} '
                              'for a task of its kind (classes, depth)')
        if config.losses != 'driving':
            return TABLES[config.losses][task]
        weights = (self.class_weights if TASKS[task].channels is None
                   else torch.ones(TASKS[task].channels or 0))
        return partial(_driving, driving.LOSSES[TASKS[task].loss], weights, config.far)

    def metres(self, logits: Tensor) -> Tensor:
        """Return depth (B,1,h,w) of depth logits of the same shape."""
        if self.log_depth:
            return log_depth.metres(logits, self.far)[:, None]
        return logits

    def _likelihood(self, log_scale: Tensor, logits: Tensor, target: Tensor) -> Tensor:
        size = target.shape[-2], target.shape[-1]
        return laplace(resize(log_scale.float(), size), resize(logits.float(), size), target,
                       self.far)

    def _agreement(self, outputs: Mapping[str, Any], batch: Mapping[str, Tensor]) -> Tensor:
        known = torch.isfinite(batch['camera']).all(1)
        if not known.any():
            return outputs['depth'].sum() * 0
        size = batch['depth'].shape[-2:]
        fine = {task: resize(outputs[task].float(), (size[0], size[1]))[known]
                for task in ('depth', 'normals')}
        camera = batch['camera'][known]
        return normals_from_depth_loss(self.metres(fine['depth']), fine['normals'], camera[:, :2],
                                       camera[:, 2:])


def class_weights(shares: tuple[float, ...], classes: int) -> Tensor:
    """Return the weight of each class, of mean 1, by its share of the labelled pixels.

    Raises:
        ConfigError: the shares are not one for each class.
    """
    if not shares:
        return torch.ones(classes)
    if len(shares) != classes:
        raise ConfigError(f'class_shares has {len(shares)} numbers, the network {classes} classes')
    weights = 1 / torch.log(1.1 + torch.tensor(shares))
    return weights / weights.mean()


def last_shared(network: nn.Module) -> list[Tensor]:
    """Return the weights of the last layer that all tasks use: the backbone's last."""
    backbone: Any = network.get_submodule('backbone')
    weights = [p for p in backbone.parameters() if p.requires_grad and p.ndim > 1]
    return weights[-1:]


def loss_device(parts: Mapping[str, Tensor]) -> torch.device:
    """Return where the losses are."""
    return next(iter(parts.values())).device


def _driving(loss: Callable[..., Tensor], weights: Tensor, far: float, logits: Tensor,
             target: Tensor) -> Tensor:
    return loss(logits, target, weights.to(logits.device), far)
