"""The street's geometry without Blender: meshes, the road's frame, where cameras stand."""

from itertools import pairwise

import numpy as np
import pytest

from demt_perception.synthetic import (
    buildings,
    furniture,
    heavy,
    people,
    plants,
    riders,
    vehicles,
)
from demt_perception.synthetic.camera import matrix
from demt_perception.synthetic.markings import markings
from demt_perception.synthetic.materials import looks
from demt_perception.synthetic.meshes import Mesh, pose
from demt_perception.synthetic.road import pavements, Road, road_surface, terrain
from demt_perception.synthetic.weather import Weather


def volume(mesh: Mesh) -> float:
    """Return the volume that outward faces enclose (divergence theorem)."""
    total, points = 0., mesh.points
    for face in mesh.faces:
        for a, b in pairwise(face[1:]):
            total += np.dot(points[face[0]], np.cross(points[a], points[b])) / 6
    return total


def test_solids_are_closed_and_face_outwards():
    mesh = Mesh()
    mesh.box((1, 2, 3), (2, 4, 6), 'x')
    assert volume(mesh) == pytest.approx(6)
    tube = Mesh()
    tube.tube((0, 0, 1), (0, 3, 1), 1, 1, 'x', sides=200)
    assert volume(tube) == pytest.approx(3 * np.pi, rel=1e-3)
    ball = Mesh()
    ball.ball((5, 0, 0), 2., 'x', 60, 60)
    assert volume(ball) == pytest.approx(4 / 3 * np.pi * 8, rel=1e-2)


def test_merge_moves_a_copy():
    one, two = Mesh(), Mesh()
    one.box((0, 0, 0), (1, 1, 1), 'a')
    two.box((0, 0, 0), (1, 1, 1), 'b')
    two.merge(one, pose(10, 0, 0, np.pi / 2))
    assert len(two.faces) == 12
    assert two.points[8:, 0].min() == pytest.approx(9)
    assert volume(two) == pytest.approx(2)


@pytest.mark.parametrize('seed', range(6))
def test_road_frame_stands_on_the_road(seed):
    road = Road(np.random.default_rng(seed))
    frame = road.frame(100., 2., 1.5)
    assert np.allclose(frame[:3, :3] @ frame[:3, :3].T, np.eye(3))
    assert np.linalg.det(frame[:3, :3]) == pytest.approx(1)
    assert np.allclose(frame[:3, 3], road.at(100., 2., 1.5))
    assert frame[2, 2] > 0.98  # upright
    left = road.at(100., 3.) - road.at(100., 2.)
    assert np.dot(left, frame[:3, 1]) == pytest.approx(1, abs=1e-2)


def test_level_camera_looks_along_the_road():
    road = Road(np.random.default_rng(0))
    shot = {'s': 50., 't': -1.5, 'direction': 1, 'height': 1.5, 'pitch': 0., 'roll': 0., 'yaw': 0.}
    ahead = road.frame(50., -1.5, 1.5)
    looks_at = matrix(road, shot)
    assert np.allclose(-looks_at[:3, 2], ahead[:3, 0])  # Blender cameras look along -z
    assert np.allclose(looks_at[:3, 1], ahead[:3, 2])
    up = matrix(road, {**shot, 'pitch': 5.})
    assert np.dot(-up[:3, 2], ahead[:3, 2]) == pytest.approx(np.sin(np.radians(5)))
    back = matrix(road, {**shot, 'direction': -1})
    assert np.allclose(back[:3, 2], ahead[:3, 0])


def test_every_material_that_a_mesh_names_exists():
    rng = np.random.default_rng(3)
    known = set(looks(rng, Weather('night', True, True)))
    road = Road(rng)
    road.lights = road.arrows = road.zebra = road.repaired = True
    surface = road_surface(road)
    markings(road, surface, rng)
    made = [surface, *pavements(road), terrain(road, rng), heavy.truck(rng), heavy.bus(rng),
            people.pedestrian(rng), riders.bicycle(rng), riders.cyclist(rng),
            riders.motorcycle(rng), riders.motorcyclist(rng), furniture.lamp_post(rng)[0],
            *furniture.traffic_light(rng), *furniture.sign(rng), furniture.fence(rng, 5.),
            plants.bush(rng),
            plants.hedge(rng, 4., 1.), *(vehicles.car(rng, k) for k in vehicles.KINDS),
            *(plants.tree(rng, k) for k in plants.KINDS),
            *(buildings.building(rng, k, 12., 9.) for k in ('house', 'town', 'block'))]
    for mesh in made:
        assert set(mesh.materials) <= known
        assert max(map(max, mesh.faces)) < len(mesh.points)
        assert len(mesh.materials) == len(mesh.faces)


def test_sizes_are_those_of_real_things():
    rng = np.random.default_rng(4)
    for kind, (_, length, width) in vehicles.KINDS.items():
        low, high = (f(vehicles.car(rng, kind).points, axis=0) for f in (np.min, np.max))
        assert high[0] - low[0] == pytest.approx(length, rel=0.1)
        assert width * 0.9 < high[1] - low[1] < width * 1.25  # mirrors included
        assert 1.3 < high[2] < 2.8
        assert low[2] == pytest.approx(0, abs=0.02 + 0.06)
    for _ in range(10):
        height = np.ptp(people.pedestrian(rng).points[:, 2])
        assert 0.9 < height < 2.2


def test_same_seed_same_street():
    one, two = (road_surface(Road(np.random.default_rng(9))).points for _ in range(2))
    assert (one == two).all()
