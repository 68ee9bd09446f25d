"""Crops, mirrors and canonical depth on scenes whose right answer is known."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')

from demt_perception.training.datasets import class_edges, IGNORE, Sample
from demt_perception.training.transforms import (
    photometric,
    random_view,
    to_tensors,
    View,
)

MEAN, STD = (127.0,) * 3, (128.0,) * 3


def scene(height=120, width=160, fx=100.0, fy=100.0):
    """A floor 1.5 m below a level camera, sky above; columns coloured by x."""
    rows = np.arange(height)[:, None] + 0.5 - height / 2
    depth = np.where(rows > 0, 1.5 * fy / np.maximum(rows, 1e-9), np.inf)
    depth = np.repeat(depth, width, 1).astype(np.float32)
    floor = np.isfinite(depth)
    normals = np.zeros((height, width, 3), np.float32)
    normals[floor] = (0.1, -0.995, 0)
    semseg = np.where(floor, 3, 0).astype(np.uint8)
    image = np.repeat(np.linspace(0, 255, width)[None, :, None], height, 0).repeat(3, 2)
    edge = np.zeros((height, width), np.uint8)
    edge[height // 2] = 1
    return Sample(image.astype(np.uint8), semseg, depth, normals, edge, (fx, fy), real=False)


def cut(sample, view, size=(64, 96), focal=200.0, far=150.0):
    return to_tensors(sample, view, size, focal, far, MEAN, STD)


def test_depth_is_metric_at_the_canonical_focal_length():
    sample = scene()
    out = cut(sample, View(0, 0, 160, 120))
    seen = np.sqrt(100 * 96 / 160 * 100 * 64 / 120)
    source = sample.depth[int((31 + 0.5) * 120 / 32), 0]
    assert float(out['depth'][31, 5]) == pytest.approx(source * 200 / seen, rel=1e-5)
    assert float(out['depth'][0, 0]) == 150.0, 'sky lies at the far limit'


def test_a_zoomed_view_keeps_the_canonical_depth_of_what_it_shows():
    """Twice the zoom is twice the focal length: the same floor pixel gets half the value."""
    wide, zoomed = cut(scene(), View(0, 0, 160, 120)), cut(scene(), View(40, 60, 80, 60))
    # last row of the zoomed view shows source row 119 too
    ratio = float(wide['depth'][31, 0]) / float(zoomed['depth'][31, 0])
    near_row = scene().depth[int(31.5 * 120 / 32), 0] / scene().depth[60 + int(31.5 * 60 / 32), 0]
    assert ratio == pytest.approx(2 * near_row, rel=1e-5)


def test_mirroring_turns_picture_labels_and_normals_alike():
    plain, mirrored = cut(scene(), View(0, 0, 160, 120)), cut(scene(), View(0, 0, 160, 120, True))
    assert torch.equal(mirrored['image'], plain['image'].flip(-1))
    expected = plain['normals'].flip(-1) * torch.tensor([-1.0, 1, 1])[:, None, None]
    assert torch.equal(mirrored['normals'], expected)
    assert torch.equal(mirrored['semseg'], plain['semseg'].flip(-1))


def test_thin_boundaries_survive_shrinking():
    out = cut(scene(), View(0, 0, 160, 120), size=(32, 32))
    assert bool((out['edge'].amax(0) == 1).all())


def test_photographs_get_only_the_geometry_that_is_certain():
    sample = scene()
    sample.depth = sample.normals = sample.edge = sample.focal = None
    sample.semseg[-10:] = IGNORE
    out = cut(sample, View(0, 0, 160, 120))
    sky, road = out['semseg'] == 0, out['semseg'] == 3
    assert bool((out['depth'][sky] == 150).all()) and bool(out['depth'][~sky].isnan().all())
    assert bool((out['normals'][:, road] == torch.tensor([0.0, -1, 0])[:, None]).all())
    assert not out['normals'][:, ~road].any()


def test_edges_next_to_void_are_ignored():
    edge = class_edges(np.array([[1, 1, 2, IGNORE]], np.uint8))
    assert edge.tolist() == [[0, 1, IGNORE, 0]]


def test_views_lie_inside_the_picture_and_vary():
    rng = np.random.default_rng(0)
    views = [random_view((360, 480), rng) for _ in range(300)]
    assert all(v.left >= 0 and v.top >= 0 and v.left + v.width <= 480 and v.top + v.height <= 360
               for v in views)
    assert min(v.width for v in views) < 300 and sum(v.mirrored for v in views) > 100


def test_photometry_changes_values_not_shape():
    image = scene().image
    changed = photometric(image, np.random.default_rng(1))
    assert changed.shape == image.shape and changed.dtype == np.uint8
    assert np.any(changed != image)
