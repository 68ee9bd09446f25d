"""Pedestrians and cyclists as jointed bodies with clothes, hair, bags; bicycles."""

from itertools import pairwise

import numpy as np

from demt_perception.synthetic.meshes import Mesh

CLOTHES = tuple(f'cloth{i}' for i in range(9))
SKIN = ('skin0', 'skin1', 'skin2')


def pedestrian(rng: np.random.Generator) -> Mesh:
    """Return a person standing or in mid-step, facing +x, feet on z = 0."""
    mesh = Mesh(smooth=True)
    h = rng.normal(1.70, 0.1) * (0.7 if rng.random() < 0.08 else 1.)
    top, legs, skin, hair = (str(rng.choice(CLOTHES)), str(rng.choice(CLOTHES)),
                             str(rng.choice(SKIN)), str(rng.choice(['hair0', 'hair1', 'hair2'])))
    stride = rng.uniform(-0.55, 0.55) if rng.random() < 0.75 else rng.normal(0, 0.06)
    hip = 0.52 * h
    for sign in (1, -1):
        a = sign * stride
        _leg(mesh, (0, sign * .09, hip), a, max(0., -a) * 0.9 + 0.08, h, legs, skin, rng)
    wide = rng.uniform(0.9, 1.2)
    _torso(mesh, (0, 0, hip), (0.03, 0, 0.82 * h), wide, top)
    if rng.random() < 0.3:  # coat or skirt
        mesh.tube((0, 0, hip - .28), (0, 0, hip + .1), .2, .16, top, 10)
    for sign in (1, -1):
        _arm(mesh, (0.02, sign * .19 * wide, 0.8 * h), -sign * stride * 0.9, rng.uniform(.1, .8),
             h, top, skin)
    _head(mesh, (0.04, 0, 0.93 * h), skin, hair, rng)
    bag = rng.random()
    if bag < 0.2:
        mesh.box((-.26, -.14, .58 * h), (-.1, .14, .82 * h), str(rng.choice(CLOTHES)))
    elif bag < 0.35:
        mesh.box((-.15, .26, .3 * h), (.15, .36, .48 * h), str(rng.choice(CLOTHES)))
    return mesh


def cyclist(rng: np.random.Generator, rider: bool = True) -> Mesh:
    """Return a bicycle, with its rider unless parked, facing +x."""
    mesh = Mesh(smooth=True)
    r, frame = 0.34, str(rng.choice(CLOTHES))
    rear, front, crank = (-.52, 0, r), (.55, 0, r), (-.08, 0, .3)
    for c in (rear, front):
        angle = np.linspace(0, 2 * np.pi, 17)
        for a, b in pairwise(angle):
            mesh.tube((c[0] + r * np.cos(a), 0, c[2] + r * np.sin(a)),
                      (c[0] + r * np.cos(b), 0, c[2] + r * np.sin(b)), .02, .02, 'tyre', 4)
        for a in angle[:-1:2]:
            mesh.tube(c, (c[0] + r * np.cos(a), 0, c[2] + r * np.sin(a)), .004, .004, 'metal', 3)
    saddle, head = (-.28, 0, .9), (.4, 0, .9)
    for a, b in ((crank, saddle), (crank, head), (saddle, head), (rear, crank), (rear, saddle),
                 (front, head)):
        mesh.tube(a, b, .022, .022, frame, 5)
    mesh.tube((.4, -.28, 1.02), (.4, .28, 1.02), .015, .015, 'trim', 5)
    mesh.tube(head, (.4, 0, 1.02), .02, .02, 'trim', 5)
    mesh.box((-.4, -.07, .9), (-.15, .07, .96), 'trim')
    if not rider:
        return mesh
    top, legs, skin = str(rng.choice(CLOTHES)), str(rng.choice(CLOTHES)), str(rng.choice(SKIN))
    hip, neck = (-.25, 0, 1.0), (rng.uniform(.05, .22), 0, 1.5)
    _torso(mesh, hip, neck, 1., top)
    turn = rng.uniform(0, 2 * np.pi)
    for sign in (1, -1):
        foot = np.array([crank[0] + .17 * np.cos(turn) * sign, sign * .12,
                         crank[2] + .17 * np.sin(turn) * sign])
        start = np.array([hip[0], sign * .1, hip[2] - .04])
        knee = (start + foot) / 2 + (.28, 0, .1)
        mesh.tube(start, knee, .085, .06, legs, 7)
        mesh.tube(knee, foot, .058, .04, legs, 7)
        mesh.box(foot - (.08, .04, .05), foot + (.16, .04, .03), 'trim')
        shoulder = np.array([neck[0], sign * .18, neck[2] - .06])
        elbow = np.array([.25, sign * .27, 1.22])
        mesh.tube(shoulder, elbow, .05, .045, top, 6)
        mesh.tube(elbow, (.4, sign * .25, 1.04), .042, .035, skin, 6)
    _head(mesh, (neck[0] + .08, 0, neck[2] + .17), skin,
          str(rng.choice(['hair0', 'cloth1', 'frame'])), rng)
    return mesh


def _torso(mesh, low, high, wide, material):
    low, high = np.asarray(low, float), np.asarray(high, float)
    shares = ((0, .15, .10), (.2, .155, .105), (.5, .15, .1), (.8, .19, .115), (.93, .17, .09),
              (1, .06, .06))
    angle = np.arange(10) * 2 * np.pi / 10
    rings = np.array([[low + s * (high - low) + (b * np.cos(a), w * wide * np.sin(a), 0)
                       for a in angle] for s, w, b in shares])
    rings = np.concatenate([rings, rings[:, :1]], 1)
    mesh.grid(rings[::-1], material)
    mesh.ball(low, (.11, .16 * wide, .1), material, 5, 9)


def _leg(mesh, hip, swing, bend, h, material, skin, rng):
    hip = np.asarray(hip)
    knee = hip + .26 * h * np.array([np.sin(swing), 0, -np.cos(swing)])
    ankle = knee + .235 * h * np.array([np.sin(swing - bend), 0, -np.cos(swing - bend)])
    mesh.tube(hip, knee, .085, .062, material, 8)
    mesh.tube(knee, ankle, .06, .045, material, 8)
    mesh.box(ankle + (-.07, -.045, -.06), ankle + (.17, .045, .03), 'trim')


def _arm(mesh, shoulder, swing, bend, h, material, skin):
    shoulder = np.asarray(shoulder)
    elbow = shoulder + .17 * h * np.array([np.sin(swing), 0, -np.cos(swing)])
    hand = elbow + .15 * h * np.array([np.sin(swing + bend), 0, -np.cos(swing + bend)])
    mesh.ball(shoulder, .06, material, 4, 6)
    mesh.tube(shoulder, elbow, .052, .044, material, 7)
    mesh.tube(elbow, hand, .042, .034, material, 7)
    mesh.ball(hand, .045, skin, 4, 6)


def _head(mesh, centre, skin, hair, rng):
    centre = np.asarray(centre)
    mesh.tube(centre - (.03, 0, .2), centre - (.01, 0, .05), .055, .055, skin, 7)
    mesh.ball(centre, (.1, .08, .125), skin, 6, 9)
    mesh.ball(centre + (-.025, 0, .03), (.1, .09, .12), hair, 6, 9)
    if rng.random() < 0.3:
        mesh.ball(centre + (-.05, 0, -.06), (.08, .09, .16), hair, 5, 8)
