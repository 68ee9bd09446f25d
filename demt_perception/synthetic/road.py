"""The road: a centre line in space, its lanes, kerbs, pavements, markings and side roads."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from demt_perception.synthetic.meshes import Mesh

START, END, STEP = -60., 420., 2.
FAR = 45.  # metres sideways that ground and side roads reach


@dataclass
class Side:
    """What lies beside the lanes on one side, from the lanes outwards; metres."""

    sign: int  # +1 left of the direction of travel of `s`, -1 right
    lanes: int
    parking: float
    kerb: float
    walk: str  # pavement | verge (grass, then pavement) | grass
    width: float
    yard: float  # between pavement and buildings
    gaps: list[tuple[float, float]] = field(default_factory=list)

    def inside(self, s: float, margin: float = 0.) -> bool:
        """Return whether `s` lies in a side road's mouth."""
        return any(a - margin < s < b + margin for a, b in self.gaps)


class Road:
    """A centre line with curvature and slope; places are (s along, t to the left), metres."""

    def __init__(self, rng: np.random.Generator, highway: bool = False):
        self.s = np.arange(START - 60, END + 80, STEP)
        bend = rng.choice([0., 1.], p=[0.35, 0.65])
        knots = np.arange(START - 140, END + 280, rng.uniform(50, 110))
        kappa = bend * np.interp(self.s, knots, rng.uniform(-1, 1, len(knots)) / (
            450. if highway else 85.))
        self.heading = np.cumsum(kappa) * STEP
        self.heading -= np.interp(0, self.s, self.heading)
        self.x = np.cumsum(np.cos(self.heading)) * STEP
        self.y = np.cumsum(np.sin(self.heading)) * STEP
        slope = rng.choice([0., rng.normal(0, 0.02), rng.normal(0, 0.05)], p=[.4, .4, .2])
        self.z = slope * self.s + rng.uniform(0, 1.8) * np.sin(
            self.s / rng.uniform(50, 110) + rng.uniform(0, 6))
        self.lane = rng.uniform(2.8, 3.7)
        self.drive = int(rng.choice([-1, 1], p=[0.6, 0.4]))  # side of travel: -1 right-hand
        lanes = [(1, 1), (1, 1), (2, 2), (2, 1), (1, 2)][rng.integers(5)]
        walk = rng.choice(['pavement', 'verge', 'grass'], p=[0.74, 0.16, 0.10])
        self.sides = {}
        for sign, n in zip((1, -1), lanes, strict=True):
            kind = walk if rng.random() < 0.8 else rng.choice(['pavement', 'grass'])
            self.sides[sign] = Side(
                sign, n, float(rng.choice([0., 0., 2.2])), float(rng.uniform(0.05, 0.18)), kind,
                float(rng.uniform(1.5, 6.5) if kind == 'pavement' else rng.uniform(2.5, 6.)),
                float(rng.choice([0., rng.uniform(0, 2), rng.uniform(2, 9)])))
        for s in np.arange(rng.uniform(10, 70), END - 20, rng.uniform(60, 130)):
            which = rng.choice([1, -1, 0, 0])  # 0: a crossroads
            half = rng.uniform(5.5, 9)
            for sign in (1, -1):
                if which in (0, sign):
                    self.sides[sign].gaps.append((float(s - half), float(s + half)))
        self.barrier = False
        if highway:
            n, self.lane = int(rng.integers(2, 5)), rng.uniform(3.4, 3.8)
            self.barrier = bool(rng.random() < 0.8)
            self.sides = {sign: Side(sign, n, float(rng.choice([0., 2.5])), 0., 'grass',
                                     float(rng.uniform(2, 5)), 10.) for sign in (1, -1)}
        self.yellow = rng.random() < 0.35
        self.dash = rng.uniform(2, 4), rng.uniform(3, 7)
        self.zebra, self.arrows = rng.random() < 0.6, rng.random() < 0.6
        self.lights = rng.random() < 0.5  # at the junctions
        self.repaired = rng.random() < 0.45
        self.surface = 'concrete' if rng.random() < (.5 if highway else .12) else 'asphalt'
        self.reach = 45. if bend else rng.uniform(60, 110)  # how far side roads go
        self.crossings = sorted({a - 6.8 for side in self.sides.values() for a, _ in side.gaps}
                                | set(rng.uniform(0, END - 10, int(rng.integers(0, 3)))))

    def at(self, s: ArrayLike, t: ArrayLike, up: ArrayLike = 0.) -> np.ndarray:
        """Return world points (..., 3) of places; arguments broadcast."""
        s, t, up = np.broadcast_arrays(np.asarray(s, float), t, up)
        heading = np.interp(s, self.s, self.heading)
        return np.stack([np.interp(s, self.s, self.x) - t * np.sin(heading),
                         np.interp(s, self.s, self.y) + t * np.cos(heading),
                         np.interp(s, self.s, self.z) + up], -1)

    def frame(self, s: float, t: float, up: float = 0., yaw: float = 0.,
              level: bool = False) -> np.ndarray:
        """Return a 4x4 pose at a place: x along the road (turned by yaw), y left, z up."""
        ahead = self.at(s + 1, 0) - self.at(s - 1, 0)
        if level:
            ahead[2] = 0
        x = ahead / np.linalg.norm(ahead)
        y = np.cross([0, 0, 1], x)
        y /= np.linalg.norm(y)
        turn = np.stack([x, y, np.cross(x, y)], -1)
        c, d = np.cos(yaw), np.sin(yaw)
        matrix = np.eye(4)
        matrix[:3, :3] = turn @ np.array([[c, -d, 0], [d, c, 0], [0, 0, 1]])
        matrix[:3, 3] = self.at(s, t, up)
        return matrix

    def edge(self, sign: int) -> float:
        """Return the distance of the kerb from the centre line."""
        side = self.sides[sign]
        return side.lanes * self.lane + side.parking + 0.3

    def front(self, sign: int) -> float:
        """Return the distance of the pavement's outer edge from the centre line."""
        return self.edge(sign) + 0.15 + self.sides[sign].width

    def lane_centre(self, sign: int, number: int) -> float:
        """Return t of a lane, 0 the innermost."""
        return sign * (number + 0.5) * self.lane


def stretches(side: Side) -> list[tuple[float, float]]:
    """Return the intervals of s between the side roads."""
    cuts = [START + 2, *[v for gap in sorted(side.gaps) for v in gap], END - 2]
    return [(a, b) for a, b in zip(cuts[::2], cuts[1::2], strict=True) if b - a > 1]


def strip(road: Road, mesh: Mesh, s0: float, s1: float, t0: float, t1: float, material: str,
          up0: float = 0., up1: float | None = None) -> None:
    """Append a band along the road between two offsets; faces look up for t0 > t1."""
    s = np.unique(np.concatenate([[s0, s1], road.s[(road.s > s0) & (road.s < s1)]]))
    up1 = up0 if up1 is None else up1
    t0, t1, up0, up1 = (t1, t0, up1, up0) if t0 < t1 else (t0, t1, up0, up1)
    mesh.grid(np.stack([road.at(s, t0, up0), road.at(s, t1, up1)], 1), material)


def road_surface(road: Road) -> Mesh:
    """Return asphalt and manholes, side roads included, without paint."""
    mesh = Mesh()
    left, right = road.edge(1), -road.edge(-1)
    strip(road, mesh, START + 2, END - 2, left, right, road.surface)
    s = np.unique(np.concatenate([[START + 2, END - 2], road.s[(road.s > START + 2)
                                                               & (road.s < END - 2)]]))
    lanes = [np.stack([np.repeat(s, 2), np.tile([left, right], len(s)) / road.lane], -1)]
    for sign, side in road.sides.items():
        for a, b in side.gaps:
            t = np.linspace(sign * road.edge(sign), sign * road.reach, 8)
            ends = [b, a] if sign > 0 else [a, b]
            mesh.grid(np.stack([road.at(end, t) for end in ends], 1), 'asphalt')
            across = (np.array(ends) - (a + b) / 2) / road.lane
            lanes.append(np.stack([np.repeat(t, 2), np.tile(across, 8)], -1))
    mesh.lanes = np.concatenate(lanes)
    _manholes(road, mesh)
    return mesh


def _manholes(road: Road, mesh: Mesh) -> None:
    rng = np.random.default_rng(int(abs(road.x[-1]) * 1e3))
    angle = np.arange(14) * 2 * np.pi / 14
    for s in np.arange(START + 5, END - 5, rng.uniform(9, 30)):
        s, t = s + rng.uniform(0, 6), rng.uniform(-road.edge(-1) + .5, road.edge(1) - .5)
        ring = road.at(s + .32 * np.cos(angle), t + .32 * np.sin(angle), .005)
        mesh.add(ring, [tuple(range(14))], 'metal')


def pavements(road: Road) -> tuple[Mesh, Mesh]:
    """Return paved ground (kerbs, pavements) and grass (verges, yards) of both sides."""
    paved, grass = Mesh(), Mesh(kind='terrain')
    for sign, side in road.sides.items():
        edge, front, high = road.edge(sign), road.front(sign), side.kerb
        for a, b in stretches(side):
            if side.walk == 'grass':
                strip(road, grass, a, b, sign * edge, sign * FAR, 'grass', -0.02, 0.1)
                continue
            kerb = edge + 0.15
            _step(road, paved, a, b, sign * edge, high)
            strip(road, paved, a, b, sign * edge, sign * kerb, 'kerb', high)
            inner = kerb
            if side.walk == 'verge':
                inner = kerb + side.width * 0.45
                strip(road, grass, a, b, sign * kerb, sign * inner, 'grass', high)
            strip(road, paved, a, b, sign * inner, sign * front, 'pavement', high)
            strip(road, grass, a, b, sign * front, sign * FAR, 'grass', high - 0.01)
            for s in (a, b):  # the ends at a side road
                ends = [road.at(s, sign * front, z) for z in (-0.1, high)]
                ends += [road.at(s, sign * FAR, z) for z in (high, -0.1)]
                paved.quads(np.array([ends]), 'kerb')
        for a, b in side.gaps:
            if side.walk != 'grass':
                for s, way in ((a, 1.), (b, -1.)):
                    _corner(road, paved, sign, s, way)
    return paved, grass


def _step(road: Road, mesh: Mesh, s0: float, s1: float, t: float, high: float) -> None:
    s = np.unique(np.concatenate([[s0, s1], road.s[(road.s > s0) & (road.s < s1)]]))
    mesh.grid(np.stack([road.at(s, t, -0.1), road.at(s, t, high)], 1), 'kerb')


def _corner(road: Road, mesh: Mesh, sign: int, s: float, way: float, wide: float = 1.9) -> None:
    """Append the rounded corner at a side road's mouth and the pavement along that road."""
    edge, high = road.edge(sign), road.sides[sign].kerb
    angle = np.linspace(0, np.pi / 2, 7)
    curve = [(s + way * wide * np.sin(a), edge + wide * (1 - np.cos(a))) for a in angle]
    curve.append((s + way * wide, road.reach))
    chain = [*curve, (s - way * .001, road.reach), (s - way * .001, edge)]
    if way * sign < 0:
        chain = chain[::-1]
    mesh.add([road.at(u, sign * t, high) for u, t in chain], [tuple(range(len(chain)))],
             'pavement')
    low, top = ([road.at(u, sign * t, z) for u, t in curve] for z in (-.1, high))
    mesh.grid(np.stack([low, top], 1), 'kerb')


def terrain(road: Road, rng: np.random.Generator) -> Mesh:
    """Return the ground beyond the gardens: it rises and falls to 40 m further out."""
    mesh = Mesh(kind='terrain')
    for sign, side in road.sides.items():
        rough = rng.uniform(0, 2.5)
        for a, b in stretches(side):
            s = np.unique(np.concatenate([[a, b], road.s[(road.s > a) & (road.s < b)][::4]]))
            t = np.array([FAR, FAR + 8, FAR + 18, FAR + 30, FAR + 38])
            up = rng.normal(rng.normal(0, .5), .5, (len(s), len(t))) * rough * np.linspace(
                0, 1, len(t))
            up[:, 0], up[:, -1] = side.kerb - .01, -3.
            rows = road.at(s[:, None], sign * t[None], up)
            mesh.grid(rows[:, ::-1] if sign > 0 else rows, 'grass')
    return mesh
