"""What stands on the ground is as far away as its foot: on scenes whose right answer is known."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')

from hypothesis import given, settings
from hypothesis import strategies as st

from demt_perception.training.config import ConfigError, TrainConfig
from demt_perception.training.losses.released import WEIGHTS
from demt_perception.training.losses.standing import (
    CLEAR,
    depth_of_feet,
    feet,
    SLACK,
    standing_loss,
    STEP,
)
from demt_perception.training.objective import Objective

SKY, ROAD, WALL, TREE = range(4)
HEIGHT, WIDTH, FOCAL, ABOVE = 60, 20, 50.0, 1.5   # of the camera above the road, metres


def street(wall, bottom=HEIGHT):
    """Return depth (1,h,w) and classes of a road with a wall of so many metres before us."""
    rows = (torch.arange(HEIGHT) - HEIGHT / 2 + 0.5).double()[:, None].expand(HEIGHT, WIDTH)
    road = torch.where(rows > 0, FOCAL * ABOVE / rows.clamp(min=1e-9), torch.inf)
    is_wall = (road > wall) & (rows > -15)
    classes = torch.full((HEIGHT, WIDTH), SKY)
    classes[rows > 0] = ROAD
    classes[is_wall] = WALL
    depth = torch.where(is_wall, wall, road.clamp(max=150.0))
    return depth[None, :bottom], classes[None, :bottom]


@pytest.mark.parametrize('wall', [5.0, 8.0, 12.0])
def test_the_foot_of_a_wall_on_a_plane_is_as_far_as_the_wall(wall):
    depth, classes = street(wall)
    foot, counts = feet(classes, [ROAD], [WALL])
    assert torch.equal(counts, classes == WALL)
    there = depth_of_feet(depth, foot)[counts]
    first = int((classes[0, :, 0] == WALL).nonzero().max()) + 1
    # The edge of the row is the wall's foot but for less than the row itself.
    row = first - HEIGHT / 2
    assert FOCAL * ABOVE / there[0] == pytest.approx(row, abs=1e-6)
    assert FOCAL * ABOVE / wall == pytest.approx(row, abs=1.0)
    loss = standing_loss(depth[:, None], classes, torch.ones_like(counts), [ROAD], [WALL])
    assert loss < 0.1


@pytest.mark.parametrize(('factor', 'wanted'), [(1.5, np.log(1.5) - SLACK), (1 / 1.5, np.log(1.5)
                                                - SLACK), (1.02, 0.0), (50.0, 1.0)])
def test_a_wall_that_is_too_far_or_too_near_costs_the_logarithm(factor, wanted):
    depth, classes = street(7.5)
    foot, counts = feet(classes, [ROAD], [WALL])
    depth = torch.where(counts, depth_of_feet(depth, foot) * factor, depth)
    loss = standing_loss(depth[:, None], classes, torch.ones_like(counts), [ROAD], [WALL])
    assert loss.item() == pytest.approx(wanted, abs=1e-6)


def test_the_wall_learns_and_not_the_road():
    depth, classes = street(7.5)
    depth = (depth * torch.where(classes == WALL, 2.0, 1.0))[:, None].requires_grad_()
    loss = standing_loss(depth, classes, torch.ones_like(classes, dtype=bool), [ROAD], [WALL])
    loss.backward()
    assert (depth.grad[0, 0][classes[0] == WALL] > 0).all()
    assert (depth.grad[0, 0][classes[0] != WALL] == 0).all()


def test_pixels_with_a_label_do_not_count():
    depth, classes = street(7.5)
    unknown = torch.zeros_like(classes, dtype=bool)
    assert standing_loss(2 * depth[:, None], classes, unknown, [ROAD], [WALL]) == 0


def test_a_run_minimises_it_beside_its_tasks(tmp_path):
    config = TrainConfig(
        model='demt_light', tasks={'semseg': 4, 'depth': 1}, data=[{'root': 'data'}],
        out=str(tmp_path), protocol='driving', losses='driving', iterations=1, far=150.0,
        standing=0.25, ground=(ROAD,), stands=(WALL,))
    depth, classes = street(7.5)
    depth = depth.float() * torch.where(classes == WALL, 2.0, 1.0)
    outputs = {'semseg': torch.zeros(1, 4, HEIGHT, WIDTH),
               'depth': (torch.log(depth) - 2.5)[:, None]}   # of ``depth_from_logits``
    batch = {'semseg': classes, 'depth': torch.full_like(depth, float('nan'))}
    total, values = Objective(config, config.tasks)(outputs, batch)
    assert values['standing'].item() == pytest.approx(np.log(2) - SLACK, abs=0.03)
    assert values['depth'] == 0
    others = values['semseg'] * WEIGHTS['semseg']
    assert total.item() == pytest.approx((others + 0.25 * values['standing']).item())
    _, values = Objective(config, config.tasks)(outputs, {**batch, 'depth': depth})
    assert values['standing'] == 0, 'what has a label learns from that'


def test_depth_that_a_network_does_not_put_out_is_refused(tmp_path):
    config = TrainConfig(
        model='demt_light', tasks={'semseg': 4, 'depth': 1}, data=[{'root': 'data'}],
        out=str(tmp_path), protocol='driving', losses='driving', iterations=1, standing=0.25,
        ground=(ROAD,), stands=(WALL,))
    _, classes = street(7.5)
    outputs = {'semseg': torch.zeros(1, 4, HEIGHT, WIDTH)}
    with pytest.raises(ConfigError, match=r"standing.*\['depth'\] as auxiliary only"):
        Objective(config, config.tasks)(outputs, {'semseg': classes})


def test_what_does_not_reach_the_ground_or_leaves_the_picture_has_no_foot():
    depth, classes = street(7.5)
    classes[:, :, 3] = torch.where(classes[:, :, 3] == ROAD, SKY, classes[:, :, 3])
    classes[:, :25, 7] = TREE
    classes[:, 46, 9] = 255   # not labelled: below the foot, but far below
    classes[:, 46, 11] = WALL
    _, counts = feet(classes, [ROAD], [WALL, TREE])
    assert not counts[0, :, 3].any(), 'a wall above the sky'
    assert not counts[0, :25, 7].any(), 'a crown before the wall'
    assert counts[0, 25, 7], 'the wall below the crown'
    assert counts[0, 25, 9]
    assert counts[0, 46, 11] and counts[0, 25, 11], 'each on its own foot'
    cut, classes = street(7.5, bottom=40 + CLEAR + STEP)
    assert not feet(classes, [ROAD], [WALL])[1].any(), 'too little of the road is seen'


def by_columns(classes, ground, stands):
    """Return what ``feet`` says counts, pixel by pixel as its words say it."""
    counts = np.zeros(classes.shape, bool)
    height, width = classes.shape
    for column in range(width):
        for row in range(height):
            below = row
            while below + 1 < height and classes[below + 1, column] == classes[row, column]:
                below += 1
            road = classes[below + 1:below + 2 + CLEAR + STEP, column]
            counts[row, column] = (
                classes[row, column] in stands and len(road) == 1 + CLEAR + STEP
                and all(np.isin(road, ground)))
    return counts


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 14))
def test_feet_are_those_of_every_column(seed, height):
    rng = np.random.default_rng(seed)
    classes = np.sort(rng.choice([SKY, ROAD, WALL, 255], (2, height, 5), p=[.1, .5, .3, .1]), 1)
    classes = np.where(rng.random(classes.shape) < 0.2, ROAD, classes)
    for picture, (foot, counts) in zip(classes, zip(*feet(
            torch.from_numpy(classes), [ROAD], [WALL, SKY]), strict=True), strict=True):
        assert np.array_equal(counts.numpy(), by_columns(picture, [ROAD], [WALL, SKY]))
        assert foot.min() >= 0
        assert foot.max() < height


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_any_depth_gives_a_finite_loss_and_gradient(seed):
    rng = np.random.default_rng(seed)
    classes = torch.from_numpy(rng.choice([ROAD, WALL], (1, 30, 4)))
    depth = torch.from_numpy(np.exp(rng.uniform(-8, 8, (1, 1, 30, 4)))).requires_grad_()
    loss = standing_loss(depth, classes, torch.ones_like(classes, dtype=bool), [ROAD], [WALL])
    loss.backward()
    assert 0 <= loss <= 1
    assert torch.isfinite(depth.grad).all()
