"""Inference forms of the pyramid heads: being written."""

from collections.abc import Callable
from typing import Any

from torch import nn

FUSED: dict[type[nn.Module], Callable[[Any], nn.Module]] = {}
