"""Losses: of the driving tasks, of the published code, optional ones, and their weighting.

``driving`` trains our own networks, ``released`` and ``supervision`` the papers' ones.
"""

from demt_perception.training.losses.driving import (
    balanced_bce,
    balanced_cross_entropy,
    cosine_l1,
    cross_entropy,
    log_l1,
    LOSSES,
    multi_task_loss,
)

__all__ = ['LOSSES', 'balanced_bce', 'balanced_cross_entropy', 'cosine_l1', 'cross_entropy',
           'log_l1', 'multi_task_loss']
