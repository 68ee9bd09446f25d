"""The optional losses on scenes and numbers whose right answer is known."""

import math

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
    given_normals = normal[:, None, None].expand(1, 3, 6, 8)
    optimizer = torch.optim.Adam([log_depth], 0.01)
    before = normals_from_depth_loss(log_depth.exp(), given_normals, focal).item()
    for _ in range(300):
        optimizer.zero_grad()
        loss = normals_from_depth_loss(log_depth.exp(), given_normals, focal)
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
