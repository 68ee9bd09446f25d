"""Labels against an independent ray caster (Embree, by trimesh) on the triangles of a scene.

A ray through each pixel centre meets the triangles that Blender rendered; depth, normal and
instance there are computed in float64 without anything of the renderer or of ``labels``.
"""

from importlib.util import find_spec
import multiprocessing

from depth_gradient import normals_from_depth
import numpy as np
import pytest

pytestmark = [
    pytest.mark.skipif(find_spec('bpy') is None or find_spec('OpenEXR') is None,
                       reason='rendering needs Python 3.11 and: pip install bpy==4.5.15 OpenEXR'),
    pytest.mark.skipif(find_spec('trimesh') is None or find_spec('embreex') is None,
                       reason='the ray caster needs: pip install trimesh embreex')]

SIZE, FOCAL = (192, 112), 150.


def shoot(path: str) -> None:
    """Render a corner of a street, objects with flat faces, and save it with its triangles."""
    from scene_triangles import triangles

    from demt_perception.synthetic import buildings, furniture, heavy
    from demt_perception.synthetic.meshes import Mesh, pose
    from demt_perception.synthetic.stage import Stage

    rng = np.random.default_rng(3)
    stage = Stage(rng, SIZE, 1)
    stage.sky(rng)
    ground, blocks = Mesh(), Mesh()
    ground.quads([[(-80, -80, 0), (120, -80, 0), (120, 80, 0), (-80, 80, 0)]], 'asphalt')
    blocks.box((9, -3, 0), (10, -2, 1.2), 'kerb')
    stage.put(ground, 3)
    stage.put(blocks, 1)
    stage.put(buildings.building(rng, 'town', 16., 9.), 1, pose(12, 6, 0))
    stage.put(buildings.building(rng, 'house', 9., 8.), 1, pose(14, -6, 0, np.pi))
    stage.put(furniture.fence(rng, 9.), 7, pose(7, 3.5, 0, .2))
    for x, y, yaw in ((16., -2., .1), (24., 2.5, -2.9), (40., -1., 0.)):
        stage.put(heavy.truck(rng), 8, pose(x, y, 0, yaw))
    stage.put(heavy.bus(rng), 8, pose(33., 3., 0, .4))
    # Looks along +x, down by 4 degrees, rolled by 2: x right, y up, z backward.
    axes = np.array([[0, 0, -1.], [-1, 0, 0], [0, 1, 0]])
    c, d = np.cos(np.radians(4)), np.sin(np.radians(4))
    e, f = np.cos(np.radians(2)), np.sin(np.radians(2))
    camera = np.eye(4)
    camera[:3, :3] = axes @ np.array([[1, 0, 0], [0, c, d], [0, -d, c]]) @ np.array(
        [[e, -f, 0], [f, e, 0], [0, 0, 1]])
    camera[:3, 3] = 0, 0, 1.6
    stage.aim(camera, FOCAL)
    _, exact = stage.view()
    corners, ids = triangles(stage)
    np.savez(path, corners=corners, ids=ids, camera=camera, **exact)


@pytest.fixture(scope='module')
def pair(tmp_path_factory):
    """Return the rendered labels and those of the ray caster."""
    import trimesh
    from trimesh.ray.ray_pyembree import RayMeshIntersector

    path = str(tmp_path_factory.mktemp('exact') / 'view.npz')
    process = multiprocessing.get_context('spawn').Process(target=shoot, args=(path,))
    process.start()
    process.join(300)
    assert process.exitcode == 0
    view = dict(np.load(path))
    corners, turn, eye = view['corners'], view['camera'][:3, :3], view['camera'][:3, 3]
    mesh = trimesh.Trimesh(corners.reshape(-1, 3), np.arange(corners.size // 3).reshape(-1, 3),
                           process=False)
    y, x = np.mgrid[:SIZE[1], :SIZE[0]]
    local = np.stack([(x - (SIZE[0] - 1) / 2) / FOCAL, -(y - (SIZE[1] - 1) / 2) / FOCAL,
                      -np.ones(x.shape)], -1).reshape(-1, 3)
    rays = local @ turn.T
    first = RayMeshIntersector(mesh).intersects_first(np.tile(eye, (len(rays), 1)), rays)
    hit = first >= 0
    a, b, c = np.moveaxis(corners[first], 1, 0)
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    slope = (normal * rays).sum(1)
    depth = np.where(hit, ((a - eye) * normal).sum(1) / slope, np.inf)  # the rays have z = 1
    normal = np.where(slope[:, None] > 0, -normal, normal) @ turn * (1, -1, -1)
    shape = SIZE[::-1]
    return view, {'depth': depth.reshape(shape), 'hit': hit.reshape(shape),
                  'normals': normal.reshape(*shape, 3),
                  'instance': np.where(hit, view['ids'][first], 0).reshape(shape)}


def test_every_pixel_sees_the_same_object(pair):
    view, cast = pair
    same = view['instance'] == cast['instance']
    print(f'ids: {same.mean():.6f} of {same.size} pixels are equal, '
          f'{len(np.unique(view["instance"]))} objects, {len(view["ids"])} triangles')
    assert same.mean() > 0.9995  # a ray that grazes an edge may go to either side
    assert len(np.unique(view['instance'])) > 7


def test_depth_to_the_millimetre_and_normals_to_half_a_degree(pair):
    view, cast = pair
    same = (view['instance'] == cast['instance']) & cast['hit']
    error = np.abs(np.where(same, view['depth'], 0) - np.where(same, cast['depth'], 0))[same]
    near = cast['depth'][same] < 50
    angle = np.degrees(np.arccos(np.clip((view['normals'] * cast['normals']).sum(-1), -1, 1)))
    angle = angle[same]
    print(f'depth: {error[near].max() * 1e3:.4f} mm at most below 50 m, 99.9 % within '
          f'{np.percentile(error, 99.9) * 1e3:.4f} mm; normals: 99.9 % within '
          f'{np.percentile(angle, 99.9):.4f} deg, {(angle > .5).mean():.6f} beyond 0.5')
    assert error[near].max() < 1e-3
    assert np.percentile(error, 99.9) < 1e-3
    assert (angle < 0.5).mean() > 0.999


def test_normals_are_the_gradient_of_depth_on_every_flat_face(pair):
    view, _ = pair
    normals, depth = view['normals'], view['depth']
    flat = np.isfinite(depth) & (depth < 40)
    inner = flat[1:-1, 1:-1].copy()
    for dy, dx in ((0, 1), (2, 1), (1, 0), (1, 2)):
        near = slice(dy, dy + SIZE[1] - 2), slice(dx, dx + SIZE[0] - 2)
        facing = (normals[near] * normals[1:-1, 1:-1]).sum(-1) > 1 - 1e-7
        level = np.abs((normals[1:-1, 1:-1] * (
            view['rays'] * np.where(flat, depth, 0)[..., None])[near]).sum(-1) - (
            normals * view['rays'] * np.where(flat, depth, 0)[..., None]).sum(-1)[1:-1, 1:-1])
        inner &= flat[near] & facing & (level < 2e-3)  # the same plane, to 2 mm
    found = normals_from_depth(np.where(flat, depth, 0), view['rays'])[1:-1, 1:-1][inner]
    angle = np.degrees(np.arccos(np.clip((found * normals[1:-1, 1:-1][inner]).sum(-1), -1, 1)))
    print(f'normals against the gradient of depth: {inner.sum()} pixels, {angle.max():.4f} deg '
          'at most')
    assert inner.sum() > 5000
    assert angle.max() < 0.5
