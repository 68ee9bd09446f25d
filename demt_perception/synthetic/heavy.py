"""Lorries and buses."""

import numpy as np

from demt_perception.synthetic.meshes import Mesh
from demt_perception.synthetic.vehicles import wheel


def truck(rng: np.random.Generator) -> Mesh:
    """Return a lorry with a box or flat bed."""
    mesh = Mesh(kind='truck')
    length, half, high = rng.uniform(6.5, 11), rng.uniform(1.1, 1.25), rng.uniform(2.9, 3.8)
    rear, front = -length / 2, length / 2
    box = str(rng.choice(['paint', 'frame', 'cloth0', 'cloth2', 'cloth3', 'wall1']))
    if rng.random() < 0.75:
        mesh.box((rear, -half, 1.0), (front - 2.2, half, high), box)
        mesh.box((rear - .02, -.03, 1.1), (rear, .03, high - .1), 'trim')
        for y in (-half + .1, half - .1):
            mesh.box((rear - .03, y - .05, 1.05), (rear, y + .05, high - .05), 'metal')
    else:
        mesh.box((rear, -half, .95), (front - 2.2, half, 1.15), 'metal')
        for y in (-half, half - .05):
            mesh.box((rear, y, 1.15), (front - 2.3, y + .05, 1.7), box)
        mesh.box((rear + .5, -half + .2, 1.1), (front - 3, half - .2, rng.uniform(1.4, 2.4)),
                 str(rng.choice(['wood', 'wall2', 'cloth1'])))
    mesh.box((rear + .2, -.5, .6), (front - .3, .5, 1.0), 'trim')
    mesh.box((front - 2.0, -half, .55), (front, half, 1.5), 'paint')
    mesh.box((front - 2.0, -half, 1.5), (front - .08, half, 2.6), 'paint')
    mesh.box((front - .1, -half * .92, 1.5), (front - .06, half * .92, 2.4), 'carglass')
    for y in (-half - .01, half - .02):
        mesh.box((front - 1.3, y, 1.5), (front - .25, y + .03, 2.35), 'carglass')
    _big_details(mesh, length, half, .48, (-.34, -.2, .36) if length > 8.5 else (-.3, .34))
    return mesh


def bus(rng: np.random.Generator) -> Mesh:
    """Return a city bus, one or two floors."""
    mesh = Mesh(kind='bus')
    length, half = rng.uniform(10, 12.5), 1.26
    high = 4.2 if rng.random() < 0.2 else 3.0
    rear, front = -length / 2, length / 2
    mesh.box((rear, -half, .35), (front, half, high), 'paint')
    for base in ((1.25, 2.35), (2.9, 3.8))[:2 if high > 4 else 1]:
        for y in (-half - .015, half - .015):
            for x in np.arange(rear + .4, front - 1.4, 1.5):
                mesh.box((x, y, base[0]), (x + 1.38, y + .03, base[1]), 'carglass')
        mesh.box((front - .02, -half * .93, base[0] - .1), (front + .02, half * .93, base[1] + .1),
                 'carglass')
        mesh.box((rear - .02, -half * .8, base[0] + .2), (rear + .02, half * .8, base[1]),
                 'carglass')
    mesh.box((front, -.7, 2.5), (front + .03, .7, 2.8), 'trim')
    _big_details(mesh, length, half, .46, (-.27, .3))
    return mesh


def _big_details(mesh, length, half, radius, axles):
    for at in axles:
        wheel(mesh, at * length, half, radius, 0.3)
    for sign in (1, -1):
        y = sign * half * .8
        mesh.box((-length / 2 - .03, y - .14, .75), (-length / 2 + .05, y + .14, .95), 'redlamp')
        mesh.box((length / 2 - .05, y - .2, .7), (length / 2 + .03, y + .2, .95), 'lamp')
        mesh.box((length / 2 - .3, sign * (half + .15) - .08, 1.7),
                 (length / 2 - .15, sign * (half + .15) + .08, 2.2), 'trim')
    mesh.box((-length / 2 - .03, -.26, .6), (-length / 2 + .05, .26, .72), 'plate')
    mesh.box((-length / 2 - .04, -half * .9, .4), (-length / 2 + .05, half * .9, .52), 'trim')
