"""How much each task counts: fixed, or found while training.

All weightings are used alike: ``weighting.balance(losses, shared)`` and then
``total = weighting(losses)`` with {task: loss} in every iteration, ``weighting.end_epoch(means)``
after an epoch; what one of them does not need does nothing. ``parameters()`` go to the optimizer
(without weight decay), ``state_dict()`` to the checkpoint. With several processes give all the
same ``means``; GradNorm sees the batch of its own process only, so that its weights differ a
little between processes.
"""

from collections.abc import Iterable, Mapping
import math
from typing import Any

import torch
from torch import nn, Tensor

from demt_perception.tasks import get_tasks

CLASSIFICATION = ('classes', 'probability')
FLOOR = 1e-3  # GradNorm's step could make a weight negative: its task would be unlearned


class FixedWeights:
    """The same weights for ever; the other weightings say where they differ.

    Args:
        weights: {task: weight}.
    """

    def __init__(self, weights: Mapping[str, float]):
        self._weights = {task: float(weight) for task, weight in weights.items()}

    @property
    def weights(self) -> dict[str, float]:
        """The weights of now, to be logged."""
        return dict(self._weights)

    def __call__(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Return the weighted sum.

        Raises:
            ValueError: a task has no weight or no loss.
        """
        weights = self.weights
        _same_tasks(losses, weights)
        return sum(weights[task] * loss for task, loss in losses.items())

    def balance(self, losses: Mapping[str, Tensor], shared: Iterable[Tensor]) -> None:
        """Adapt to this batch.

        Args:
            losses: {task: loss}, with their graph, which stays.
            shared: weights that all tasks use; those of the last shared layer are enough.
        """

    def end_epoch(self, means: Mapping[str, float]) -> None:
        """Adapt to {task: mean loss of the epoch}."""

    def parameters(self) -> list[nn.Parameter]:
        """Return what the training's optimizer shall learn."""
        return []

    def state_dict(self) -> dict[str, Any]:
        """Return what a continued training needs: plain values and tensors."""
        return {'weights': self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state of the same tasks; raises ValueError if it is of others."""
        _same_tasks(state['weights'], self._weights)
        self._weights = {task: state['weights'][task] for task in self._weights}


class UncertaintyWeights(FixedWeights):
    """Learned noise: sum of exp(-s) L + s/2, for regression exp(-s) L/2 + s/2; s = log sigma^2.

    For a loss that stays as it is, sigma^2 settles at L (regression) or 2 L (classification). A
    task that no pixel of the batch is labelled for (loss 0) says nothing about its noise.
    Source: Kendall, Gal and Cipolla, CVPR 2018, equations 7 and 10.

    Args:
        tasks: names; the kind of a task (``tasks.Task``) says which form it has.
    """

    def __init__(self, tasks: Iterable[str]):
        self.factors = {task.name: 1.0 if task.kind in CLASSIFICATION else 0.5
                        for task in get_tasks(tasks)}
        super().__init__(self.factors)
        self.log_variances = {task: nn.Parameter(torch.zeros(())) for task in self.factors}

    @property
    def weights(self) -> dict[str, float]:
        """See ``FixedWeights``."""
        return {task: self.factors[task] * math.exp(-s.item())
                for task, s in self.log_variances.items()}

    def __call__(self, losses: Mapping[str, Tensor]) -> Tensor:
        """See ``FixedWeights``; the sum may be negative."""
        _same_tasks(losses, self.log_variances)
        return sum((losses[task].detach() != 0) * (
            self.factors[task] * torch.exp(-s) * losses[task] + s / 2)
            for task, s in self.log_variances.items())

    def parameters(self) -> list[nn.Parameter]:
        """See ``FixedWeights``."""
        return list(self.log_variances.values())

    def state_dict(self) -> dict[str, Any]:
        """See ``FixedWeights``."""
        return {'log_variances': {task: s.item() for task, s in self.log_variances.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See ``FixedWeights``."""
        _same_tasks(state['log_variances'], self.log_variances)
        with torch.no_grad():
            for task, s in self.log_variances.items():
                s.fill_(state['log_variances'][task])


class GradNorm(FixedWeights):
    """Weights that let all tasks train at similar rates, by the norms of their gradients.

    The wanted norm of a task is the mean norm times (its loss as a share of its first one, over
    the mean of these shares) to the power alpha; one step of Adam brings the weights nearer to
    it, then they are scaled to add up to the number of tasks. A task that no pixel of the batch
    is labelled for has no gradient and is left out.
    Source: Chen et al., ICML 2018, equations 1 and 2, algorithm 1.

    Args:
        tasks: names.
        alpha: 0 makes all norms equal, more pulls harder towards slow tasks.
        lr: step of the weights.
    """

    def __init__(self, tasks: Iterable[str], alpha: float = 1.5, lr: float = 0.025):
        super().__init__(dict.fromkeys(tasks, 1.0))
        self.alpha = alpha
        self.first: dict[str, float] = {}
        self.values = torch.ones(len(self._weights))
        self.optimizer = torch.optim.Adam([self.values], lr)

    def balance(self, losses: Mapping[str, Tensor], shared: Iterable[Tensor]) -> None:
        """See ``FixedWeights``."""
        _same_tasks(losses, self._weights)
        shared = list(shared)
        norms = {task: _gradient_norm(losses[task], shared) for task in self._weights}
        seen = [task for task, norm in norms.items() if norm > 0]
        if not seen:
            return
        shares = {task: losses[task].item() / self.first.setdefault(task, losses[task].item())
                  for task in seen}
        mean_share = sum(shares.values()) / len(seen)
        mean_norm = sum(self._weights[task] * norms[task] for task in seen) / len(seen)
        gradient = dict.fromkeys(self._weights, 0.0)
        for task in seen:
            wanted = mean_norm * (shares[task] / mean_share) ** self.alpha
            # Of |weight * norm - wanted|, where the paper holds the wanted norm constant.
            excess = self._weights[task] * norms[task] - wanted
            gradient[task] = math.copysign(norms[task], excess) if excess else 0.0
        self.values.grad = torch.tensor(list(gradient.values()))
        self.optimizer.step()
        self.values.clamp_(min=FLOOR)
        self.values.mul_(len(self._weights) / self.values.sum())
        self._weights = dict(zip(self._weights, self.values.tolist(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        """See ``FixedWeights``."""
        return super().state_dict() | {'first': dict(self.first),
                                       'optimizer': self.optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See ``FixedWeights``."""
        super().load_state_dict(state)
        self.first = dict(state['first'])
        self.values.copy_(torch.tensor(list(self._weights.values())))
        self.optimizer.load_state_dict(state['optimizer'])


class DynamicWeightAverage(FixedWeights):
    """Tasks whose loss fell least from one epoch to the next count more in the one after.

    Weights are the number of tasks times the softmax of loss(t-1) / loss(t-2) / temperature, and
    1 in the first two epochs. Source: Liu, Johns and Davison, CVPR 2019, equation 7 (DWA).

    Args:
        tasks: names.
        temperature: the higher, the more equal the weights.
    """

    def __init__(self, tasks: Iterable[str], temperature: float = 2.0):
        super().__init__(dict.fromkeys(tasks, 1.0))
        self.temperature = temperature
        self.previous: dict[str, float] = {}

    def end_epoch(self, means: Mapping[str, float]) -> None:
        """See ``FixedWeights``."""
        _same_tasks(means, self._weights)
        if self.previous:
            # A task without any label in an epoch has loss 0 and no rate: it counts as constant.
            ratios = {task: min(means[task] / before, 1e6) if (before := self.previous[task]) > 0
                      else 1.0 for task in self._weights}
            top = max(ratios.values())  # only differences count; the exponents stay small
            powers = {task: math.exp((r - top) / self.temperature) for task, r in ratios.items()}
            scale = len(powers) / sum(powers.values())
            self._weights = {task: scale * power for task, power in powers.items()}
        self.previous = dict(means)

    def state_dict(self) -> dict[str, Any]:
        """See ``FixedWeights``."""
        return super().state_dict() | {'previous': dict(self.previous)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See ``FixedWeights``."""
        super().load_state_dict(state)
        self.previous = dict(state['previous'])


def _gradient_norm(loss: Tensor, shared: list[Tensor]) -> float:
    """Return the Euclidean norm of the gradient over all shared weights."""
    if not loss.requires_grad:
        return 0.0
    gradients = torch.autograd.grad(loss, shared, retain_graph=True, allow_unused=True)
    return math.sqrt(sum(float(g.double().square().sum()) for g in gradients if g is not None))


def _same_tasks(given: Iterable[str], wanted: Iterable[str]) -> None:
    """Raise ValueError unless both name the same tasks."""
    if set(given) != set(wanted):
        raise ValueError(f'got tasks {sorted(given)}, this weighting has {sorted(wanted)}: '
                         'give it the tasks of the network, or continue with the same tasks')
