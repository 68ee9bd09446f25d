"""Crops, mirrors and canonical depth on scenes whose right answer is known."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')

from demt_perception.tasks import DRIVING, TASKS
from demt_perception.training.datasets import class_edges, IGNORE, Sample
from demt_perception.training.transforms import (
    Driving,
    driving,
    photometric,
    random_view,
    to_tensors,
    View,
)

MEAN, STD = (10.0, 60.0, 200.0), (20.0, 40.0, 80.0)


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
    return Sample(image.astype(np.uint8), semseg, depth, normals, edge, (fx, fy))


def patchwork(height=120, width=160):
    """Whatever is known of a pixel differs from what is known of most others."""
    rng = np.random.default_rng(0)

    def ids(count):
        return rng.integers(0, count, (height, width)).astype(np.uint8)

    return Sample(
        rng.integers(0, 256, (height, width, 3), np.uint8), ids(11),
        rng.uniform(1, 60, (height, width)).astype(np.float32),
        rng.uniform(-1, 1, (height, width, 3)).astype(np.float32),
        (ids(40) == 0).astype(np.uint8), (90.0, 110.0), ids(7), ids(2))


def cut(sample, view, size=(64, 96), tasks=DRIVING):
    return to_tensors(sample, view, size, tasks, Driving(200.0, 150.0, MEAN, STD, 0, (3, 4)))


def test_depth_is_metric_at_the_canonical_focal_length():
    sample = scene(fx=90.0, fy=110.0)
    out = cut(sample, View(0, 0, 160, 120))
    seen = np.sqrt(90 * 96 / 160 * 110 * 64 / 120)
    source = sample.depth[int((31 + 0.5) * 120 / 32), 0]
    assert float(out['depth'][31, 5]) == pytest.approx(source * 200 / seen, rel=1e-5)
    assert float(out['depth'][0, 0]) == 150.0, 'sky lies at the far limit'


def test_depth_is_cut_to_what_the_network_can_say():
    sample = scene(fx=100.0, fy=100.0)
    sample.depth[60:90], sample.depth[90:] = 0.01, 1e6
    depth = cut(sample, View(0, 0, 160, 120))['depth'].numpy()
    assert np.allclose(depth[17:23], np.exp(-2), rtol=1e-6) and (depth[25:] == 150).all()
    sample.depth[60:90], sample.depth[90:] = 0, np.nan
    assert np.isnan(cut(sample, View(0, 0, 160, 120))['depth'].numpy()[17:]).all()


def test_a_zoomed_view_keeps_the_canonical_depth_of_what_it_shows():
    """Twice the zoom is twice the focal length: the same floor pixel gets half the value."""
    wide, zoomed = cut(scene(), View(0, 0, 160, 120)), cut(scene(), View(40, 60, 80, 60))
    # last row of the zoomed view shows source row 119 too
    ratio = float(wide['depth'][31, 0]) / float(zoomed['depth'][31, 0])
    near_row = scene().depth[int(31.5 * 120 / 32), 0] / scene().depth[60 + int(31.5 * 60 / 32), 0]
    assert ratio == pytest.approx(2 * near_row, rel=1e-5)


def test_mirroring_turns_picture_and_every_label_alike():
    plain, mirrored = (cut(patchwork(), View(40, 30, 96, 48, turned), tasks=TASKS)
                       for turned in (False, True))
    plain['normals'] *= torch.tensor([-1.0, 1, 1])[:, None, None]
    for name in ('image', *TASKS):
        wanted = plain[name].flip(-1)
        assert torch.equal(mirrored[name], wanted), name
        assert not torch.equal(plain[name], wanted), f'{name} is its own mirror image'


@pytest.mark.parametrize(('mirrored', 'cx'), [(False, 19.5), (True, 27.5)])
def test_a_stretched_view_keeps_colours_and_the_camera_of_each_direction(mirrored, cx):
    """Of 96x48 pixels to labels of 48x32: 1/2 across and 2/3 down."""
    sample = patchwork()
    sample.image[:] = 210, 20, 120
    out = cut(sample, View(40, 30, 96, 48, mirrored))
    assert out['camera'].tolist() == pytest.approx([45.0, 220 / 3, cx, 19.5])
    assert out['image'].flatten(1).unique(dim=1).tolist() == [[10.0], [-1.0], [-1.0]]


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


def test_edges_in_void_and_next_to_it_are_ignored():
    edge = class_edges(np.array([[1, 1, 2, IGNORE, IGNORE, 3, 3]], np.uint8))
    assert edge.tolist() == [[0, 1, IGNORE, IGNORE, IGNORE, 0, 0]]


@pytest.mark.parametrize('picture', [(360, 480), (370, 1226), (288, 512), (500, 200), (33, 40)])
@pytest.mark.parametrize('size', [(288, 512), (352, 448), (192, 640)])
def test_views_lie_inside_the_picture_vary_and_hardly_distort(picture, size):
    rng = np.random.default_rng(0)
    views = [random_view(picture, size, rng) for _ in range(300)]
    height, width = picture
    assert all(v.left >= 0 and v.top >= 0 and v.left + v.width <= width
               and v.top + v.height <= height for v in views)
    assert sum(v.mirrored for v in views) > 100
    if min(picture) > 100:
        stretch = [v.width / v.height / (size[1] / size[0]) for v in views]
        assert 0.83 < min(stretch) < 0.9 and 1.1 < max(stretch) < 1.2
        widths = [v.width for v in views]
        assert min(widths) < 0.55 * max(widths)
        assert max(widths) > 0.95 * min(width, height * size[1] / size[0])


def test_views_are_stretched_as_far_as_asked():
    rng = np.random.default_rng(0)
    views = [random_view((360, 480), (288, 512), rng, 0.6) for _ in range(300)]
    stretch = [np.log(v.width / v.height / (512 / 288)) for v in views]
    assert -0.61 < min(stretch) < -0.5 and 0.5 < max(stretch) < 0.61
    settings = Driving(200, 150, MEAN, STD, stretch=0.0)
    sample = Sample(np.zeros((360, 480, 3), np.uint8), focal=(500.0, 500.0))
    seen = [driving(sample, (288, 512), (), np.random.default_rng(n), settings=settings)['camera']
            for n in range(20)]
    assert all(float(x[0] / x[1]) == pytest.approx(1, abs=0.02) for x in seen)


def test_photometry_changes_values_not_shape():
    image = scene().image
    changed = photometric(image, np.random.default_rng(1))
    assert changed.shape == image.shape and changed.dtype == np.uint8
    assert np.any(changed != image)


def test_labels_that_a_picture_lacks_are_unknown_in_all_their_pixels():
    sample = Sample(scene().image, name='bare')
    tasks = (*DRIVING, 'human_parts', 'sal')
    out = driving(sample, (64, 96), tasks, None, settings=Driving(200, 150, MEAN, STD, 0, (3,)))
    assert set(out) == {'image', 'camera', *tasks}
    for task in ('semseg', 'edge', 'human_parts', 'sal'):
        assert bool((out[task] == IGNORE).all()) and out[task].shape == (32, 48)
    assert bool(out['depth'].isnan().all()) and not out['normals'].any()
    assert bool(out['camera'].isnan().all())


@pytest.mark.parametrize('view', [View(0, 0, 160, 120), View(30, 50, 90, 66),
                                  View(30, 50, 90, 66, True)])
def test_depth_and_camera_of_a_view_give_the_normals_of_its_floor(view):
    """Consistency: a plane stays a plane, whatever is cut out of the picture."""
    from demt_perception.training.losses.consistency import normals_of_depth
    sample = scene()
    sample.depth = np.where(sample.depth > 40, np.inf, sample.depth).astype(np.float32)
    # The view's own pixels: labels as large as the view, so that no depth is interpolated.
    out = cut(sample, view, size=(2 * view.height, 2 * view.width))
    focal, axis = out['camera'][None, :2], out['camera'][None, 2:]
    normals, surface = normals_of_depth(out['depth'][None, None], focal, axis)
    floor = surface[0, 0] & (out['semseg'] == 3) & (out['depth'] < 100)
    assert int(floor.sum()) > 500
    error = (normals[0].permute(1, 2, 0)[floor] - torch.tensor([0.0, -1.0, 0.0])).abs().max()
    assert float(error) < 1e-3
