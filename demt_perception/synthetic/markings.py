"""What is painted on the road: lines, dashes, stop lines, zebra crossings, arrows, bays."""

import numpy as np

from demt_perception.synthetic.meshes import Mesh
from demt_perception.synthetic.road import END, Road, START, stretches, strip

UP, HALF = 0.006, 0.06  # above the asphalt; half a line's width, metres

# Arrows that point along +x: corner chains, counter-clockwise, convex.
SHAFT = [(0, -.1), (2.2, -.1), (2.2, .1), (0, .1)]
AHEAD = [SHAFT, [(2.2, -.35), (3.6, 0), (2.2, .35)]]
LEFT = [SHAFT, [(2.2, -.1), (2.5, .1), (2.5, .55), (2.2, .55), (2.2, .1)],
        [(1.9, .55), (2.8, .55), (2.35, 1.15)]]


def markings(road: Road, mesh: Mesh, rng: np.random.Generator) -> None:
    """Append all paint of a road to its surface."""
    _lines(road, mesh)
    for sign, side in road.sides.items():
        for a, b in side.gaps:
            _mouth(road, mesh, sign, a, b)
    if road.arrows:
        _arrows(road, mesh, rng)
    if rng.random() < .5:
        _bays(road, mesh)
    if road.zebra:
        for s in road.crossings:
            zebra(road, mesh, s)
    if road.repaired:
        for _ in range(int(rng.integers(1, 6))):  # trenches filled with newer asphalt
            s, t = rng.uniform(START, END - 30), rng.uniform(-road.edge(-1), road.edge(1) - 1.2)
            strip(road, mesh, s, s + rng.uniform(1, 25), t + rng.uniform(.5, 1.2), t, 'patch',
                  .003)


def _lines(road: Road, mesh: Mesh) -> None:
    centre = 'yellow' if road.yellow else 'white'
    n_left, n_right = road.sides[1].lanes, road.sides[-1].lanes
    if n_left + n_right > 2 or road.yellow:
        for t in (-0.12, 0.12):
            strip(road, mesh, START + 2, END - 2, t + HALF, t - HALF, centre, UP)
    else:
        _dashes(road, mesh, 0., centre)
    for sign, n in ((1, n_left), (-1, n_right)):
        for k in range(1, n):
            _dashes(road, mesh, sign * k * road.lane, 'white')
        if road.sides[sign].parking or road.sides[sign].walk == 'grass':
            for a, b in stretches(road.sides[sign]):
                t = sign * n * road.lane
                strip(road, mesh, a, b, t + HALF, t - HALF, 'white', UP)


def _mouth(road: Road, mesh: Mesh, sign: int, a: float, b: float) -> None:
    """Give way line and centre dashes of a side road, stop line of the lanes before it."""
    edge = road.edge(sign)
    t, middle = sign * (edge + 0.6), (a + b) / 2
    inner, outer = (a + 2.2, middle) if sign != road.drive else (middle, b - 2.2)
    strip(road, mesh, inner, outer, t - 0.15, t + 0.15, 'white', UP)
    for u in np.arange(edge + 2, road.reach - 3, 6.):
        strip(road, mesh, middle - .05, middle + .05, sign * u, sign * (u + 3), 'white', UP)
    if road.lights:
        forward = sign == road.drive  # lanes of this side move towards growing s
        s = a - 3.2 if forward else b + 2.8
        strip(road, mesh, s, s + .4, sign * .3, sign * (edge - .3), 'white', UP)


def zebra(road: Road, mesh: Mesh, s: float) -> None:
    """Append a crossing of 3 m along the road."""
    for t in np.arange(-road.edge(-1) + 0.5, road.edge(1) - 0.5, 1.0):
        strip(road, mesh, s, s + 3, t + 0.5, t, 'white', UP)


def _arrows(road: Road, mesh: Mesh, rng: np.random.Generator) -> None:
    for sign, side in road.sides.items():
        forward = 1 if sign == road.drive else -1
        stops = [a if forward > 0 else b for a, b in side.gaps] or list(
            rng.uniform(START + 30, END - 30, 3))
        for stop in stops:
            for k in range(side.lanes):
                shapes = [AHEAD, LEFT, [[(x, -y) for x, y in part[::-1]] for part in LEFT]]
                shape = shapes[int(rng.integers(3))] if side.lanes > 1 else AHEAD
                for back in (9., 26.):
                    s, t = stop - forward * back, road.lane_centre(sign, k)
                    if not START + 6 < s < END - 6:
                        continue
                    for part in shape:
                        ring = np.array([road.at(s + forward * x, t + forward * y, UP)
                                         for x, y in part])
                        mesh.add(ring, [tuple(range(len(ring)))], 'white')


def _bays(road: Road, mesh: Mesh) -> None:
    for sign, side in road.sides.items():
        if not side.parking:
            continue
        t = road.edge(sign) - .3
        for s in np.arange(START + 3, END - 3, 6.):
            if not side.inside(s, 2):
                strip(road, mesh, s, s + .1, sign * (t - side.parking + .3), sign * t, 'white', UP)


def _dashes(road: Road, mesh: Mesh, t: float, material: str) -> None:
    length, gap = road.dash
    for s in np.arange(START + 2, END - length - 2, length + gap):
        strip(road, mesh, s, s + length, t + HALF, t - HALF, material, UP)
