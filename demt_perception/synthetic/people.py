"""Pedestrians as jointed bodies with clothes, hair, bags."""

import numpy as np
from numpy.typing import ArrayLike

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
        _leg(mesh, (0, sign * .09, hip), a, max(0., -a) * 0.9 + 0.08, h, legs)
    wide = rng.uniform(0.9, 1.2)
    torso(mesh, (0, 0, hip), (0.03, 0, 0.82 * h), wide, top)
    if rng.random() < 0.3:  # coat or skirt
        mesh.tube((0, 0, hip - .28), (0, 0, hip + .1), .2, .16, top, 10)
    for sign in (1, -1):
        _arm(mesh, (0.02, sign * .19 * wide, 0.8 * h), -sign * stride * 0.9, rng.uniform(.1, .8),
             h, top, skin)
    head(mesh, (0.04, 0, 0.93 * h), skin, hair, rng)
    bag = rng.random()
    if bag < 0.2:
        mesh.box((-.26, -.14, .58 * h), (-.1, .14, .82 * h), str(rng.choice(CLOTHES)))
    elif bag < 0.35:
        mesh.box((-.15, .26, .3 * h), (.15, .36, .48 * h), str(rng.choice(CLOTHES)))
    return mesh


def torso(mesh: Mesh, low: ArrayLike, high: ArrayLike, wide: float, material: str) -> None:
    """Append the trunk of a body from hip to neck."""
    low, high = np.asarray(low, float), np.asarray(high, float)
    shares = ((0, .15, .10), (.2, .155, .105), (.5, .15, .1), (.8, .19, .115), (.93, .17, .09),
              (1, .06, .06))
    angle = np.arange(10) * 2 * np.pi / 10
    rings = np.array([[low + s * (high - low) + (b * np.cos(a), w * wide * np.sin(a), 0)
                       for a in angle] for s, w, b in shares])
    rings = np.concatenate([rings, rings[:, :1]], 1)
    mesh.grid(rings[::-1], material)
    mesh.ball(low, (.11, .16 * wide, .1), material, 5, 9)


def _leg(mesh, hip, swing, bend, h, material):
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


def head(mesh: Mesh, centre: ArrayLike, skin: str, hair: str, rng: np.random.Generator) -> None:
    """Append neck, face and hair, or a helmet in place of it."""
    centre = np.asarray(centre)
    mesh.tube(centre - (.03, 0, .2), centre - (.01, 0, .05), .055, .055, skin, 7)
    mesh.ball(centre, (.1, .08, .125), skin, 6, 9)
    mesh.ball(centre + (-.025, 0, .03), (.1, .09, .12), hair, 6, 9)
    if rng.random() < 0.3:
        mesh.ball(centre + (-.05, 0, -.06), (.08, .09, .16), hair, 5, 8)
