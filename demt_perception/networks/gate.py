"""The gate that DeMTG adds after the task query, shared by all tasks. Source: spec 1.7."""

import torch
from torch import nn, Tensor


class TaskGate(nn.Module):
    """y + fc2(r * g), with r, g = halves of GELU(fc1(LN(y))) and g = proj(LN(g)).

    Tokens (..., dim) to the same. ``proj`` starts at zero weight and bias one, so that the gate
    starts open.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.expand = nn.Linear(dim, 2 * dim)
        self.act = nn.GELU()
        self.gate_norm = nn.LayerNorm(dim)
        self.gate_proj = nn.Linear(dim, dim)
        self.reduce = nn.Linear(dim, dim)
        nn.init.zeros_(self.gate_proj.weight)
        nn.init.ones_(self.gate_proj.bias)

    def forward(self, y: Tensor) -> Tensor:
        content, gate = torch.chunk(self.act(self.expand(self.norm(y))), 2, dim=-1)
        return y + self.reduce(content * self.gate_proj(self.gate_norm(gate)))
