"""The optional losses on scenes and numbers whose right answer is known."""

import math
import re

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')

from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from demt_perception.training.losses.boundary_aware import border_cross_entropy, border_weights
from demt_perception.training.losses.consistency import normals_from_depth_loss, normals_of_depth
from demt_perception.training.losses.scale_invariant import scale_invariant_log


def rays(height, width, fx, fy):
    y, x = torch.meshgrid(torch.arange(height) - (height - 1) / 2,
                          torch.arange(width) - (width - 1) / 2, indexing='ij')
    return torch.stack([x / fx, y / fy, torch.ones_like(x)]).double()


def plane_depth(normal, distance, view):
    """Depth of the plane normal . p = -distance, the normal facing the camera."""
    return (-distance / torch.einsum('c,chw->hw', normal, view))[None, None]


# Scale-invariant depth.

@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.2, 5), st.floats(0, 1))
def test_scale_counts_only_as_far_as_the_balance_says(seed, scale, balance):
    rng = np.random.default_rng(seed)
    target = torch.from_numpy(rng.uniform(1, 20, (2, 1, 4, 5)))
    depth = torch.from_numpy(rng.uniform(1, 20, (2, 1, 4, 5)))
    target[0, 0, 0] = torch.tensor([255, float('nan'), float('inf'), 0, 3.0])
    # The pairwise definition of the paper, at balance 1: all differences between two pixels.
    wanted = []
    for d, t in zip(depth.numpy(), target.numpy(), strict=True):
        use = np.isfinite(t) & (t > 0) & (t != 255)
        e = np.log(d[use]) - np.log(t[use])
        pairs = np.square(e[:, None] - e[None]).mean() / 2
        wanted.append(balance * pairs + (1 - balance) * np.square(e).mean())
    assert scale_invariant_log(depth, target, balance).item() == pytest.approx(np.mean(wanted))
    assert scale_invariant_log(scale * target, target, balance).item() == pytest.approx(
        (1 - balance) * math.log(scale) ** 2, abs=1e-9)


def test_depth_below_zero_or_without_labels_stays_finite():
    depth = torch.tensor([[[[-3.0, 0.0, 2.0]]]], requires_grad=True)
    scale_invariant_log(depth, torch.ones(1, 1, 1, 3)).backward()
    assert torch.isfinite(depth.grad).all()
    depth.grad = None
    nothing = scale_invariant_log(depth, torch.full((1, 1, 1, 3), float('nan')))
    nothing.backward()
    assert nothing.item() == 0
    assert (depth.grad == 0).all()


# Borders.

def test_border_weights_by_hand():
    ids = torch.tensor([[[1, 1, 1, 1, 2, 255, 3, 3]]])
    assert border_weights(ids, 0, 2.0).tolist() == [[[1, 1, 1, 3, 3, 0, 1, 1]]]
    assert border_weights(ids, 1, 2.0).tolist() == [[[1, 1, 3, 3, 3, 0, 1, 1]]]
    assert border_weights(ids.transpose(1, 2), 1, 2.0).flatten().tolist() == [
        1, 1, 3, 3, 3, 0, 1, 1]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_border_weights_against_a_slow_reference(seed, reach):
    rng = np.random.default_rng(seed)
    ids = rng.choice([0, 1, 255], (1, *rng.integers(1, 7, 2)))
    height, width = ids.shape[1:]

    def is_border(i, j):
        return ids[0, i, j] != 255 and any(
            0 <= a < height and 0 <= b < width and ids[0, a, b] not in (255, ids[0, i, j])
            for a, b in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)))

    borders = [(i, j) for i, j in np.ndindex(height, width) if is_border(i, j)]
    weights = border_weights(torch.from_numpy(ids), reach, 4.0)[0]
    for i, j in np.ndindex(height, width):
        near = any(max(abs(i - a), abs(j - b)) <= reach for a, b in borders)
        assert weights[i, j] == (0 if ids[0, i, j] == 255 else 5 if near else 1)


def test_border_cross_entropy_without_gain_is_the_plain_one():
    logits, ids = torch.randn(2, 4, 6, 7), torch.randint(0, 4, (2, 6, 7))
    ids[0, :2] = 255
    assert border_cross_entropy(logits, ids, 2, 0.0).item() == pytest.approx(
        F.cross_entropy(logits, ids, ignore_index=255).item(), rel=1e-6)
    # A mistake at the border costs more than the same far from it.
    ids = torch.zeros(1, 1, 1, 9)
    ids[..., 5:] = 1
    good = torch.cat([1 - ids, ids], 1) * 4
    at, away = good.clone(), good.clone()
    at[..., 4] *= -1
    away[..., 0] *= -1
    assert border_cross_entropy(at, ids, 1) > 1.5 * border_cross_entropy(away, ids, 1)


def test_border_cross_entropy_without_labels():
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = border_cross_entropy(logits, torch.full((1, 4, 4), 255))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


# Normals against depth.

@settings(max_examples=40, deadline=None)
@given(st.floats(-0.6, 0.6), st.floats(-0.6, 0.6), st.floats(0.5, 50),
       st.floats(30, 300), st.floats(30, 300))
def test_a_plane_has_its_normal_everywhere(a, b, distance, fx, fy):
    normal = F.normalize(torch.tensor([a, b, -1.0], dtype=torch.double), dim=0)
    depth = plane_depth(normal, distance, rays(7, 9, fx, fy))
    normals, surface = normals_of_depth(depth, torch.tensor([[fx, fy]], dtype=torch.double))
    inner = (normals[:, :, 1:-1, 1:-1] - normal[:, None, None]).abs()
    assert inner.max() < 1e-6
    assert not surface[..., 0].any()
    assert not surface[..., -1, :].any()
    # Far depth is one more pair of eyes that the loss is right: agreement costs nothing.
    loss = normals_from_depth_loss(depth, 5 * normal[:, None, None].expand(1, 3, 7, 9),
                                   torch.tensor([[fx, fy]]))
    assert abs(loss.item()) < 1e-6


def test_a_street_points_up_and_a_wall_at_us():
    view = rays(8, 8, 20.0, 20.0)
    for normal in ((0.0, -1.0, 0.0), (0.0, 0.0, -1.0)):
        normal = torch.tensor(normal, dtype=torch.double)
        below = view[:, 5:] if normal[1] else view  # the ground is seen below the horizon
        depth = torch.full((1, 1, 8, 8), float('inf'), dtype=torch.double)
        depth[..., -below.shape[1]:, :] = plane_depth(normal, 1.5, below)
        normals, surface = normals_of_depth(depth, torch.tensor([[20.0, 20.0]]))
        rows = slice(8 - below.shape[1] + 1, -1)
        found = normals[0, :, rows, 1:-1]
        assert torch.allclose(found, normal[:, None, None].expand_as(found), atol=1e-6)
        assert not surface[..., :8 - below.shape[1] + 1, :].any()


def test_steps_and_unknown_depth_are_left_out():
    depth = torch.full((1, 1, 5, 9), 4.0)
    depth[..., 5:] = 8.0
    depth[0, 0, 2, 1] = float('nan')
    depth.requires_grad_()
    normals = torch.tensor([0.0, 0.0, -1.0])[:, None, None].repeat(1, 1, 5, 9).requires_grad_()
    focal = torch.tensor([[10.0, 10.0]])
    _, surface = normals_of_depth(depth, focal)
    assert surface[0, 0, 2].tolist() == [
        False, False, False, True, False, False, True, True, False]
    loss = normals_from_depth_loss(depth, normals, focal)
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(depth.grad).all()
    assert torch.isfinite(normals.grad).all()


def test_depth_learns_the_slope_from_normals():
    normal = F.normalize(torch.tensor([0.4, -0.3, -1.0]), dim=0)
    focal = torch.tensor([[12.0, 12.0]])
    log_depth = torch.full((1, 1, 6, 8), math.log(3.0), requires_grad=True)
    reach_and_gainnormals = normal[:, None, None].expand(1, 3, 6, 8)
    optimizer = torch.optim.Adam([log_depth], 0.01)
    before = normals_from_depth_loss(log_depth.exp(), reach_and_gainnormals, focal).item()
    for _ in range(300):
        optimizer.zero_grad()
        loss = normals_from_depth_loss(log_depth.exp(), reach_and_gainnormals, focal)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02 * before


def test_a_map_without_surface_costs_nothing():
    depth = torch.zeros(1, 1, 3, 4, requires_grad=True)
    normals = torch.randn(1, 3, 3, 4, requires_grad=True)
    loss = normals_from_depth_loss(depth, normals, torch.tensor([[9.0, 9.0]]))
    loss.backward()
    assert loss.item() == 0
    assert (depth.grad == 0).all()
    assert (normals.grad == 0).all()


def test_a_map_too_small_for_normals_is_refused():
    with pytest.raises(ValueError, match='at least 3x3'):
        normals_of_depth(torch.ones(1, 1, 2, 5), torch.ones(1, 2))


def test_half_precision_is_computed_in_full():
    depth, normals = torch.rand(1, 1, 6, 6) * 0.1 + 4, torch.randn(1, 3, 6, 6)
    focal = torch.tensor([[12.0, 12.0]])
    logits, ids = torch.randn(1, 4, 6, 6), torch.randint(0, 4, (1, 6, 6))
    target = torch.rand(1, 1, 6, 6) + 3
    calls = ((normals_from_depth_loss, depth, normals, focal),
             (scale_invariant_log, depth, target), (border_cross_entropy, logits, ids))
    for loss, prediction, *rest in calls:
        rounded = prediction.bfloat16()
        with torch.autocast('cpu', torch.bfloat16):
            value = loss(rounded, *rest)
        assert value.dtype == torch.float32
        assert value.item() == loss(rounded.float(), *rest).item()


@pytest.mark.parametrize('kind', [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_losses_are_computed_in_single_precision_at_least(kind):
    wanted = torch.promote_types(kind, torch.float32)
    generator = torch.Generator().manual_seed(0)
    depth = (torch.rand(1, 1, 6, 6, generator=generator) * 0.1 + 4).to(kind)
    normals = torch.randn(1, 3, 6, 6, generator=generator).to(kind)
    logits = torch.randn(1, 4, 6, 6, generator=generator).to(kind)
    ids = torch.randint(0, 4, (1, 6, 6), generator=generator)
    for loss, prediction, *rest in (
            (normals_from_depth_loss, depth, normals, torch.tensor([[12.0, 12.0]])),
            (scale_invariant_log, depth, torch.full((1, 1, 6, 6), 3.0, dtype=wanted)),
            (border_cross_entropy, logits, ids)):
        value = loss(prediction, *rest)
        assert value.dtype == wanted
        full = [one.to(wanted) if one.dtype == kind else one for one in rest]
        assert value.item() == loss(prediction.to(wanted), *full).item()


def test_border_cross_entropy_by_hand():
    rng = np.random.default_rng(0)
    x, ids = rng.normal(size=(3, 2, 6)), np.array([[0, 0, 0, 0, 0, 1], [255, 0, 0, 0, 0, 2]])
    plain = np.logaddexp.reduce(x, 0) - np.take_along_axis(x, ids[None] % 255, 0)[0]
    for reach_and_gain, weights in (((2, 2.0), [[1, 1, 3, 3, 3, 3], [0, 1, 3, 3, 3, 3]]),
                            ((0, 4.0), [[1, 1, 1, 1, 5, 5], [0, 1, 1, 1, 5, 5]])):
        weights = np.array(weights)
        wanted = (plain * weights).sum() / weights.sum()
        pair = torch.from_numpy(x)[None], torch.from_numpy(ids)[None]
        assert border_cross_entropy(*pair, *reach_and_gain).item() == pytest.approx(wanted)
        assert border_cross_entropy(pair[0], pair[1][:, None].float(), *reach_and_gain).item() == (
            pytest.approx(wanted))
        np.testing.assert_array_equal(border_weights(pair[1], *reach_and_gain)[0], weights)
    # A reach of two pixels and a gain of two are what is used unless said otherwise.
    assert border_cross_entropy(*pair).item() == border_cross_entropy(*pair, 2, 2.0).item()
    assert torch.equal(border_weights(pair[1]), border_weights(pair[1], 2, 2.0))
    one = torch.tensor([[[[2.0]], [[0.0]]]])   # a single pixel is divided by one
    assert border_cross_entropy(one, torch.tensor([[[1]]])).item() == pytest.approx(
        math.log(1 + math.exp(2)))


def test_scale_invariant_depth_by_hand():
    depth = torch.tensor([[[2.0, 4.0]], [[0.0, 9.0]], [[9.0, 9.0]]], dtype=torch.double)
    target = torch.tensor([[[1.0, 1.0]], [[1.0, math.nan]], [[255.0, 0.0]]], dtype=torch.double)
    a, b, least = math.log(2), math.log(4), math.log(1e-3)
    # Two images have labels; what is nearer than a millimetre is taken for one.
    wanted = ((a * a + b * b) / 2 - 0.5 * ((a + b) / 2) ** 2 + 0.5 * least ** 2) / 2
    assert scale_invariant_log(depth, target).item() == pytest.approx(wanted)
    wanted = ((a * a + b * b) / 2 - ((a + b) / 2) ** 2) / 2
    assert scale_invariant_log(depth, target, 1.0).item() == pytest.approx(wanted)
    assert scale_invariant_log(torch.tensor([[[3.0]]]), torch.tensor([[[0.5]]]), 0.0).item() == (
        pytest.approx(math.log(6) ** 2))


def test_the_optical_axis_may_lie_anywhere():
    normal = F.normalize(torch.tensor([0.3, -0.5, -1.0], dtype=torch.double), dim=0)
    y, x = torch.meshgrid(torch.arange(7) - 1.5, torch.arange(9) - 7.0, indexing='ij')
    view = torch.stack([x / 90, y / 70, torch.ones_like(x)]).double()
    depth = plane_depth(normal, 3.0, view)
    focal, axis = torch.tensor([[90.0, 70.0]]), torch.tensor([[7.0, 1.5]])
    normals, surface = normals_of_depth(depth, focal, axis)
    assert surface[..., 1:-1, 1:-1].all() and surface.sum() == 5 * 7
    assert (normals[0, :, 1:-1, 1:-1] - normal[:, None, None]).abs().max() < 1e-6
    assert (normals[0, :, 0] == 0).all() and (normals[0, :, :, -1] == 0).all()
    wanted = normal[:, None, None].expand(1, 3, 7, 9)
    assert normals_from_depth_loss(depth, wanted, focal, axis).item() < 1e-6
    assert normals_from_depth_loss(depth, wanted, focal).item() > 1e-5   # the middle is another


def test_disagreement_is_one_minus_the_cosine():
    depth, focal = torch.full((2, 1, 4, 5), 2.0, dtype=torch.double), torch.full((2, 2), 30.0)
    depth[1] = math.nan   # a picture without depth has no say
    tilted = torch.tensor([0.0, math.sin(1.0), -math.cos(1.0)], dtype=torch.double)
    for length in (1e-3, 1.0, 1e3):
        normals = (length * tilted)[:, None, None].expand(2, 3, 4, 5)
        assert normals_from_depth_loss(depth, normals, focal).item() == pytest.approx(
            1 - math.cos(1.0))
    # Nearly no normal is not blown up to one.
    normals = (1e-7 * tilted)[:, None, None].expand(2, 3, 4, 5)
    assert normals_from_depth_loss(depth, normals, focal).item() == pytest.approx(
        1 - 0.1 * math.cos(1.0))
    one = normals_from_depth_loss(depth[:1, :, :3, :3], torch.zeros(1, 3, 3, 3), focal[:1])
    assert one.item() == 1


@pytest.mark.parametrize(('far', 'surface'), [(2.19, True), (2.21, False)])
def test_a_step_of_a_tenth_is_an_occlusion(far, surface):
    depth = torch.full((1, 1, 3, 3), 2.0)
    depth[0, 0, 2, 2] = far
    _, found = normals_of_depth(depth, torch.tensor([[30.0, 30.0]]))
    assert found[0, 0].tolist() == [[False] * 3, [False, surface, False], [False] * 3]
    for unknown in (0.0, -1.0, math.inf, math.nan):
        depth[0, 0, 2, 2] = unknown
        assert not normals_of_depth(depth, torch.tensor([[30.0, 30.0]]))[1].any()
    assert normals_of_depth(torch.full((1, 1, 3, 3), 0.5), torch.tensor([[30.0, 30.0]]))[1].any()


def test_normals_are_made_where_the_depth_is():
    """`meta` stands for another device: what is made elsewhere cannot be added to it."""
    depth = torch.full((2, 1, 4, 5), 2.0, device='meta')
    normals, surface = normals_of_depth(depth, torch.ones(2, 2, device='meta'))
    assert (normals.device.type, surface.device.type) == ('meta', 'meta')
    assert (normals.shape, surface.shape) == ((2, 3, 4, 5), (2, 1, 4, 5))


@pytest.mark.parametrize('shape', [(1, 1, 2, 5), (1, 1, 5, 2)])
def test_what_is_too_small_is_refused_in_full(shape):
    with pytest.raises(ValueError, match=re.escape(
            f'depth is {shape}: want at least 3x3 pixels, a normal comes from a pixel and its '
            'neighbours') + '$'):
        normals_of_depth(torch.ones(shape), torch.ones(1, 2))
