"""A tiny scene through Blender: depth, normals and ids against geometry known by hand.

Blender shares one scene per process and changes ``sys.path``; it runs in a process of its own.
"""

from importlib.util import find_spec
import multiprocessing

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(
    find_spec('bpy') is None or find_spec('OpenEXR') is None,
    reason='rendering needs Python 3.11 and: pip install bpy==4.5.15 OpenEXR')

SIZE, FOCAL, HEIGHT = (160, 96), 120., 1.5
BOX = (-1., 6., 0.), (1.5, 8., 2.5)  # stands on the plane, its front 6 m ahead


def tiny(path: str) -> None:
    """Render a plane and a box from a camera at 1.5 m that looks along +y, level."""
    from demt_perception.synthetic.meshes import Mesh
    from demt_perception.synthetic.stage import Stage
    from demt_perception.synthetic.weather import Weather

    stage = Stage(np.random.default_rng(0), SIZE, 1, air=Weather('overcast', False, False))
    stage.sky(np.random.default_rng(0))
    ground, box = Mesh(), Mesh()
    ground.quads([[(-400, -10, 0), (400, -10, 0), (400, 400, 0), (-400, 400, 0)]], 'asphalt')
    box.box(*BOX, 'wall0')
    stage.put(ground, 3)
    stage.put(box, 1)
    stage.put(box, 1, np.array([[1, 0, 0, 4.], [0, 1, 0, 3], [0, 0, 1, 0], [0, 0, 0, 1]]))
    camera = np.array([[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, HEIGHT], [0, 0, 0, 1.]])
    stage.aim(camera, FOCAL)
    picture, exact = stage.view()
    np.savez(path, picture=picture, **exact)


def street(path: str) -> None:
    """Render one view of a street twice, in the layout of `demt generate`."""
    from demt_perception.synthetic import layout
    from demt_perception.synthetic.generate import render_scene

    for part in 'ab':
        layout.prepare(f'{path}/{part}', (128, 72), 1)
        render_scene(5, [1], f'{path}/{part}', (128, 72), 1)


def in_own_process(work, *args) -> None:
    """Run a function of this module in a fresh process and want it to succeed."""
    process = multiprocessing.get_context('spawn').Process(target=work, args=args)
    process.start()
    process.join(300)
    assert process.exitcode == 0


@pytest.fixture(scope='module')
def view(tmp_path_factory):
    path = str(tmp_path_factory.mktemp('render') / 'tiny.npz')
    in_own_process(tiny, path)
    return dict(np.load(path))


def expected(view):
    """Return by ray casting in numpy: depth, normals, id (0 sky, 1 ground, 2 and 3 boxes)."""
    rays = view['rays']
    depth = np.where(rays[..., 1] > 0, HEIGHT / np.maximum(rays[..., 1], 1e-9), np.inf)
    depth = np.where(depth < 400, depth, np.inf)
    normals = np.where(np.isfinite(depth)[..., None], [0., -1, 0], 0)
    hit = np.isfinite(depth).astype(int)
    for number, (dx, dy) in enumerate(((0, 0), (4, 3)), 2):
        (x0, y0, _), (x1, y1, z1) = BOX
        low = np.array([x0 + dx, HEIGHT - z1, y0 + dy])  # right, down, forward
        high = np.array([x1 + dx, HEIGHT, y1 + dy])
        with np.errstate(divide='ignore'):
            a, b = low / rays, high / rays
        near, far = np.minimum(a, b), np.maximum(a, b)
        enter, leave = near.max(-1), far.min(-1)
        seen = (enter < leave) & (enter > 0) & (enter < depth)
        axis = near.argmax(-1)
        depth = np.where(seen, enter, depth)
        face = -np.sign(rays)[..., None] * np.eye(3)
        face = np.take_along_axis(face, axis[..., None, None], -1)[..., 0]
        normals = np.where(seen[..., None], face, normals)
        hit = np.where(seen, number, hit)
    return depth, normals, hit


def test_depth_normals_and_ids_equal_an_independent_ray_caster(view):
    from demt_perception.synthetic import labels

    depth, normals, hit = expected(view)
    ids = np.array([0, labels.instance_id(3, 0), labels.instance_id(1, 0),
                    labels.instance_id(1, 1)])[hit]
    # A ray within a hundredth of a pixel of an edge may go to either side.
    edge = labels.boundaries(ids, depth, normals, view['rays']) > 0
    wide = edge | np.roll(edge, 1, 0) | np.roll(edge, 1, 1)
    assert (view['instance'] == ids)[~wide].all()
    assert (view['instance'] == ids).mean() > 0.999
    same = (view['instance'] == ids) & np.isfinite(depth) & ~wide & (depth < 30)
    assert same.sum() > 3000
    assert np.abs(view['depth'][same] - depth[same]).max() < 1e-3  # metres
    cosine = (view['normals'] * normals).sum(-1)[same]
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 0.5
    assert np.isinf(view['depth'][hit == 0]).mean() > 0.99


def test_ground_is_a_plane_to_the_millimetre(view):
    from demt_perception.synthetic import labels

    ground = (view['instance'] == labels.instance_id(3, 0)) & (view['depth'] < 15)
    points = (view['rays'] * view['depth'][..., None])[ground]
    centred = points - points.mean(0)
    normal = np.linalg.svd(centred, full_matrices=False)[2][2]
    assert np.abs(centred @ normal).max() < 1e-3
    assert abs(points[:, 1].mean() - HEIGHT) < 1e-3


def test_picture_shows_what_the_labels_say(view):
    sky = np.isinf(view['depth'])
    picture = view['picture'].mean(-1)
    assert np.isfinite(picture).all()
    assert picture[sky].mean() > 2 * picture[~sky].mean()


def test_a_street_is_the_same_by_seed_and_complete(tmp_path):
    import cv2

    in_own_process(street, str(tmp_path))
    one, two = tmp_path / 'a', tmp_path / 'b'
    name = '000005_01'
    for folder, suffix in (('depth', 'npy'), ('semseg', 'png'), ('edge', 'png'),
                           ('instance', 'png'), ('cityscapes', 'png'), ('cameras', 'yaml')):
        assert (one / folder / f'{name}.{suffix}').read_bytes() == (
            two / folder / f'{name}.{suffix}').read_bytes(), folder
    classes = cv2.imread(str(one / 'semseg' / f'{name}.png'), cv2.IMREAD_UNCHANGED)
    assert {1, 3} <= set(np.unique(classes).tolist())
    depth = np.load(one / 'depth' / f'{name}.npy')
    assert (np.isinf(depth) == (classes == 0)).all()
