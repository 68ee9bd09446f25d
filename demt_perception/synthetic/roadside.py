"""What stands along a street: trees, lamps, poles, signs, lights, clutter, rails, barriers."""

from typing import TYPE_CHECKING

import numpy as np

from demt_perception.synthetic import furniture
from demt_perception.synthetic.labels import FENCE, POLE, SIGN, TREE
from demt_perception.synthetic.meshes import Mesh, pose
from demt_perception.synthetic.road import END, FAR, START, strip

if TYPE_CHECKING:
    from demt_perception.synthetic.street import Street


def roadside(street: 'Street', sign: int) -> None:
    """Trees, lamps, poles, signs, lights and clutter on the pavement."""
    rng, road = street.rng, street.road
    side = road.sides[sign]
    base, up = road.edge(sign), side.kerb if side.walk != 'grass' else 0.
    face = 0. if sign == road.drive else np.pi  # signs face the traffic of their side
    near = base + (0.75 if side.walk != 'grass' else 1.8)
    each = rng.choice([0., rng.uniform(7, 22)], p=[.35, .65])
    tree_t = near + 0.3 if side.walk != 'pavement' or side.width > 2.2 else road.front(
        sign) + 1.5
    if tree_t > road.front(sign) and street.kind in ('town', 'city') and side.yard < 2.5:
        each = 0.
    if each:
        _repeat(street, sign, each, tree_t, up, lambda: (street.street_trees[
            rng.integers(2)], TREE), 1.)
    if street.kind in ('suburb', 'open', 'highway') or side.walk == 'grass':
        n = 60 if street.kind in ('open', 'highway') else 18
        for _ in range(n):
            s, t = rng.uniform(START, END), rng.uniform(road.front(sign) + 1.5, FAR - 5)
            if not side.inside(s, 4) and (n > 50 or t > road.front(sign) + 22):
                street.stage.put(street.trees[rng.integers(4)], TREE, road.frame(
                    s, sign * t, 0., rng.uniform(0, 6), level=True))
    if rng.random() < 0.85:
        _lamps(street, sign, near, up)
    if rng.random() < 0.4:
        pole = furniture.wire_pole(rng)
        _repeat(street, sign, rng.uniform(28, 45), near + .15, up, lambda: (pole, POLE), .1)
    for s in np.arange(START + rng.uniform(5, 30), END, rng.uniform(14, 40)):
        if side.inside(s, 1):
            continue
        small = rng.random() < (.3 if street.kind == 'highway' else .8)
        pole, plate = furniture.sign(rng) if small else furniture.gantry(rng)
        at = road.frame(s, sign * (near - .15), up, face + rng.normal(0, .15), level=True)
        street.stage.put(pole, POLE, at)
        street.stage.put(plate, SIGN, at)
    for a, b in side.gaps:
        if road.lights:
            pole, head = furniture.traffic_light(rng)
            at = road.frame(a - .8 if face == 0 else b + .8, sign * near, up, face, level=True)
            street.stage.put(pole, POLE, at)
            street.stage.put(head, SIGN, at)
    if side.walk != 'grass':
        for s in rng.uniform(START, END, int(rng.integers(4, 16))):
            mesh, class_id = furniture.clutter(rng)
            if not side.inside(s, 1):
                street.stage.put(mesh, class_id, road.frame(
                    s, sign * (road.front(sign) - .45), up, rng.uniform(0, 6)))
    if (street.kind in ('open', 'highway') or side.walk == 'grass') and rng.random() < .6:
        rail = furniture.fence(rng, 6.)
        far = 1.2 if street.kind in ('open', 'highway') else side.width
        t = sign * (road.edge(sign) + far)
        start = rng.uniform(START, 60)
        for s in np.arange(start, start + rng.uniform(60, 300), 6.):
            if s < END - 8 and not side.inside(s + 3, 4):
                street.fence(rail, road.frame(s, t, 0.05))


def _lamps(street: 'Street', sign: int, t: float, up: float) -> None:
    """Put street lamps; at night each shines down."""
    rng, road, stage = street.rng, street.road, street.stage
    post, head = furniture.lamp_post(rng)
    power, warm = rng.uniform(150, 700), rng.choice(3)
    color = ((1, .55, .2), (1, .8, .55), (.9, .95, 1.))[warm]
    each = rng.uniform(22, 40)
    for s in np.arange(START + rng.uniform(4, each), END - 4, each):
        if road.sides[sign].inside(s, 1.5):
            continue
        place = road.frame(s, sign * t, up, -sign * np.pi / 2, level=True)
        stage.put(post, POLE, place)
        if stage.air.lamps and rng.random() < .95:
            stage.lamp(place @ pose(head[0], 0, head[1] - .2), power, color, 150.)


def _repeat(street, sign, each, t, up, make, jitter):
    rng, road = street.rng, street.road
    for s in np.arange(START + rng.uniform(4, each), END - 4, each):
        s += rng.uniform(-jitter, jitter)
        if road.sides[sign].inside(s, 1.5) or rng.random() < .08:
            continue
        mesh, class_id = make()
        turn = rng.uniform(0, 6)
        street.stage.put(mesh, class_id, road.frame(s, sign * t, up, turn, level=True))


def barrier(street: 'Street') -> None:
    """Concrete blocks between the two directions of a highway."""
    high, mesh = street.rng.uniform(.75, 1.1), Mesh(kind='wall')
    for low, top, z0, z1 in ((.32, .3, -.1, .12), (.3, .12, .12, .4), (.12, .09, .4, high)):
        for sign in (1, -1):
            strip(street.road, mesh, START, END, sign * top, sign * low, 'kerb', z1, z0)
    strip(street.road, mesh, START, END, .09, -.09, 'kerb', high)
    street.stage.put(mesh, FENCE)
