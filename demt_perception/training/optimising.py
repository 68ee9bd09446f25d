"""Optimizers, learning rates and the running average of the weights."""

from collections.abc import Iterable, Mapping

import torch
from torch import nn, Tensor

from demt_perception.training.config import ConfigError, TrainConfig

POWER = 0.9  # of both papers' schedules


def create_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Return the optimizer of what learns; ``base_lr`` of a group is its rate at the start."""
    backbone = [p for name, p in network.named_parameters()
                if p.requires_grad and name.startswith('backbone.')]
    rest = [p for name, p in network.named_parameters()
            if p.requires_grad and not name.startswith('backbone.')]
    rates = (config.backbone_lr or config.lr), config.lr
    groups = [{'params': parameters, 'lr': lr, 'base_lr': lr}
              for parameters, lr in zip((backbone, rest), rates, strict=True) if parameters]
    if config.optimizer == 'sgd':
        return torch.optim.SGD(groups, config.lr, config.momentum,
                               weight_decay=config.weight_decay)
    kind = {'adam': torch.optim.Adam, 'adamw': torch.optim.AdamW}[config.optimizer]
    return kind(groups, config.lr, weight_decay=config.weight_decay)


def set_rate(optimizer: torch.optim.Optimizer, config: TrainConfig, step: int, steps: int,
             epoch: int) -> float:
    """Set every group's rate for a step and return the factor that it was multiplied by.

    Args:
        optimizer: of ``create_optimizer``.
        config: for schedule and warm-up.
        step: from 0.
        steps: of the whole run.
        epoch: steps of an epoch, for ``poly_epoch``.
    """
    if config.schedule == 'poly_epoch':
        done = (step // epoch) / max(1, -(-steps // epoch))
    else:
        done = step / steps
    factor = (1 - done) ** POWER
    if config.warmup:
        factor *= min(1.0, (step + 1) / config.warmup)
    for group in optimizer.param_groups:
        group['lr'] = group['base_lr'] * factor
    return float(factor)


def freeze(network: nn.Module, parts: Iterable[str], learn: Iterable[str] = ()) -> None:
    """Keep parts of a network, named like modules, as they are.

    Args:
        network: to train.
        parts: that stay.
        learn: the only ones that do not; () leaves it to ``parts``.

    Raises:
        ConfigError: a part does not exist.
    """
    if learn := tuple(learn):
        network.requires_grad_(False)
    for part in learn:
        _part(network, part, 'learn').requires_grad_(True)
    for part in parts:
        _part(network, part, 'freeze').requires_grad_(False)


def freeze_norms(network: nn.Module, parts: Iterable[str]) -> None:
    """Let the BatchNorm of some parts, and what does not learn, use and keep its statistics.

    Small batches of mixed datasets would spoil those of ImageNet. Call after ``train()``.

    Raises:
        ConfigError: a part does not exist.
    """
    for part in parts:
        for module in _norms(_part(network, part, 'freeze_norms')):
            module.eval()
    for module in _norms(network):
        if module.affine and not module.weight.requires_grad:
            module.eval()


def _norms(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [module for module in network.modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm)]


class Average:
    """Exponential moving average of a network's weights and running statistics.

    Args:
        weights: {name: tensor} that it starts from.
        decay: how much of the average stays at each step; less in the first steps.
    """

    def __init__(self, weights: Mapping[str, Tensor], decay: float):
        self.decay = decay
        self.values = {name: value.detach().clone() for name, value in weights.items()}

    @torch.no_grad()
    def update(self, weights: Mapping[str, Tensor], step: int) -> None:
        """Take in the weights after ``step`` steps."""
        decay = min(self.decay, step / (step + 10))
        for name, value in weights.items():
            if value.dtype.is_floating_point:
                self.values[name].lerp_(value, 1 - decay)
            else:
                self.values[name].copy_(value)

    @torch.no_grad()
    def swap(self, weights: Mapping[str, Tensor]) -> None:
        """Exchange the average and the weights, in place; twice is as before."""
        for name, value in weights.items():
            kept = value.clone()
            value.copy_(self.values[name])
            self.values[name].copy_(kept)


def _part(network: nn.Module, name: str, option: str) -> nn.Module:
    try:
        return network.get_submodule(name)
    except AttributeError as error:
        names = [part for part, _ in network.named_modules() if part.count('.') < 2 and part]
        raise ConfigError(f'{option}: the network has no part {name!r}; its parts are '
                          f'{", ".join(names[:30])}') from error
