"""The papers' transforms on scenes whose right answer is known."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='training needs torch: pip install torch==2.13.0')

from demt_perception.training.datasets.sample import labels_of, Sample
from demt_perception.training.transforms.cropping import crop, pad, random_crop
from demt_perception.training.transforms.photometry import distort, MEAN, normalise, STD
from demt_perception.training.transforms.released import PROTOCOLS, to_released
from demt_perception.training.transforms.resizing import as_float, scale, stretch
from demt_perception.training.transforms.turning import mirror, turn

ALL = ('semseg', 'human_parts', 'sal', 'normals', 'edge', 'depth')
HEIGHT, WIDTH, FOCAL = 120, 160, 150.0
NORMAL = np.array((0.36, -0.48, -0.8))


def plane():
    """A plane at 5 m whose normal is NORMAL, and blocks whose grey value tells all labels.

    The optical axis meets the middle of the picture (of pixel edges, as OpenCV turns it).
    """
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    rays = np.stack([(x - WIDTH / 2) / FOCAL, (y - HEIGHT / 2) / FOCAL, np.ones_like(x)], -1)
    depth = (5 * NORMAL[2] / (rays @ NORMAL)).astype(np.float32)
    ids = (y // 20 * 3 + x // 20).astype(np.uint8) % 7
    image = np.repeat((20 + 30 * ids)[..., None], 3, 2).astype(np.uint8)
    normals = np.broadcast_to(NORMAL.astype(np.float32), (*ids.shape, 3)).copy()
    return Sample(image, ids, depth, normals, ids % 2, (FOCAL, FOCAL), human_parts=ids.copy(),
                  sal=(ids > 3).astype(np.uint8), name='plane')


def fitted_normal(depth, focal, middle):
    """Fit a plane to the points that depth and a camera give; the normal faces the camera."""
    y, x = np.nonzero(np.isfinite(depth))
    z = depth[y, x].astype(np.float64)
    points = np.stack([(x - middle[0]) * z / focal[0], (y - middle[1]) * z / focal[1], z], -1)
    normal = np.linalg.svd(points - points.mean(0), full_matrices=False)[2][2]
    return -normal * np.sign(normal[2])


def agree(sample, middle, degrees=0.3):
    """Check depth and normals against each other, and every map of ids against the picture."""
    known = (sample.normals != 0).any(2)
    label = sample.normals[known].mean(0, dtype=np.float64)
    fitted = fitted_normal(np.where(known, sample.depth, np.nan), sample.focal, middle)
    cosine = np.clip(fitted @ label / np.linalg.norm(label), -1, 1)
    assert np.degrees(np.arccos(cosine)) < degrees
    assert np.allclose(sample.normals[known], label, atol=1e-4)
    # Interpolation mixes two blocks at their border only.
    shown = (sample.image[..., 0].astype(np.float32) - 20) / 30
    around = np.ones((3, 3), np.uint8)
    flat = known & (cv2.dilate(shown, around) - cv2.erode(shown, around) < 0.02)
    ids = np.round(shown).astype(int)
    assert flat.mean() > 0.4 * known.mean()
    for name, expected in (('semseg', ids), ('human_parts', ids), ('edge', ids % 2),
                           ('sal', ids > 3)):
        assert (getattr(sample, name)[flat] == expected[flat]).all(), name


def test_the_scene_itself_agrees():
    agree(plane(), (WIDTH / 2, HEIGHT / 2))


@pytest.mark.parametrize('factor', [0.5, 0.7, 1.0, 1.4, 2.0])
def test_scaling_shrinks_the_scene_and_keeps_its_shape(factor):
    before = as_float(plane())
    after = scale(before, factor)
    assert after.image.shape[:2] == (int(HEIGHT * factor), int(WIDTH * factor))
    assert after.focal == (FOCAL * factor, FOCAL * factor)
    middle = ((WIDTH / 2 + 0.5) * factor - 0.5, (HEIGHT / 2 + 0.5) * factor - 0.5)
    agree(after, middle)
    assert np.median(after.depth) == pytest.approx(np.median(before.depth) / factor, rel=0.02)
    assert before.depth[3, 5] == plane().depth[3, 5], 'the sample given is left as it was'


def test_mirroring_twice_is_nothing_and_once_is_consistent():
    once, twice = mirror(plane()), mirror(mirror(plane()))
    agree(once, (WIDTH - 1 - WIDTH / 2, HEIGHT / 2))
    assert once.normals[0, 0] == pytest.approx(NORMAL * (-1, 1, 1))
    for (_, a), (_, b) in zip(labels_of(twice), labels_of(plane()), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize(('degrees', 'factor'), [(0, 1.5), (20, 1.0), (-13, 1.25), (7, 0.75),
                                                 (90, 1.0)])
def test_turning_turns_the_plane(degrees, factor):
    after = turn(as_float(plane()), degrees, factor)
    known = (after.normals != 0).any(2) & np.isfinite(after.depth)
    # At the rim cubic interpolation mixes the vectors with the nothing outside.
    inner = cv2.erode(known.astype(np.uint8), np.ones((7, 7), np.uint8),
                      borderType=cv2.BORDER_CONSTANT, borderValue=0).astype(bool)
    after.normals[~inner] = 0
    agree(after, (WIDTH / 2, HEIGHT / 2), degrees=0.6)
    outside = ~known
    if factor < 1:
        assert outside.any()
        assert np.isnan(after.depth[cv2.erode(outside.astype(np.uint8), np.ones((5, 5)))
                                    .astype(bool)]).all()
    assert after.depth[HEIGHT // 2, WIDTH // 2] == pytest.approx(5 / factor, rel=0.01)


def test_turning_is_counter_clockwise():
    sample = plane()
    sample.semseg[:] = 0
    sample.semseg[10, WIDTH // 2] = 1       # above the middle ...
    after = turn(sample, 90, 1.0)
    assert np.argwhere(after.semseg)[0].tolist() == [HEIGHT // 2, WIDTH // 2 - 50]   # ... left
    up = replace(sample, normals=np.broadcast_to(np.float32((0, -1, 0)), sample.normals.shape))
    assert turn(up, 90, 1.0).normals[60, 80] == pytest.approx((-1, 0, 0), abs=1e-6)


def test_stretching_keeps_depth_and_unit_normals():
    after = stretch(as_float(plane()), (64, 200))
    assert after.image.shape == (64, 200, 3)
    assert np.linalg.norm(after.normals, axis=2) == pytest.approx(1, abs=1e-6)
    agree(after, ((WIDTH / 2 + .5) * 200 / WIDTH - .5, (HEIGHT / 2 + .5) * 64 / HEIGHT - .5), 0.5)
    assert after.depth[32, 100] == pytest.approx(5, rel=0.02)


def test_padding_is_centred_and_unknown():
    after = pad(replace(plane(), image=normalise(plane().image)), (HEIGHT + 5, WIDTH + 4))
    out = to_released(after, ALL)
    assert out['image'].shape == (3, HEIGHT + 5, WIDTH + 4)
    rim = torch.ones(HEIGHT + 5, WIDTH + 4, dtype=torch.bool)
    rim[2:2 + HEIGHT, 2:2 + WIDTH] = False
    assert not out['image'][:, rim].any()
    for task in ALL:
        assert (out[task][:, rim] == 255).all(), task
        assert (out[task][:, ~rim] != 255).all(), task
    same = pad(plane(), (HEIGHT, 10))
    assert same.image.shape == plane().image.shape, 'a picture that is large enough stays'


def test_unknown_becomes_255_and_missing_labels_too():
    sample = plane()
    sample.depth[0, :4] = (np.nan, np.inf, 0, -1)
    sample.normals[1, 1] = 0
    sample.semseg[2, 2] = 255
    sample.human_parts[:] = 0
    sample.human_parts[0, 0] = 255
    sample.edge = None
    out = to_released(sample, ALL)
    assert (out['depth'][0] == 255).nonzero().tolist() == [[0, 0], [0, 1], [0, 2], [0, 3]]
    assert (out['normals'] == 255).all(0).nonzero().tolist() == [[1, 1]]
    assert (out['semseg'][0] == 255).nonzero().tolist() == [[2, 2]]
    assert (out['human_parts'] == 255).all(), 'no part in sight: not annotated'
    assert out['edge'].shape == (1, HEIGHT, WIDTH) and (out['edge'] == 255).all()
    nothing = to_released(Sample(sample.image), ALL)
    assert all((nothing[task] == 255).all() for task in ALL)
    assert nothing['normals'].shape == (3, HEIGHT, WIDTH)


def test_crops_avoid_a_ruling_class():
    semseg = np.zeros((100, 400), np.uint8)
    semseg[:, 300:] = np.arange(100)[:, None] // 25 + 1
    sample = Sample(np.zeros((100, 400, 3), np.uint8), semseg)
    good = 0
    for seed in range(200):
        cut = random_crop(sample, (100, 100), np.random.default_rng(seed)).semseg
        assert cut.shape == (100, 100)
        good += (cut == 0).mean() < 0.75 and len(np.unique(cut)) > 1
    # One window in four is good: 11 draws miss all with 4 %, one draw alone with 75 %.
    assert good > 180
    small = random_crop(sample, (200, 100), np.random.default_rng(0))
    assert small.image.shape == (100, 100, 3), 'less than the size, where the picture ends'
    void = Sample(sample.image, np.full((100, 400), 255, np.uint8))
    assert random_crop(void, (50, 50), np.random.default_rng(0)).semseg.shape == (50, 50)
    assert crop(sample, 10, 20, (30, 40)).semseg.shape == (30, 40)


def test_the_eleventh_window_is_taken_unseen():
    """Ten refusals use eleven places: counted by the numbers that are drawn."""
    class Counting:
        drawn = 0

        def integers(self, low, high):
            self.drawn += 1
            return low

    rng = Counting()
    random_crop(Sample(np.zeros((90, 90, 3), np.uint8), np.zeros((90, 90), np.uint8)), (50, 50),
                rng)
    assert rng.drawn == 22
    rng = Counting()
    random_crop(Sample(np.zeros((50, 50, 3), np.uint8), np.zeros((50, 50), np.uint8)), (50, 50),
                rng)
    assert rng.drawn == 2


def test_distortion_stays_within_its_ranges():
    grey = np.full((8, 8, 3), 100, np.uint8)
    values = np.array([distort(grey, np.random.default_rng(s))[0, 0] for s in range(2000)], int)
    assert (np.ptp(values, axis=1) == 0).all(), 'grey has neither hue nor saturation'
    assert values.min() >= int(68 * 0.5) and values.max() <= int(132 * 1.5)
    assert 0.2 < (values[:, 0] == 100).mean() < 0.3, 'a quarter gets neither of the two'
    red = np.full((8, 8, 3), (200, 40, 40), np.uint8)
    hues = [cv2.cvtColor(distort(red, np.random.default_rng(s)), cv2.COLOR_RGB2HSV)[0, 0, 0]
            for s in range(500)]
    away = np.minimum(hues, 180 - np.array(hues, int))
    assert away.max() <= 20 and away.max() >= 14
    fractions = distort(np.full((4, 4, 3), 99.9, np.float32), np.random.default_rng(3))
    whole = distort(np.full((4, 4, 3), 99, np.uint8), np.random.default_rng(3))
    assert np.array_equal(fractions, whole)


def test_normalised_as_the_encoders_want():
    out = normalise(np.full((1, 1, 3), 255, np.uint8))
    assert out[0, 0] == pytest.approx((1 - np.array(MEAN)) / np.array(STD), rel=1e-6)


@pytest.mark.parametrize('name', PROTOCOLS)
def test_protocols_make_batches_and_repeat_themselves(name):
    size = (96, 128)
    for seed in range(8):
        out = PROTOCOLS[name](plane(), size, ALL, np.random.default_rng(seed))
        again = PROTOCOLS[name](plane(), size, ALL, np.random.default_rng(seed))
        assert list(out) == ['image', *ALL]
        for key, value in out.items():
            assert value.dtype == torch.float32 and value.shape[-2:] == size
            assert value.shape[0] == (3 if key in ('image', 'normals') else 1)
            assert torch.equal(value, again[key])
            assert torch.isfinite(value).all()
        length = torch.linalg.vector_norm(out['normals'], dim=0)
        known = (out['normals'] != 255).all(0)
        # All but the rounding errors that cubic interpolation leaves outside of the picture.
        assert length[known].max() < 1 + 1e-5
        assert (length[known] > 0.8).float().mean() > 0.99
    only = PROTOCOLS[name](plane(), size, ['depth'], np.random.default_rng(0))
    assert list(only) == ['image', 'depth']


def test_validation_shows_the_picture_as_it_is():
    sample = plane()
    out = PROTOCOLS['demt'](sample, (HEIGHT, WIDTH), ALL, None)
    assert np.array_equal(out['image'].numpy().transpose(1, 2, 0), normalise(sample.image))
    assert np.array_equal(out['semseg'][0].numpy(), sample.semseg)
    assert np.array_equal(out['depth'][0].numpy(), sample.depth)
    stretched = PROTOCOLS['mtl_nyud'](sample, (HEIGHT, WIDTH), ALL, None)
    assert torch.equal(stretched['image'], out['image'])
    assert torch.equal(stretched['depth'], out['depth'])


def test_zooms_of_mtl_are_the_three():
    middle = {float(PROTOCOLS['mtl_nyud'](plane(), (HEIGHT, WIDTH), ['depth'],
                                          np.random.default_rng(s))['depth'][0, 60, 80])
              for s in range(40)}
    assert {round(5 / value, 1) for value in middle} == {1.0, 1.2, 1.5}
