"""The light DeMT over maps: norms without tokens, scores without matrix products of 4x4."""

import pytest
import torch
from torch import nn

from demt_perception.networks import create_head, fuse
from demt_perception.networks.fusing.maps import centred, MapLinear, MapNorm, MapQuery
from demt_perception.networks.query import TaskQuery


def randomised(module):
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    return module.eval()


@torch.no_grad()
def test_a_centred_layer_and_its_norm_are_the_layer_norm():
    layer, norm = randomised(nn.Linear(24, 16)), randomised(nn.LayerNorm(16))
    x = torch.randn(2, 24, 5, 7) * 3 + 1
    wanted = norm(layer(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
    torch.testing.assert_close(MapLinear(layer, norm)(x), wanted, rtol=1e-5, atol=1e-5)
    assert centred(layer.weight.data).mean(0).abs().max() < 1e-7


@torch.no_grad()
def test_squares_do_not_overflow_in_half_precision():
    norm = MapNorm(nn.LayerNorm(4)).half()
    x = torch.tensor([400.0, -400, 300, -300]).half()[None, :, None, None]
    assert norm(x).flatten().tolist() == pytest.approx([1.131, -1.131, 0.849, -0.849], abs=2e-3)


@torch.no_grad()
@pytest.mark.parametrize('tasks', [1, 2, 5])
def test_a_query_over_maps_is_the_query_over_tokens(tasks):
    query = randomised(TaskQuery(16, 4))
    maps = torch.randn(tasks, 2, 16, 3, 5) * 4   # scores far apart
    tokens = maps.permute(1, 0, 3, 4, 2).flatten(2, 3)
    wanted = query(tokens[:, 0], tokens).unflatten(1, (3, 5)).permute(0, 3, 1, 2)
    torch.testing.assert_close(MapQuery(query)(maps[0], list(maps)), wanted, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_scores_that_a_power_cannot_hold_are_a_softmax_still():
    query = randomised(TaskQuery(16, 4))
    maps = torch.randn(3, 1, 16, 2, 2) * 100
    assert MapQuery(query)(maps[0], list(maps)).isfinite().all()


def test_attention_over_the_batch_is_refused():
    with pytest.raises(ValueError, match='batch_attention'):
        MapQuery(TaskQuery(16, 4, batch_attention=True))


def test_the_fused_head_has_no_tokens_left_and_the_trained_one_stays_as_it_was():
    head = create_head('demt_light', (8, 16, 24, 32), {'semseg': 3, 'depth': 1}, dim=16, hidden=8)
    before = {name: value.clone() for name, value in head.state_dict().items()}
    fused = fuse(head)
    assert not [m for m in fused.modules() if isinstance(m, (nn.Linear, nn.LayerNorm))]
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items())
