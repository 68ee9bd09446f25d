"""The losses of our own training, pixel by pixel from their definitions, in float64 by NumPy."""

import math

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')

from demt_perception.training.losses import distilling, driving
from demt_perception.training.losses.uncertainty import laplace

FAR = 150.0
NO_WEIGHTS = torch.ones(4)


def scores(seed, *shape):
    return np.random.default_rng(seed).normal(0, 2, shape)


def softplus(x):
    return np.logaddexp(0, x)


def log_probabilities(x):
    return x - np.logaddexp.reduce(x, axis=0)


def unit(x):
    return x / np.linalg.norm(x, axis=0)


def metres_of(logit, far=FAR):
    """The network's depth: 12 m where it says nothing, half a metre to ``far``."""
    return math.exp(min(max(logit + 2.5, math.log(0.1353352832366127)), math.log(far)))


def test_classes_are_weighted_smoothed_and_the_unlabelled_left_out():
    """Two per cent of each label are spread over all classes; each counts with its weight."""
    x, weights = scores(0, 4, 2, 3), np.array([0.5, 1.0, 2.0, 3.5])
    ids = np.array([[0, 1, 255], [3, 2, 2]])
    total = norm = 0.0
    for i, j in np.ndindex(ids.shape):
        if ids[i, j] != 255:
            wanted = np.full(4, 0.02 / 4) + 0.98 * (np.arange(4) == ids[i, j])
            total -= (wanted * weights * log_probabilities(x[:, i, j])).sum()
            norm += weights[ids[i, j]]
    found = driving.cross_entropy(torch.from_numpy(x)[None], torch.from_numpy(ids)[None],
                                  torch.from_numpy(weights), FAR)
    assert found.item() == pytest.approx(total / norm, rel=1e-9)


def test_depth_is_compared_by_its_logarithm_where_it_is_known():
    x = np.array([[0.0, 1.0, -9.0, 9.0, 3.0]])
    target = np.array([[12.0, 20.0, 5.0, 80.0, np.nan]])
    wanted = np.mean([abs(math.log(metres_of(a)) - math.log(t))
                      for a, t in zip(x[0, :4], target[0, :4], strict=True)])
    found = driving.log_l1(torch.from_numpy(x)[None, None], torch.from_numpy(target)[None],
                           NO_WEIGHTS, FAR)
    assert found.item() == pytest.approx(wanted, rel=1e-6)
    # A single pixel is divided by one, not by two.
    alone = driving.log_l1(torch.zeros(1, 1, 1, 2), torch.tensor([[[math.e, math.inf]]]),
                           NO_WEIGHTS, FAR)
    assert alone.item() == pytest.approx(1.5, rel=1e-6)


def test_normals_are_compared_as_directions_where_they_are_known():
    x, target = scores(1, 3, 1, 4), unit(scores(2, 3, 1, 4))
    target[:, 0, 2] = 0
    target[:, 0, 3] = 0, 0, 1     # zeros among its numbers, but a direction
    wanted = np.mean([np.abs(unit(x[:, 0, j]) - target[:, 0, j]).sum() for j in (0, 1, 3)])
    found = driving.cosine_l1(torch.from_numpy(x)[None], torch.from_numpy(target)[None],
                              NO_WEIGHTS, FAR)
    assert found.item() == pytest.approx(wanted, rel=1e-9)
    assert driving.cosine_l1(torch.from_numpy(x[..., :1])[None],
                             torch.from_numpy(target[..., :1])[None], NO_WEIGHTS, FAR
                             ).item() == pytest.approx(
        np.abs(unit(x[:, 0, 0]) - target[:, 0, 0]).sum(), rel=1e-9)
    tiny = torch.tensor([3e-7, 0.0, 4e-7], dtype=torch.double)[None, :, None, None]
    # Nearly nothing is no direction: it is not blown up to length one.
    towards = torch.tensor([0.6, 0.0, 0.8], dtype=torch.double)[None, :, None, None]
    assert driving.cosine_l1(tiny, towards, NO_WEIGHTS, FAR).item() == pytest.approx(0.7)


def test_boundaries_weigh_nine_times_as_much_as_the_rest():
    x, target = scores(3, 1, 5), np.array([[1.0, 0.0, 255.0, 0.0, 1.0]])
    wanted = np.mean([0.9 * softplus(-a) if t == 1 else 0.1 * softplus(a)
                      for a, t in zip(x[0], target[0], strict=True) if t != 255])
    found = driving.balanced_bce(torch.from_numpy(x)[None, None], torch.from_numpy(target)[None],
                                 NO_WEIGHTS, FAR)
    assert found.item() == pytest.approx(wanted, rel=1e-6)
    alone = driving.balanced_bce(torch.full((1, 1, 1, 1), 2.0), torch.zeros(1, 1, 1),
                                 NO_WEIGHTS, FAR)
    assert alone.item() == pytest.approx(0.1 * softplus(2.0), rel=1e-6)


@pytest.mark.parametrize('channels', [1, 2])
def test_saliency_weighs_each_side_by_the_share_of_the_other(channels):
    x, ids = scores(4, channels, 2, 4), np.array([[1, 0, 0, 255], [0, 1, 255, 0]])
    score = x[0] if channels == 1 else x[1] - x[0]
    wanted = sum((4 / 6) * softplus(-a) if t == 1 else (2 / 6) * softplus(a)
                 for a, t in zip(score.ravel(), ids.ravel(), strict=True) if t != 255) / 6
    found = driving.balanced_cross_entropy(torch.from_numpy(x)[None], torch.from_numpy(ids)[None],
                                           NO_WEIGHTS, FAR)
    assert found.item() == pytest.approx(wanted, rel=1e-6)
    # Where all is of one kind, the other one's share is nothing.
    for alone in (0, 1):
        assert driving.balanced_cross_entropy(torch.ones(1, channels, 1, 1),
                                              torch.tensor([[[alone]]]), NO_WEIGHTS, FAR) == 0


def test_predictions_are_brought_to_the_size_of_the_labels_by_their_centres():
    """Four pixels made eight: the outermost repeat, the others lie a quarter apart."""
    x = torch.tensor([0.0, 4.0, 8.0, -4.0])[None, None, None]
    fine = torch.tensor([0, 1, 3, 5, 7, 5, -1, -4])[None, None].repeat(1, 2, 1)
    target = torch.tensor([1.0, 0, 0, 1, 0, 1, 0, 255])[None, None].repeat(1, 2, 1)
    total, values = driving.multi_task_loss({'edge': x}, {'edge': target}, {'edge': 3.0},
                                            NO_WEIGHTS, FAR)
    wanted = driving.balanced_bce(fine.double()[:, None], target, NO_WEIGHTS, FAR).item()
    assert values['edge'] == pytest.approx(wanted, rel=1e-6)
    assert total.item() == pytest.approx(3 * wanted, rel=1e-6)


def test_only_the_classes_of_the_card_are_weighted_and_far_limits_depth():
    x, ids = torch.from_numpy(scores(5, 1, 4, 2, 2)).float(), torch.tensor([[[0, 1], [2, 3]]])
    weights = torch.tensor([4.0, 1, 1, 1])
    _, values = driving.multi_task_loss({'semseg': x}, {'semseg': ids}, {'semseg': 1.0}, weights,
                                        FAR)
    assert values['semseg'] == pytest.approx(
        driving.cross_entropy(x, ids, weights, FAR).item(), rel=1e-6)
    parts = torch.from_numpy(scores(6, 1, 7, 2, 2)).float()
    _, values = driving.multi_task_loss({'human_parts': parts}, {'human_parts': ids},
                                        {'human_parts': 1.0}, weights, FAR)
    assert values['human_parts'] == pytest.approx(
        driving.cross_entropy(parts, ids, torch.ones(7), FAR).item(), rel=1e-6)
    _, values = driving.multi_task_loss({'depth': torch.full((1, 1, 1, 1), 9.0)},
                                        {'depth': torch.full((1, 1, 1), 20.0)}, {'depth': 1.0},
                                        weights, 40.0)
    assert values['depth'] == pytest.approx(math.log(2), rel=1e-6)


def test_the_scale_of_the_error_has_the_likelihood_of_laplace():
    """-log of exp(-|e| / b) / b, e in log metres; b from exp(-6) to 1; sky does not count."""
    log_scale = torch.tensor([-1.0, -3.0, -9.0, 2.0, -1.0, -1.0, -1.0], requires_grad=True)
    logits = torch.tensor([0.0, 0.5, -0.5, 1.0, 9.0, 9.0, 9.0], requires_grad=True)
    target = torch.tensor([10.0, 25.0, 7.0, 14.0, math.nan, FAR, 200.0])
    found = laplace(log_scale[None, None, None], logits[None, None, None], target[None, None], FAR)
    wanted = np.mean([abs(math.log(metres_of(x)) - math.log(t)) / math.exp(s) + s
                      for x, t, s in zip((0, 0.5, -0.5, 1), (10, 25, 7, 14), (-1, -3, -6, 0),
                                         strict=True)])
    assert found.item() == pytest.approx(wanted, rel=1e-5)
    found.backward()
    assert logits.grad is None, 'depth must not feel it'
    assert (log_scale.grad[2:] == 0).all() and (log_scale.grad[:2] != 0).all()
    alone = laplace(torch.full((1, 1, 1, 1), -2.0), torch.zeros(1, 1, 1, 1),
                    torch.full((1, 1, 1), 10.0), FAR)
    assert alone.item() == pytest.approx(
        abs(math.log(metres_of(0.0) / 10)) * math.exp(2) - 2, rel=1e-5)
    nothing = laplace(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1),
                      torch.full((1, 1, 1), math.inf), FAR)
    assert nothing.item() == 0


# Learning from another network's opinion.

EVERYWHERE = torch.ones(1, 1, 3, dtype=torch.bool)


def tensor(values):
    return torch.from_numpy(np.asarray(values, np.float32))[None]


def metres(logits):
    return logits.exp()


def test_an_opinion_is_what_the_task_means():
    x = scores(7, 3, 1, 3)
    assert distilling.opinion('semseg', tensor(x), metres)[0].numpy() == pytest.approx(
        np.exp(log_probabilities(x)), rel=1e-5)
    assert distilling.opinion('normals', tensor(x), metres)[0].numpy() == pytest.approx(
        unit(x), rel=1e-5)
    # Depth in log metres, not below a millimetre, which has none.
    depth = distilling.opinion('depth', tensor([[[-20.0, 0.0, 2.0]]]), metres)
    assert depth.flatten().tolist() == pytest.approx([math.log(1e-3), 0, 2])
    assert distilling.opinion('edge', tensor(x[:1]), metres)[0].numpy() == pytest.approx(
        1 / (1 + np.exp(-x[0])), rel=1e-5)
    assert distilling.opinion('sal', tensor(x[:2]), metres)[0].numpy() == pytest.approx(
        1 / (1 + np.exp(x[0] - x[1])), rel=1e-5)
    tiny = distilling.opinion('normals', tensor([[[3e-7]], [[0.0]], [[4e-7]]]), metres)
    assert tiny.flatten().tolist() == pytest.approx([0.3, 0, 0.4])


def test_an_average_of_opinions_is_their_mean():
    a, b = np.full((1, 3), 0.2), np.full((1, 3), 0.6)
    assert distilling.agreed('edge', [tensor(a), tensor(b), tensor(b)])[0].numpy() == (
        pytest.approx(np.full((1, 3), 1.4 / 3)))
    nearly_opposite = [tensor([[[1.0]], [[0.0]], [[0.0]]]), tensor([[[-1.0]], [[2e-7]], [[0.0]]])]
    found = distilling.agreed('normals', nearly_opposite).flatten().tolist()
    assert found == pytest.approx([0, 0.1, 0])   # no direction is made of nothing


def test_classes_cost_the_divergence_of_the_softened_distributions():
    x, wanted = scores(8, 3, 1, 3), np.exp(log_probabilities(scores(9, 3, 1, 3)))
    wanted[:, 0, 2] = 1, 0, 0     # certain: 0 counts as 1e-7
    soft = log_probabilities(np.log(np.maximum(wanted, 1e-7)) / 2)
    own = log_probabilities(x / 2)
    cost = 4 * (np.exp(soft) * (soft - own)).sum(0)
    found = distilling.distillation('semseg', tensor(x), tensor(wanted), EVERYWHERE, metres)
    assert found.item() == pytest.approx(cost.mean(), rel=1e-5)
    harder = log_probabilities(np.log(np.maximum(wanted, 1e-7)) / 3)
    found = distilling.distillation('semseg', tensor(x), tensor(wanted), EVERYWHERE, metres, 3.0)
    assert found.item() == pytest.approx(
        9 * (np.exp(harder) * (harder - log_probabilities(x / 3))).sum(0).mean(), rel=1e-5)
    some = torch.tensor([[[True, False, True]]])
    found = distilling.distillation('semseg', tensor(x), tensor(wanted), some, metres)
    assert found.item() == pytest.approx(cost[0, [0, 2]].mean(), rel=1e-5)


def test_the_other_kinds_cost_what_their_labels_would():
    found = distilling.distillation(
        'depth', tensor([[[0.0, 1.0, -20.0]]]), tensor([[2.0, 0.5, 0.0]]), EVERYWHERE, metres)
    assert found.item() == pytest.approx((2 + 0.5 + math.log(1e3)) / 3, rel=1e-5)
    x, wanted = scores(10, 3, 1, 3), unit(scores(11, 3, 1, 3))
    found = distilling.distillation('normals', tensor(x), tensor(wanted), EVERYWHERE, metres)
    assert found.item() == pytest.approx(np.abs(unit(x) - wanted).sum(0).mean(), rel=1e-5)
    tiny = distilling.distillation('normals', tensor([[[3e-7]], [[0.0]], [[4e-7]]]),
                                   tensor([[[0.6]], [[0.0]], [[0.8]]]), EVERYWHERE[..., :1],
                                   metres)
    assert tiny.item() == pytest.approx(0.7)
    likely = np.array([[0.1, 0.5, 0.9]])
    for task, score in (('edge', x[0]), ('sal', x[1] - x[0])):
        logits = tensor(x[:1] if task == 'edge' else x[:2])
        cost = likely * softplus(-score) + (1 - likely) * softplus(score)
        found = distilling.distillation(task, logits, tensor(likely), EVERYWHERE, metres)
        assert found.item() == pytest.approx(cost.mean(), rel=1e-5)
        one = torch.tensor([[[False, True, False]]])
        found = distilling.distillation(task, logits, tensor(likely), one, metres)
        assert found.item() == pytest.approx(cost[0, 1], rel=1e-5)


def test_an_opinion_counts_where_it_is_one():
    likely = torch.tensor([[[0.7, 0.69, 1e-6, 0.9e-6]], [[0.0] * 4]])[None]
    assert distilling.confident('semseg', likely, 0.7).tolist() == [[[True, False, False, False]]]
    assert distilling.confident('semseg', likely, 0.0).tolist() == [[[True, True, True, False]]]
    normals = torch.tensor([[[0.0, 0.0, -1.0]], [[0.0, 1.0, 0.0]], [[0.0, 0.0, 0.0]]])[None]
    assert distilling.confident('normals', normals, 0.9).tolist() == [[[False, True, True]]]
    depth = torch.tensor([[[math.nan, 0.0, math.inf]]])
    assert distilling.confident('depth', depth, 0.9).tolist() == [[[False, True, False]]]
    assert distilling.confident('edge', depth, 0.9).tolist() == [[[False, True, False]]]


@pytest.mark.parametrize(('task', 'target'), [
    ('semseg', [[255, 3, 0, 255]]), ('depth', [[math.nan, 3.0, 0.0, math.nan]]),
    ('edge', [[255, 1, 0, 255]]),
    ('normals', [[[0, 0, 0.6, 0]], [[0, 1, 0, 0]], [[0, 0, 0.8, 0]]])])
def test_what_has_no_label_is_known_by_its_mark(task, target):
    batch = torch.tensor([target])
    assert distilling.unlabelled(task, batch, (1, 4)).tolist() == [[[True, False, False, True]]]
    assert distilling.unlabelled(task, batch, (2, 2)).tolist() == [[[True, False]] * 2]
