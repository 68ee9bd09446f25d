"""Bicycles and motorcycles, and who rides them."""

from itertools import pairwise

import numpy as np

from demt_perception.synthetic.meshes import Mesh
from demt_perception.synthetic.people import CLOTHES, head, SKIN, torso

CRANK = (-.08, 0, .3)


def bicycle(rng: np.random.Generator) -> Mesh:
    """Return a bicycle facing +x, its wheels on z = 0."""
    mesh = Mesh(smooth=True, kind='bicycle')
    r, frame = 0.34, str(rng.choice(CLOTHES))
    rear, front, crank = (-.52, 0, r), (.55, 0, r), CRANK
    for c in (rear, front):
        angle = np.linspace(0, 2 * np.pi, 17)
        for a, b in pairwise(angle):
            mesh.tube((c[0] + r * np.cos(a), 0, c[2] + r * np.sin(a)),
                      (c[0] + r * np.cos(b), 0, c[2] + r * np.sin(b)), .02, .02, 'tyre', 4)
        for a in angle[:-1:2]:
            mesh.tube(c, (c[0] + r * np.cos(a), 0, c[2] + r * np.sin(a)), .004, .004, 'metal', 3)
    saddle, neck = (-.28, 0, .9), (.4, 0, .9)
    for a, b in ((crank, saddle), (crank, neck), (saddle, neck), (rear, crank), (rear, saddle),
                 (front, neck)):
        mesh.tube(a, b, .022, .022, frame, 5)
    mesh.tube((.4, -.28, 1.02), (.4, .28, 1.02), .015, .015, 'trim', 5)
    mesh.tube(neck, (.4, 0, 1.02), .02, .02, 'trim', 5)
    mesh.box((-.4, -.07, .9), (-.15, .07, .96), 'trim')
    return mesh


def cyclist(rng: np.random.Generator) -> Mesh:
    """Return who rides a `bicycle`."""
    mesh, crank = Mesh(smooth=True), CRANK
    top, legs, skin = str(rng.choice(CLOTHES)), str(rng.choice(CLOTHES)), str(rng.choice(SKIN))
    hip, neck = (-.25, 0, 1.0), (rng.uniform(.05, .22), 0, 1.5)
    torso(mesh, hip, neck, 1., top)
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
    head(mesh, (neck[0] + .08, 0, neck[2] + .17), skin,
          str(rng.choice(['hair0', 'cloth1', 'frame'])), rng)
    return mesh


def motorcycle(rng: np.random.Generator) -> Mesh:
    """Return a motorcycle or scooter facing +x, its wheels on z = 0."""
    mesh = Mesh(smooth=True, kind='motorcycle')
    r, wide = rng.uniform(.24, .31), rng.uniform(.11, .16)
    front, rear = .68, -.62
    for x in (front, rear):
        mesh.tube((x, -wide / 2, r), (x, wide / 2, r), r, r, 'tyre', 18)
        mesh.tube((x, -wide / 2 - .01, r), (x, wide / 2 + .01, r), r * .62, r * .62, 'rim', 12)
    mesh.ball((.18, 0, .82), (.32, .17, .17), 'paint', 6, 10)      # tank
    mesh.ball((0, 0, .48), (.34, .17, .22), 'trim', 6, 10)         # engine
    mesh.box((-.72, -.14, .76), (-.08, .14, .84), 'trim')          # seat
    mesh.ball((-.62, 0, .72), (.26, .13, .1), 'paint', 5, 9)
    for y in (-.09, .09):
        mesh.tube((front, y, r), (front - .28, y, .98), .03, .03, 'rim', 6)
    mesh.tube((front - .3, -.38, 1.02), (front - .3, .38, 1.02), .018, .018, 'trim', 6)
    mesh.ball((front - .16, 0, .88), (.1, .1, .1), 'lamp', 6, 9)
    if rng.random() < .6:
        mesh.ball((front - .24, 0, 1.0), (.1, .19, .2), 'paint', 6, 9)  # fairing
    mesh.box((-.9, -.07, .68), (-.84, .07, .75), 'redlamp')
    mesh.box((-.94, -.1, .5), (-.92, .1, .64), 'plate')
    mesh.tube((-.1, -.2, .3), (-.8, -.2, .36), .04, .05, 'rim', 7)  # exhaust
    if rng.random() < .3:
        mesh.box((-.98, -.2, .86), (-.58, .2, 1.2), str(rng.choice(CLOTHES)))
    return mesh


def motorcyclist(rng: np.random.Generator) -> Mesh:
    """Return who rides a `motorcycle`, with a helmet."""
    mesh = Mesh(smooth=True)
    top, legs = str(rng.choice(CLOTHES)), str(rng.choice(CLOTHES))
    hip, neck = (-.3, 0, .9), (rng.uniform(-.15, .1), 0, 1.42)
    torso(mesh, hip, neck, 1.1, top)
    for sign in (1, -1):
        knee, foot = np.array([.12, sign * .25, .78]), np.array([-.08, sign * .24, .36])
        mesh.tube((hip[0], sign * .1, hip[2] - .03), knee, .095, .07, legs, 7)
        mesh.tube(knee, foot, .065, .05, legs, 7)
        mesh.box(foot - (.08, .05, .06), foot + (.18, .05, .03), 'trim')
        shoulder, elbow = (neck[0], sign * .2, neck[2] - .06), (.16, sign * .33, 1.14)
        mesh.tube(shoulder, elbow, .06, .05, top, 6)
        mesh.tube(elbow, (.37, sign * .34, 1.04), .048, .04, top, 6)
    head(mesh, (neck[0] + .07, 0, neck[2] + .17), str(rng.choice(SKIN)), 'trim', rng)
    mesh.ball((neck[0] + .05, 0, neck[2] + .19), (.15, .13, .15),
              str(rng.choice(['trim', 'frame', 'cloth1', 'sign_red'])), 6, 10)
    return mesh
