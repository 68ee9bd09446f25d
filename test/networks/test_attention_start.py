"""Attention starts as torch's ``nn.MultiheadAttention``, which the released code has."""

import pytest
import torch
from torch import nn

from demt_perception.networks.interaction.published import PublishedInteraction
from demt_perception.networks.query import TaskQuery

DIM, HEADS = 192, 4


@pytest.mark.parametrize('make', [TaskQuery, PublishedInteraction])
def test_weights_have_the_spread_of_torch_and_biases_are_zero(make):
    wanted, found = nn.MultiheadAttention(DIM, HEADS), make(DIM, HEADS)
    parts = wanted.in_proj_weight.chunk(3)
    for layer, part in zip((found.query, found.key, found.value), parts, strict=True):
        assert layer.weight.std().item() == pytest.approx(part.std().item(), rel=0.02)
        assert layer.weight.abs().max().item() == pytest.approx(part.abs().max().item(), rel=1e-2)
        assert not layer.bias.any()
    assert found.out.weight.std().item() == pytest.approx(
        wanted.out_proj.weight.std().item(), rel=0.02)
    assert not found.out.bias.any() and not torch.any(wanted.out_proj.bias)
