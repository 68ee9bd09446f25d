"""Label maths against scenes whose answer is known without rendering."""

from depth_gradient import normals_from_depth
import numpy as np
import pytest

from demt_perception.synthetic import labels

SIZE, FOCAL = (96, 64), (80., 80.)
RAYS = labels.pixel_rays(SIZE, FOCAL)


def plane(normal: tuple[float, float, float], distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return depth and normals of the plane n . p = -distance, sky where it is not seen."""
    normal = np.array(normal) / np.linalg.norm(normal)
    slope = (RAYS * normal).sum(-1)
    depth = np.where(slope < -1e-6, -distance / np.minimum(slope, -1e-6), np.inf)
    normals = np.where(np.isfinite(depth)[..., None], normal, 0)
    return depth, normals


def ids(class_id: int, number: int, shape=(SIZE[1], SIZE[0])) -> np.ndarray:
    """Return a map filled with one instance id."""
    return np.full(shape, labels.instance_id(class_id, number))


def test_rays_follow_the_camera_info_convention():
    assert np.allclose(RAYS[0, 0], [-47.5 / 80, -31.5 / 80, 1])
    assert np.allclose(RAYS[0, 0, :2], -RAYS[-1, -1, :2])


def test_class_is_recovered_from_instance_ids():
    given = [1, 8, 10, labels.IGNORE]
    found = labels.class_of(np.array([labels.instance_id(c, 2047) for c in given]))
    assert found.tolist() == given
    assert labels.class_of(np.array([0])).tolist() == [0]


def test_instance_number_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match='2048'):
        labels.instance_id(8, 2048)


def test_floor_seen_by_a_level_camera_points_up():
    # Columns: right, up, backward of a Blender camera looking along world +y.
    camera = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], float)
    world = np.broadcast_to([0., 0, 3.], (*RAYS.shape[:2], 3))
    down = RAYS.copy()
    down[..., 1] = 1
    normals = labels.optical_normals(world, camera, down, np.ones(RAYS.shape[:2], bool))
    assert np.allclose(normals, [0, -1, 0])


def test_normals_face_the_camera_and_sky_has_none():
    camera = np.eye(3)
    away = np.broadcast_to([0., 0, -1.], RAYS.shape)
    valid = np.ones(RAYS.shape[:2], bool)
    valid[0] = False
    normals = labels.optical_normals(away, camera, RAYS, valid)
    assert np.all((normals[1:] * RAYS[1:]).sum(-1) < 0)
    assert not normals[0].any()


@pytest.mark.parametrize('normal', [(0, -1, 0), (0.3, -0.8, -0.2), (-0.5, 0.1, -0.8)])
def test_normals_agree_with_the_gradient_of_depth(normal):
    depth, normals = plane(normal, 1.5)
    near = np.isfinite(depth) & (depth < 60)
    inside = np.zeros_like(near)
    inside[1:-1, 1:-1] = (near[1:-1, 1:-1] & near[:-2, 1:-1] & near[2:, 1:-1] & near[1:-1, :-2]
                          & near[1:-1, 2:])
    from_depth = normals_from_depth(np.where(near, depth, 0), RAYS)
    cosine = (from_depth * normals).sum(-1)[inside]
    assert inside.sum() > 500
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 0.1


def test_a_road_to_the_horizon_is_no_boundary():
    depth, normals = plane((0, -1, 0), 1.5)
    road = np.where(np.isfinite(depth), ids(3, 0), 0)
    edge = labels.boundaries(road, depth, normals, RAYS)
    rows = np.flatnonzero(edge.any(1))
    assert rows.tolist() == [SIZE[1] // 2 - 1]  # the horizon alone, one pixel thin
    assert edge[rows[0]].all()


def test_a_wall_meeting_a_floor_is_a_crease_between_surfaces_of_one_class():
    floor, up = plane((0, -1, 0), 1.5)
    wall, back = plane((0, 0, -1), 4.)
    nearer = floor < wall
    depth, normals = np.minimum(floor, wall), np.where(nearer[..., None], up, back)
    edge = labels.boundaries(ids(1, 0), depth, normals, RAYS)
    border = nearer[1:] & ~nearer[:-1]
    assert edge[:-1][border].all()
    assert edge.sum() == border.sum()


def test_occlusion_within_one_class_and_between_instances():
    depth, normals = plane((0, 0, -1), 10.)
    depth = depth.copy()
    depth[20:40, 30:50] = 6.
    edge = labels.boundaries(ids(1, 0), depth, normals, RAYS)
    assert edge[[25, 25, 19, 39], [29, 49, 35, 35]].all()
    assert edge.sum() == 2 * 20 + 2 * 20 - 1  # they share a corner
    cars = ids(8, 0)
    cars[:, 48:] = labels.instance_id(8, 1)
    flat = np.full_like(depth, 10.)
    assert labels.boundaries(cars, flat, normals, RAYS).sum() == SIZE[1]
    houses = np.where(cars == cars[0, 0], ids(1, 0), ids(1, 1))
    assert not labels.boundaries(houses, flat, normals, RAYS).any()


def test_leaves_within_a_crown_are_not_marked():
    rng = np.random.default_rng(0)
    depth = rng.uniform(5, 12, (SIZE[1], SIZE[0]))
    normals = rng.normal(size=(*depth.shape, 3))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    assert not labels.boundaries(ids(labels.TREE, 0), depth, normals, RAYS).any()


def test_small_holes_in_a_crown_are_not_marked_but_its_outline_and_a_pole_are():
    depth, normals = plane((0, 0, -1), 10.)
    seen = np.zeros(depth.shape, int)  # sky
    seen[20:50, 20:70] = labels.instance_id(labels.TREE, 0)
    seen[30:33, 30:33] = 0
    seen[20:50, 60:62] = labels.instance_id(labels.POLE, 0)
    edge = labels.boundaries(seen, np.where(seen > 0, depth, np.inf), normals, RAYS)
    assert not edge[25:40, 25:40].any()
    assert edge[25:40, [19, 69, 59, 61]].all()
