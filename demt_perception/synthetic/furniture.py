"""Street furniture: lamps, poles, traffic lights, signs, fences, walls, bins, bollards."""

import numpy as np

from demt_perception.synthetic.meshes import Mesh


def lamp_post(rng: np.random.Generator) -> tuple[Mesh, tuple[float, float]]:
    """Return a street lamp, its arm along +x, and x and z of its light."""
    mesh, h = Mesh(smooth=True), rng.uniform(5, 9)
    mesh.tube((0, 0, -.2), (0, 0, 1.), .1, .09, 'metal', 10)
    mesh.tube((0, 0, 1.), (0, 0, h), .075, .05, 'metal', 8)
    if rng.random() < 0.75:
        reach = rng.uniform(0.8, 2.2)
        mesh.tube((0, 0, h - .05), (reach, 0, h + .3), .04, .035, 'metal', 6)
        mesh.box((reach - .1, -.12, h + .24), (reach + .6, .12, h + .36), 'metal')
        mesh.box((reach, -.09, h + .2), (reach + .5, .09, h + .24), 'streetlamp')
        return mesh, (reach + .25, h + .2)
    mesh.ball((0, 0, h + .2), .24, 'streetlamp', 6, 9)
    return mesh, (0., h)


def wire_pole(rng: np.random.Generator) -> Mesh:
    """Return a wooden or metal utility pole with crossarms."""
    mesh, h = Mesh(), rng.uniform(7, 10)
    wood = str(rng.choice(['wood', 'metal']))
    mesh.tube((0, 0, -.3), (0, 0, h), .14, .1, wood, 9)
    if rng.random() < 0.7:
        mesh.box((-.06, -1., h - .7), (.06, 1., h - .55), wood)
        for y in (-.9, -.3, .3, .9):
            mesh.tube((0, y, h - .55), (0, y, h - .4), .03, .03, 'frame', 5)
    return mesh


def traffic_light(rng: np.random.Generator) -> tuple[Mesh, Mesh]:
    """Return the pole and the head (facing -x, labelled as sign)."""
    pole, head = Mesh(smooth=True), Mesh(kind='traffic light')
    h = rng.uniform(2.6, 3.4)
    pole.tube((0, 0, -.2), (0, 0, h), .06, .06, 'metal', 8)
    _light(head, -.1, 0, h - .95, rng)
    if rng.random() < 0.35:  # over the road
        reach, high = rng.uniform(2.5, 5), 5.4
        pole.tube((0, 0, h), (0, 0, high), .07, .06, 'metal', 8)
        pole.tube((0, 0, high), (0, reach, high), .05, .04, 'metal', 6)
        _light(head, -.05, reach - .2, high - .6, rng)
    return pole, head


def _light(mesh, x, y, z, rng):
    mesh.box((x - .1, y - .15, z), (x + .1, y + .15, z + .95), 'trim')
    mesh.box((x + .1, y - .22, z - .08), (x + .12, y + .22, z + 1.03), 'trim')
    on = int(rng.integers(0, 3))
    for i, name in enumerate(('green', 'amber', 'red')):
        c = (x - .1, y, z + .18 + .29 * i)
        mesh.tube(c, (c[0] - .03, c[1], c[2]), .1, .1, f'{name}_on' if i == on else 'carglass', 10)


def sign(rng: np.random.Generator) -> tuple[Mesh, Mesh]:
    """Return the pole and the plates (facing -x, labelled as sign)."""
    pole, plate = Mesh(smooth=True), Mesh()
    h = rng.uniform(2.2, 3.0)
    pole.tube((0, 0, -.2), (0, 0, h + .35), .035, .035, 'metal', 7)
    z = h
    for _ in range(int(rng.choice([1, 1, 2]))):
        _plate(plate, z, rng)
        z -= 0.75
    return pole, plate


def _plate(mesh, z, rng):
    kind = rng.choice(['disc', 'triangle', 'square', 'board'])
    r = rng.uniform(.28, .4)
    n = {'disc': 20, 'triangle': 3, 'square': 4, 'board': 4}[kind]
    angle = np.pi / 2 + (np.pi / 4 if n == 4 else 0) + np.arange(n) * 2 * np.pi / n
    rim, inner = rng.choice(['sign_red', 'sign_blue', 'sign_white', 'sign_yellow', 'sign_green'],
                            2, replace=False)
    wide = rng.uniform(1.2, 2.) if kind == 'board' else 1.
    for scale, x, material in ((1, -.04, rim), (.78, -.052, inner), (.3, -.056, 'trim')):
        ring = np.stack([np.full(n, x), -np.cos(angle) * r * scale * wide,
                         z + np.sin(angle) * r * scale], -1)
        back = ring.copy()
        back[:, 0] = x + .01
        mesh.add(np.concatenate([ring, back]), [tuple(range(n)), tuple(range(n, 2 * n))[::-1]] + [
            (i, (i + 1) % n, n + (i + 1) % n, n + i) for i in range(n)], str(material))


def gantry(rng: np.random.Generator) -> tuple[Mesh, Mesh]:
    """Return a large direction sign beside the road on two posts."""
    pole, plate = Mesh(smooth=True), Mesh()
    w, h = rng.uniform(1.8, 3.5), rng.uniform(1.2, 2.)
    for y in (-w * .35, w * .35):
        pole.tube((0, y, -.2), (0, y, 2.2 + h), .05, .05, 'metal', 7)
    face = str(rng.choice(['sign_green', 'sign_blue', 'sign_white']))
    plate.box((-.08, -w / 2, 2.1), (-.05, w / 2, 2.1 + h), face)
    for k in range(int(rng.integers(2, 4))):
        a = 2.3 + k * h / 3.2
        plate.box((-.09, -w * .4, a), (-.085, w * rng.uniform(0, .4), a + .18),
                  'sign_white' if face != 'sign_white' else 'trim')
    return pole, plate


def fence(rng: np.random.Generator, length: float) -> Mesh:
    """Return a fence, wall or guard rail along x from the origin; its `kind` says which."""
    mesh = Mesh()
    kind = rng.choice(['pickets', 'boards', 'wall', 'bars', 'rail'])
    h = rng.uniform(0.8, 1.9)
    if kind == 'wall':
        mesh.kind = 'wall'
        mesh.box((0, -.1, -.5), (length, .1, h), str(rng.choice([f'wall{i}' for i in range(10)])))
        mesh.box((0, -.14, h), (length, .14, h + .08), 'kerb')
        return mesh
    if kind == 'rail':
        mesh.kind = 'none'  # guard rails are not scored
        for x in np.arange(0, length, 2.):
            mesh.box((x, -.05, -.3), (x + .1, .05, .7), 'metal')
        for z in (.42, .6):
            mesh.box((0, -.09, z), (length, -.05, z + .14), 'rim')
        return mesh
    material = {'pickets': 'frame', 'boards': 'wood', 'bars': 'trim'}[str(kind)]
    step, width = {'pickets': (.16, .09), 'boards': (.152, .15), 'bars': (.13, .025)}[str(kind)]
    for x in np.arange(0, length - width, step):
        mesh.box((x, -.02, -.1), (x + width, .0, h + rng.normal(0, .01)), material)
    for z in (.25, h - .2):
        mesh.box((0, 0, z), (length, .04, z + .07), material)
    return mesh


def clutter(rng: np.random.Generator) -> tuple[Mesh, int]:
    """Return a bin, post box, bollard or cabinet and its class (2 for posts, else ignored)."""
    mesh = Mesh(smooth=True)
    kind = rng.choice(['bin', 'bollard', 'cabinet', 'cone'])
    if kind == 'bin':
        mesh.tube((0, 0, 0), (0, 0, 1.), .28, .32, str(rng.choice(['trim', 'cloth2'])), 12)
    elif kind == 'bollard':
        mesh.tube((0, 0, -.1), (0, 0, .95), .08, .07, str(rng.choice(['trim', 'metal'])), 10)
        return mesh, 2
    elif kind == 'cone':
        mesh.box((-.2, -.2, 0), (.2, .2, .03), 'trim')
        mesh.tube((0, 0, .03), (0, 0, .7), .16, .03, 'cone', 10)
    else:
        mesh.box((-.3, -.6, 0), (.3, .6, rng.uniform(1., 1.6)),
                 str(rng.choice(['metal', 'cloth2', 'frame', 'sign_red'])))
    return mesh, 255
