"""Official state dicts into our networks."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn, Tensor


def load_official(model_or_head: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """Load an official state dict; stub until written."""
    raise NotImplementedError
