"""Task weightings against numbers worked out by hand, and for what their papers promise."""

import io
import math
import re

import pytest

torch = pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')

from hypothesis import example, given
from hypothesis import strategies as st

from demt_perception.training.losses.weighting import (
    DynamicWeightAverage,
    FixedWeights,
    GradNorm,
    UncertaintyWeights,
)

TASKS = ('semseg', 'depth')
MAKERS = {
    'fixed': lambda: FixedWeights({'semseg': 1.0, 'depth': 3.0}),
    'uncertainty': lambda: UncertaintyWeights(TASKS),
    'gradnorm': lambda: GradNorm(TASKS),
    'dwa': lambda: DynamicWeightAverage(TASKS)}


def test_fixed_weights_by_hand():
    losses = {'semseg': torch.tensor(2.0), 'depth': torch.tensor(0.5)}
    assert MAKERS['fixed']()(losses).item() == 1 * 2.0 + 3 * 0.5


def test_uncertainty_by_hand():
    weighting = UncertaintyWeights(TASKS)
    with torch.no_grad():
        weighting.log_variances['semseg'].fill_(math.log(4))
        weighting.log_variances['depth'].fill_(math.log(9))
    total = weighting({'semseg': torch.tensor(2.0), 'depth': torch.tensor(3.0)})
    # Classification L / sigma^2 + log sigma, regression half of the first term.
    assert total.item() == pytest.approx(2 / 4 + math.log(2) + 3 / 18 + math.log(3))
    assert weighting.weights == pytest.approx({'semseg': 1 / 4, 'depth': 1 / 18})


def test_uncertainty_settles_where_the_paper_says():
    weighting = UncertaintyWeights(('semseg', 'depth', 'normals', 'edge'))
    losses = {'semseg': 0.7, 'depth': 12.0, 'normals': 0.05, 'edge': 0.3}
    optimizer = torch.optim.Adam(weighting.parameters(), 0.05)
    for _ in range(600):
        optimizer.zero_grad()
        weighting({task: torch.tensor(value) for task, value in losses.items()}).backward()
        optimizer.step()
    variances = {task: s.exp().item() for task, s in weighting.log_variances.items()}
    assert variances == pytest.approx(
        {'semseg': 1.4, 'depth': 12, 'normals': 0.05, 'edge': 0.6}, rel=1e-3)


@pytest.mark.parametrize('every', [1, 4])
def test_batches_without_labels_say_nothing_about_the_noise(every):
    weighting = UncertaintyWeights(TASKS)
    optimizer = torch.optim.Adam(weighting.parameters(), 0.05)
    for step in range(600 * every):
        optimizer.zero_grad()
        depth = 3.0 if step % every == 0 else 0.0
        weighting({'semseg': torch.tensor(0.0), 'depth': torch.tensor(depth)}).backward()
        optimizer.step()
    assert weighting.weights == pytest.approx({'semseg': 1.0, 'depth': 0.5 / 3}, rel=1e-3)


def test_uncertainty_finds_the_noise_of_each_task():
    """Two regressions share a weight; the noisy one shall count less, by its variance."""
    torch.manual_seed(0)
    x = torch.randn(4000)
    targets = {'depth': 2 * x + 0.1 * torch.randn(4000), 'normals': 2 * x + 3 * torch.randn(4000)}
    slope = torch.zeros((), requires_grad=True)
    weighting = UncertaintyWeights(targets)
    optimizer = torch.optim.Adam([slope, *weighting.parameters()], 0.05)
    for _ in range(600):
        optimizer.zero_grad()
        weighting({t: (slope * x - y).square().mean() for t, y in targets.items()}).backward()
        optimizer.step()
    assert slope.item() == pytest.approx(2, abs=0.01)
    deviations = {task: math.exp(s.item() / 2) for task, s in weighting.log_variances.items()}
    assert deviations == pytest.approx({'depth': 0.1, 'normals': 3}, rel=0.05)


def quadratics(shared):
    """Two tasks on the same two weights, the second with a hundred times the gradient."""
    return {'semseg': 0.5 * (shared - 1).square().sum(),
            'depth': 50 * (shared + 1).square().sum()}


def test_gradnorm_by_hand():
    shared = torch.tensor([3.0, 4.0], requires_grad=True)
    weighting = GradNorm(TASKS, alpha=1.0, lr=0.1)
    losses = {'semseg': 2 * shared[0], 'depth': shared.square().sum()}  # norms 2 and 10
    weighting.balance(losses, [shared])
    # First losses: both shares are 1, the wanted norm is 6. Adam's first step is lr, up for
    # semseg, down for depth; 1.1 and 0.9 add up to 2 already.
    assert weighting.weights == pytest.approx({'semseg': 1.1, 'depth': 0.9}, abs=1e-6)
    assert weighting.values.grad.tolist() == pytest.approx([-2, 10])
    total = weighting(losses)
    total.backward()  # the graph is still there
    assert total.item() == pytest.approx(1.1 * 6 + 0.9 * 25)


def test_gradnorm_wants_more_of_the_slow_task():
    shared = torch.tensor([1.0], requires_grad=True)
    weighting = GradNorm(TASKS, alpha=1.5, lr=0.1)
    weighting.first = {'semseg': 1.0, 'depth': 4.0}
    weighting.balance({'semseg': shared.sum(), 'depth': shared.sum()}, [shared])
    # Equal norms, but semseg is where it started and depth at a quarter of it.
    assert weighting.weights['semseg'] > 1 > weighting.weights['depth']


def test_gradnorm_equalises_the_norms():
    shared = torch.tensor([3.0, -2.0], requires_grad=True)
    weighting = GradNorm(TASKS, alpha=0.0, lr=0.01)
    for _ in range(400):  # the network stands still: the norms alone decide
        weighting.balance(quadratics(shared), [shared])
    norms = {task: torch.autograd.grad(loss, shared)[0].norm().item()
             for task, loss in quadratics(shared).items()}
    weighted = {task: weighting.weights[task] * norm for task, norm in norms.items()}
    plain = norms['depth'] / norms['semseg']
    assert plain > 100
    # Adam hovers about the aim by its step of 0.01, half of the smaller weight.
    assert 1 / 3 < weighted['depth'] / weighted['semseg'] < 3
    assert sum(weighting.weights.values()) == pytest.approx(2)


def test_gradnorm_trains_tasks_of_unlike_scale_at_one_rate():
    """The toy problem of the paper: the same functions, scaled by 1 and 10."""
    def train(weighting):
        torch.manual_seed(1)
        x, mixing = torch.randn(200, 20), torch.randn(20, 20) / 4
        truths = {task: scale * torch.tanh(x @ (mixing + 0.3 * torch.randn(20, 20)))
                  for task, scale in zip(TASKS, (1.0, 10.0), strict=True)}
        trunk = torch.nn.Linear(20, 8)  # too narrow for both: they compete
        heads = {task: torch.nn.Linear(8, 20) for task in TASKS}
        everything = [*trunk.parameters(), *heads['semseg'].parameters(),
                      *heads['depth'].parameters()]
        optimizer = torch.optim.Adam(everything, 0.01)
        first = None
        for _ in range(300):
            losses = {task: (heads[task](trunk(x)) * scale - truths[task]).square().mean()
                      for task, scale in zip(TASKS, (1.0, 10.0), strict=True)}
            first = first or {task: loss.item() for task, loss in losses.items()}
            weighting.balance(losses, [trunk.weight])
            optimizer.zero_grad()
            weighting(losses).backward()
            optimizer.step()
        return {task: losses[task].item() / first[task] for task in TASKS}

    equal = train(FixedWeights(dict.fromkeys(TASKS, 1.0)))
    balanced = train(GradNorm(TASKS, alpha=0.5, lr=0.025))
    assert equal['semseg'] > 1.3 * equal['depth']  # the large one rules
    assert max(balanced.values()) < max(equal.values())
    assert abs(math.log(balanced['semseg'] / balanced['depth'])) < 0.5 * abs(
        math.log(equal['semseg'] / equal['depth']))


def test_gradnorm_leaves_out_what_has_no_labels():
    shared = torch.tensor([1.0, 1.0], requires_grad=True)
    weighting = GradNorm(('semseg', 'depth', 'normals'), lr=0.1)
    losses = {'semseg': shared.sum(), 'depth': 3 * shared.sum(), 'normals': shared.sum() * 0}
    weighting.balance(losses, [shared])
    assert set(weighting.first) == {'semseg', 'depth'}
    assert weighting.weights == pytest.approx({'semseg': 1.1, 'depth': 0.9, 'normals': 1})
    weighting.balance(dict.fromkeys(losses, torch.tensor(0.0)), [shared])
    assert weighting.weights == pytest.approx({'semseg': 1.1, 'depth': 0.9, 'normals': 1})


def test_dwa_by_hand():
    weighting = DynamicWeightAverage(TASKS)
    weighting.end_epoch({'semseg': 2.0, 'depth': 1.0})
    assert weighting.weights == {'semseg': 1, 'depth': 1}
    weighting.end_epoch({'semseg': 1.0, 'depth': 1.0})
    # Ratios 1/2 and 1, temperature 2.
    a, b = math.exp(0.25), math.exp(0.5)
    wanted = {'semseg': 2 * a / (a + b), 'depth': 2 * b / (a + b)}
    assert weighting.weights == pytest.approx(wanted)


@example([(5e-324, 1.0), (1e6, 1.0)])
@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=1, max_size=5))
def test_dwa_favours_the_task_that_improved_less(epochs):
    weighting = DynamicWeightAverage(TASKS)
    for a, b in epochs:
        weighting.end_epoch({'semseg': a, 'depth': b})
    weights = weighting.weights
    assert sum(weights.values()) == pytest.approx(2)
    if len(epochs) > 1 and min(epochs[-2]) > 0:
        rates = {task: now / then for task, then, now in
                 zip(TASKS, epochs[-2], epochs[-1], strict=True)}
        assert (rates['semseg'] > rates['depth']) <= (weights['semseg'] >= weights['depth'])


@pytest.mark.parametrize('name', MAKERS)
def test_continues_exactly(name):
    shared = torch.tensor([0.3, -0.2], requires_grad=True)

    def advance(weighting, steps):
        for step in steps:
            with torch.no_grad():
                shared.copy_(torch.tensor([0.1 * step, 0.3]))
            losses = quadratics(shared)
            weighting.balance(losses, [shared])
            weighting(losses).backward()
            for parameter in weighting.parameters():
                with torch.no_grad():
                    parameter -= 0.01 * parameter.grad
                parameter.grad = None
            weighting.end_epoch({task: loss.item() for task, loss in losses.items()})
        return weighting

    whole = advance(MAKERS[name](), range(6))
    file = io.BytesIO()
    torch.save(advance(MAKERS[name](), range(3)).state_dict(), file)
    file.seek(0)
    second = MAKERS[name]()
    second.load_state_dict(torch.load(file, weights_only=True))
    assert advance(second, range(3, 6)).weights == whole.weights
    assert (name == 'fixed') == (whole.weights == MAKERS[name]().weights)


@pytest.mark.parametrize('name', MAKERS)
def test_other_tasks_are_refused(name):
    weighting = MAKERS[name]()
    refused = pytest.raises(ValueError, match=re.escape(
        "got tasks ['depth', 'edge'], this weighting has ['depth', 'semseg']: give it the tasks "
        'of the network, or continue with the same tasks') + '$')
    with refused:
        weighting({'depth': torch.tensor(1.0), 'edge': torch.tensor(1.0)})
    if name == 'gradnorm':
        with refused:
            weighting.balance({'depth': torch.tensor(1.0), 'edge': torch.tensor(1.0)}, [])
    if name == 'dwa':
        with refused:
            weighting.end_epoch({'depth': 1.0, 'edge': 1.0})
    state = weighting.state_dict()
    key = next(key for key in ('log_variances', 'weights') if key in state)
    state[key] = {'edge': 1.0}
    with pytest.raises(ValueError, match='same tasks'):
        weighting.load_state_dict(state)


def test_gradnorm_by_hand_in_the_second_step():
    """Equation 2 of the paper: tasks that kept more of their first loss are wanted steeper."""
    shared = torch.tensor([3.0, 4.0], requires_grad=True)
    weighting = GradNorm(TASKS, alpha=2.0, lr=0.1)
    weighting.first = {'semseg': 12.0, 'depth': 25.0}
    losses = {'semseg': 2 * shared[0], 'depth': shared.square().sum()}   # 6 and 25, norms 2 and 10
    # Shares 1/2 and 1, their mean 3/4; mean norm 6: wanted 6 (2/3)^2 = 2.67 and 6 (4/3)^2 = 10.67.
    weighting.balance(losses, [shared])
    assert weighting.values.grad.tolist() == pytest.approx([-2, -10])
    # Both go up by the step of Adam, and add up to two again.
    assert weighting.weights == pytest.approx({'semseg': 1, 'depth': 1})
    assert weighting.first == {'semseg': 12.0, 'depth': 25.0}


def test_gradnorm_uses_the_weights_of_now_and_leaves_equal_tasks_alone():
    shared = torch.tensor([1.0], requires_grad=True)
    weighting = GradNorm(TASKS, alpha=1.0, lr=0.1)
    weighting.balance({'semseg': 2 * shared.sum(), 'depth': 2 * shared.sum()}, [shared])
    assert weighting.weights == {'semseg': 1, 'depth': 1}   # nothing is in excess
    weighting = GradNorm(TASKS, alpha=1.0, lr=0.1)
    weighting._weights = {'semseg': 1.5, 'depth': 0.5}
    weighting.values = torch.tensor([1.5, 0.5])
    weighting.optimizer = torch.optim.Adam([weighting.values], 0.1)
    weighting.balance({'semseg': 2 * shared.sum(), 'depth': 4 * shared.sum()}, [shared])
    # Weighted norms 3 and 2, wanted 2.5 of both: down and up.
    assert weighting.values.grad.tolist() == pytest.approx([2, -4])
    assert weighting.weights == pytest.approx({'semseg': 1.4, 'depth': 0.6})


def test_gradnorm_never_unlearns_a_task():
    shared = torch.tensor([1.0], requires_grad=True)
    weighting = GradNorm(TASKS, alpha=0.0, lr=5.0)
    weighting.balance({'semseg': shared.sum(), 'depth': 100 * shared.sum()}, [shared])
    # Up to 6, and down to -4, which is a thousandth instead; then they add up to two.
    assert weighting.weights == pytest.approx(
        {'semseg': 2 * 6 / 6.001, 'depth': 2 * 0.001 / 6.001})


def test_gradnorm_looks_at_all_shared_weights_that_a_task_uses():
    one, other = torch.tensor([1.0], requires_grad=True), torch.tensor([1.0], requires_grad=True)
    weighting = GradNorm(TASKS, alpha=0.0, lr=0.1)
    weighting.balance({'semseg': 3 * one.sum() + 4 * other.sum(), 'depth': 5 * one.sum()},
                      (weight for weight in (one, other)))
    assert weighting.weights == {'semseg': 1, 'depth': 1}   # both have norm 5


def test_the_defaults_of_the_papers():
    weighting = GradNorm(TASKS)
    assert (weighting.alpha, weighting.optimizer.param_groups[0]['lr']) == (1.5, 0.025)
    assert DynamicWeightAverage(TASKS).temperature == 2
    assert DynamicWeightAverage(TASKS, 3.0).temperature == 3


def test_dwa_takes_a_task_without_labels_for_constant():
    weighting = DynamicWeightAverage(TASKS)
    weighting.end_epoch({'semseg': 0.0, 'depth': 2.0})
    weighting.end_epoch({'semseg': 5.0, 'depth': 1.0})
    a, b = math.exp(1 / 2), math.exp(0.5 / 2)
    wanted = {'semseg': 2 * a / (a + b), 'depth': 2 * b / (a + b)}
    assert weighting.weights == pytest.approx(wanted)
    weighting.end_epoch({'semseg': 5.0, 'depth': 1.0})
    assert weighting.weights == {'semseg': 1, 'depth': 1}


def test_fixed_weights_continue_and_are_not_shared():
    weighting = FixedWeights({'semseg': 1, 'depth': 3})
    weighting.weights['semseg'] = 9
    assert weighting.weights == {'semseg': 1.0, 'depth': 3.0}
    weighting.balance({}, [])
    weighting.end_epoch({})
    assert weighting.parameters() == []
    weighting.load_state_dict({'weights': {'depth': 7.0, 'semseg': 2.0}})
    assert list(weighting.weights.items()) == [('semseg', 2.0), ('depth', 7.0)]
    assert weighting.state_dict() == {'weights': {'semseg': 2.0, 'depth': 7.0}}
