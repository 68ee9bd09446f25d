"""Losses against the official numbers, and their rules for pixels without label."""

import json
from pathlib import Path

import pytest

torch = pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')

from demt_perception.tasks import TASKS
from demt_perception.training.losses import (
    balanced_bce,
    balanced_cross_entropy,
    cosine_l1,
    LOSSES,
    multi_task_loss,
)

GOLDEN = Path(__file__).resolve().parents[1] / 'data' / 'golden'
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
    channels = {'cross_entropy': 11, 'cosine_l1': 3, 'balanced_cross_entropy': 2}.get(name, 1)
    logits = torch.randn(2, channels, 4, 5, requires_grad=True)
    target = {'cross_entropy': torch.full((2, 4, 5), 255),
              'cosine_l1': torch.zeros(2, 3, 4, 5),
              'log_l1': torch.full((2, 4, 5), float('nan')),
              'balanced_cross_entropy': torch.full((2, 4, 5), 255),
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


def test_every_task_has_a_loss():
    assert {task.loss for task in TASKS.values()} == set(LOSSES)


@pytest.mark.parametrize('channels', [1, 2])
def test_saliency_by_hand(channels):
    logits = torch.zeros(1, channels, 1, 5, requires_grad=True)
    target = torch.tensor([[[1, 0, 0, 0, 255]]])
    loss = balanced_cross_entropy(logits, target, NO_WEIGHTS, 0)
    loss.backward()
    # One of four is positive: it weighs 3/4, the others 1/4 each.
    assert loss.item() == pytest.approx((3 / 4 + 3 / 4) / 4 * torch.log(torch.tensor(2.0)).item())
    assert logits.grad[0, -1, 0].tolist() == pytest.approx([-3 / 32, *[1 / 32] * 3, 0])


def test_saliency_is_the_official_one():
    safetensors = pytest.importorskip('safetensors.torch')
    if not GOLDEN.exists():
        pytest.skip(f'{GOLDEN} is not at hand')
    arrays = safetensors.load_file(GOLDEN / 'losses_metrics.safetensors')
    values = json.loads((GOLDEN / 'losses_metrics.json').read_text())
    prediction = arrays['pred.sal'].requires_grad_()
    loss = balanced_cross_entropy(prediction, arrays['target.sal'][:, 0], NO_WEIGHTS, 0)
    loss.backward()
    assert loss.item() == pytest.approx(values['demt.loss.sal'], rel=3e-7)
    wanted = arrays['demt.grad.sal']
    assert (prediction.grad - wanted).abs().max() <= 3e-7 * wanted.abs().max()


def test_all_six_tasks_train_together():
    channels = {'semseg': 11, 'depth': 1, 'normals': 3, 'edge': 1, 'human_parts': 7, 'sal': 2}
    assert set(channels) == set(TASKS)
    logits = {t: torch.zeros(1, c, 4, 4, requires_grad=True) for t, c in channels.items()}
    batch = {'semseg': torch.randint(0, 11, (1, 8, 8)), 'depth': torch.rand(1, 8, 8) + 1,
             'normals': torch.nn.functional.normalize(torch.randn(1, 3, 8, 8), dim=1),
             'edge': torch.zeros(1, 8, 8), 'human_parts': torch.randint(0, 7, (1, 8, 8)),
             'sal': torch.randint(0, 2, (1, 8, 8))}
    # Rare classes of the card weigh more; the parts, which are not on it, all the same.
    weights = torch.linspace(0.5, 1.5, 11)
    total, values = multi_task_loss(logits, batch, dict.fromkeys(channels, 1.0), weights, 150)
    total.backward()
    assert values['human_parts'] == pytest.approx(torch.log(torch.tensor(7.0)).item(), rel=1e-6)
    assert all(torch.isfinite(x.grad).all() and x.grad.any() for x in logits.values())
