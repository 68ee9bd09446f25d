"""Losses against the official numbers, and their rules for pixels without label."""

import json
from pathlib import Path

import pytest

torch = pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')

from demt_perception.training.losses import (
    balanced_bce,
    cosine_l1,
    LOSSES,
    multi_task_loss,
)

GOLDEN = Path(__file__).resolve().parents[3] / 'shared' / 'golden'
NO_WEIGHTS = torch.ones(11)


def test_normals_loss_and_gradient_equal_the_official_ones():
    safetensors = pytest.importorskip('safetensors.torch')
    if not GOLDEN.exists():
        pytest.skip(f'{GOLDEN} is not at hand')
    arrays = safetensors.load_file(GOLDEN / 'losses_metrics.safetensors')
    values = json.loads((GOLDEN / 'losses_metrics.json').read_text())
    target = arrays['target.normals'].clone()
    target[(target == 255).any(1, keepdim=True).expand_as(target)] = 0
    prediction = arrays['pred.normals'].requires_grad_()
    loss = cosine_l1(prediction, target, NO_WEIGHTS, 150.0)
    assert float(loss.detach()) == pytest.approx(values['demt.loss.normals'], rel=1e-5)
    loss.backward()
    assert torch.allclose(prediction.grad, arrays['demt.grad.normals'], atol=1e-6)


def test_boundary_loss_by_hand():
    logits = torch.zeros(1, 1, 1, 3)
    target = torch.tensor([[[1.0, 0.0, 255.0]]])
    wanted = (0.9 + 0.1) * torch.log(torch.tensor(2.0)) / 2
    assert float(balanced_bce(logits, target, NO_WEIGHTS, 0)) == pytest.approx(float(wanted))


@pytest.mark.parametrize('name', LOSSES)
def test_nothing_labelled_gives_zero_and_a_finite_gradient(name):
    channels = {'cross_entropy': 11, 'cosine_l1': 3}.get(name, 1)
    logits = torch.randn(2, channels, 4, 5, requires_grad=True)
    target = {'cross_entropy': torch.full((2, 4, 5), 255),
              'cosine_l1': torch.zeros(2, 3, 4, 5),
              'log_l1': torch.full((2, 4, 5), float('nan')),
              'balanced_bce': torch.full((2, 4, 5), 255.0)}[name]
    loss = LOSSES[name](logits, target, NO_WEIGHTS, 150.0)
    loss.backward()
    assert float(loss.detach()) == 0
    assert torch.isfinite(logits.grad).all()


def test_total_is_the_weighted_sum():
    batch = {'semseg': torch.randint(0, 11, (1, 8, 8)), 'edge': torch.zeros(1, 8, 8)}
    logits = {'semseg': torch.randn(1, 11, 4, 4), 'edge': torch.randn(1, 1, 4, 4)}
    total, values = multi_task_loss(logits, batch, {'semseg': 2.0, 'edge': 5.0}, NO_WEIGHTS, 150)
    assert float(total) == pytest.approx(2 * values['semseg'] + 5 * values['edge'], rel=1e-5)
