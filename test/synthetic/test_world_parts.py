"""Parts of the generated world that need no renderer: classes, weather, lens, paint, the page."""

import cv2
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
import yaml

from demt_perception.synthetic import (
    cityscapes,
    furniture,
    heavy,
    labels,
    layout,
    lens,
    riders,
    weather,
)
from demt_perception.synthetic.markings import markings
from demt_perception.synthetic.meshes import Mesh
from demt_perception.synthetic.quality import panels, statistics, write_page
from demt_perception.synthetic.road import Road, road_surface
from demt_perception.synthetic.traffic import blocked

SIZE = (64, 36)
RAYS = labels.pixel_rays(SIZE, (50., 50.))


def test_objects_have_the_class_of_cityscapes_that_they_are():
    rng = np.random.default_rng(0)
    kinds = {'truck': heavy.truck(rng), 'bus': heavy.bus(rng), 'bicycle': riders.bicycle(rng),
             'motorcycle': riders.motorcycle(rng),
             'traffic light': furniture.traffic_light(rng)[1]}
    for name, mesh in kinds.items():
        assert cityscapes.NAMES[cityscapes.city_id(8, mesh.kind)] == name
    usual = [cityscapes.NAMES[cityscapes.city_id(k)] for k in range(len(labels.CLASSES))]
    assert usual == ['sky', 'building', 'pole', 'road', 'sidewalk', 'vegetation', 'traffic sign',
                     'fence', 'car', 'person', 'rider']
    assert cityscapes.city_id(labels.IGNORE) == cityscapes.city_id(7, 'none') == 255
    with pytest.raises(ValueError, match='motorcycle'):
        cityscapes.city_id(8, 'lorry')
    shown = cityscapes.colours(np.array([[0, 13, 255]]))
    assert shown.tolist() == [[[128, 64, 128], [0, 0, 142], [0, 0, 0]]]


def test_every_hour_and_wet_roads_are_drawn_and_lamps_burn_at_night():
    drawn = [weather.draw(np.random.default_rng(seed)) for seed in range(300)]
    assert {air.hour for air in drawn} == set(weather.HOURS)
    assert all(air.lamps for air in drawn if air.hour == 'night')
    assert not any(air.lamps for air in drawn if air.hour in ('sun', 'overcast'))
    assert .05 < np.mean([air.wet for air in drawn]) < .4


def test_motion_blurs_along_the_way_and_more_what_is_near():
    light = np.random.default_rng(0).uniform(0, 1, (SIZE[1], SIZE[0], 3)).astype(np.float32)
    still = lens.motion(light, np.full(SIZE[::-1], 5.), RAYS, 0., 0.)
    assert np.allclose(still, light, atol=1e-6)

    def roughness(depth):
        moved = lens.motion(light, np.full(SIZE[::-1], depth), RAYS, .5, 0.)
        return float(np.abs(np.diff(moved, axis=1)).mean())

    assert roughness(2.) < .7 * roughness(40.)
    assert np.allclose(lens.motion(light, np.full(SIZE[::-1], np.inf), RAYS, .5, 0.), light,
                       atol=1e-6)
    # A turn shifts everything alike: rows that are constant stay so.
    rows = np.repeat(light[:, :1], SIZE[0], 1)
    assert np.allclose(lens.motion(rows, np.full(SIZE[::-1], 9.), RAYS, 0., .05), rows, atol=1e-5)


@given(st.floats(.1, 6.))
def test_defocus_keeps_the_light(radius):
    light = np.zeros((41, 41, 3), np.float32)
    light[20, 20] = 1.
    spread = lens.disc(light, radius)
    assert spread.sum() == pytest.approx(3., rel=1e-4)
    assert spread[20, 20, 0] == pytest.approx(spread.max())
    assert (spread[..., 0] > 1e-6).any(0).sum() <= 2 * np.ceil(radius + .5) + 1


@pytest.mark.parametrize('seed', range(4))
def test_lens_faults_are_finite_and_by_seed(seed):
    light = np.random.default_rng(9).uniform(0, 2, (SIZE[1], SIZE[0], 3)).astype(np.float32)
    depth = np.full(SIZE[::-1], 8.)
    one, two = (lens.faults(light, depth, RAYS, np.random.default_rng(seed), True, True)
                for _ in range(2))
    assert np.array_equal(one[0], two[0]) and one[1] == two[1]
    assert np.isfinite(one[0]).all() and one[0].min() >= 0
    for change in (lens.dirt, lens.drops):
        assert not np.allclose(change(light, np.random.default_rng(seed)), light)


@pytest.mark.parametrize('seed', range(8))
def test_paint_lies_on_the_road_facing_up(seed):
    road = Road(np.random.default_rng(seed))
    road.lights = road.arrows = road.zebra = True
    paint = Mesh()
    markings(road, paint, np.random.default_rng(seed))
    points = paint.points
    middle = np.stack([road.x, road.y, road.z], -1)
    near = np.argmin(np.linalg.norm(points[:, None, :2] - middle[None, :, :2], axis=-1), 1)
    assert np.abs(points[:, 2] - road.z[near]).max() < .35  # side roads are as high as their mouth
    for face in paint.faces:
        a, b, c = points[list(face[:3])]
        assert np.cross(b - a, c - a)[2] > 0, 'paint seen from below'


def test_lanes_of_the_surface_are_told_for_wear():
    road = Road(np.random.default_rng(2))
    surface = road_surface(road)
    along, across = surface.lanes.T
    wide = (road.edge(1) + road.edge(-1)) / road.lane
    assert len(surface.lanes) <= len(surface.points)
    assert across.max() - across.min() == pytest.approx(wide, rel=.5)
    assert along.min() < 0 < 300 < along.max()


def test_nothing_is_put_on_what_is_there():
    assert blocked([(0., 1.5, 7.)], 2., 1.5, 1.7, 1.)
    assert not blocked([(0., 1.5, 7.)], 20., 1.5, 1.7, 1.)


@pytest.fixture
def views(tmp_path):
    """Return a folder of three small views."""
    layout.prepare(tmp_path, SIZE, 4)
    for number in range(3):
        classes = np.full(SIZE[::-1], 3)
        classes[:9] = 0
        classes[9:18] = 8
        city = np.choose(classes // 3, [10, 0, 14]).astype(np.uint8)
        depth = np.where(classes == 0, np.inf, 7.)
        normals = np.where((classes == 0)[..., None], 0., [0., -1, 0])
        layout.write_view(
            tmp_path, f'{number:06d}_00', cv2.imencode('.jpg', np.zeros((*SIZE[::-1], 3)))[1]
            .tobytes(), classes * labels.PER_CLASS + number, classes, city, depth, normals,
            classes == 8, {'fx': 32., 'fy': 32., 'hour': 'night', 'height_m': 1.5 + number})
    return tmp_path


def test_the_quality_page_counts_what_is_there(views):
    page = write_page(views).read_text()
    told = statistics(views, [f'{n:06d}_00' for n in range(3)])
    assert told['camvid']['sky'] == (pytest.approx(.25), 1.)
    assert told['cityscapes']['truck'] == (pytest.approx(.25), 1.)
    assert told['cityscapes']['train'] == (0., 0.)
    assert told['depth']['5 to 10 m'] == pytest.approx(.75) and told['sky'] == pytest.approx(.25)
    assert told['edge'] == pytest.approx(.25) and told['objects'] == 1
    assert told['tallies']['hour'] == {'night': 3}
    assert told['ranges']['height_m'] == [1.5, 2.5, 3.5]
    assert '<h1>3 generated views</h1>' in page and 'night: 3' in page
    assert [panel.shape for panel in panels(views, '000000_00')] == [(180, 320, 3)] * 6
    assert (views / 'quality' / 'sheet_0.jpg').is_file()
    assert yaml.safe_load((views / 'dataset.yaml').read_text())['cityscapes'][18] == 'bicycle'
    with pytest.raises(FileNotFoundError, match='demt generate'):
        write_page(views / 'images')


@pytest.mark.parametrize(('file', 'content', 'said'), [
    ('cameras/000001_00.yaml', b'fx: &a [*a]', 'contains itself'),
    ('cameras/000001_00.yaml', b'- 1', 'want key: value lines'),
    ('cameras/000001_00.yaml', b'hour: night', "fx is 'None', want a number"),
    ('cameras/000001_00.yaml', b'fx: 32\npitch: .nan', "pitch is 'nan', want a number"),
    ('depth/000001_00.npy', b'\x93NUMPY cut off', 'not a readable .npy file'),
    ('instance/000001_00.png', b'', 'is empty'),
    ('semseg/000001_00.png', b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\1\0\0\0\1\0\0', 'want sides'),
    ('images/000001_00.jpg', b'no picture', 'not a picture')])
def test_a_damaged_or_hostile_view_is_told_by_its_file(views, file, content, said):
    (views / file).write_bytes(content)
    with pytest.raises(OSError, match=f'{file}.*{said}.*remove the camera file of that view'):
        write_page(views)


def test_an_array_of_another_shape_is_told(views):
    np.save(views / 'normals' / '000002_00.npy', np.zeros(SIZE[::-1]))
    with pytest.raises(OSError, match=r'000002_00\.npy has shape \(36, 64\), want \(height, '
                       r'width, 3\)'):
        write_page(views)
