"""Depth in losses: the exported values, and a way back from the sky."""

import pytest

torch = pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')

from demt_perception.networks.deploy import depth_from_logits
from demt_perception.training.losses import LOSSES
from demt_perception.training.losses.distilling import distillation
from demt_perception.training.losses.log_depth import metres

FAR = 150.0
LIMIT = torch.log(torch.tensor(FAR)).item() - 2.5   # the logit of it


def logit(value):
    return torch.full((1, 1, 1, 1), float(value), requires_grad=True)


def gradient(loss, x):
    loss.backward()
    return x.grad.item()


def test_the_values_are_the_exported_ones():
    logits = torch.linspace(-30, 30, 601).reshape(1, 1, 1, -1)
    assert torch.equal(metres(logits, FAR), depth_from_logits(logits, FAR))


@pytest.mark.parametrize('beyond', [0.01, 0.5, 4.0])
def test_what_is_near_and_was_taken_for_sky_learns_that_it_is_near(beyond):
    x = logit(LIMIT + beyond)
    loss = LOSSES['log_l1'](x, torch.full((1, 1, 1), 20.0), torch.ones(1), FAR)
    assert loss.item() == pytest.approx(torch.log(torch.tensor(FAR / 20)).item(), rel=1e-5)
    assert gradient(loss, x) == pytest.approx(1)
    x = logit(LIMIT + beyond)
    loss = distillation('depth', x, torch.full((1, 1, 1), 3.0), torch.ones(1, 1, 1).bool(),
                        lambda logits: metres(logits, FAR)[:, None])
    assert gradient(loss, x) == pytest.approx(1)


@pytest.mark.parametrize('beyond', [0.0, 0.01, 0.5, 4.0])
def test_sky_beyond_the_limit_is_left_there(beyond):
    x = logit(LIMIT + beyond)
    loss = LOSSES['log_l1'](x, torch.full((1, 1, 1), FAR), torch.ones(1), FAR)
    assert (loss.item(), gradient(loss, x)) == (0, 0)
    x = logit(LIMIT + beyond)
    wanted = torch.log(torch.full((1, 1, 1), FAR))
    loss = distillation('depth', x, wanted, torch.ones(1, 1, 1).bool(),
                        lambda logits: metres(logits, FAR)[:, None])
    assert (loss.item(), gradient(loss, x)) == (0, 0)


def test_sky_that_is_near_learns_that_it_is_far():
    x = logit(LIMIT - 1.5)
    loss = LOSSES['log_l1'](x, torch.full((1, 1, 1), FAR), torch.ones(1), FAR)
    assert gradient(loss, x) == pytest.approx(-1)
