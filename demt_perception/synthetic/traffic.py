"""What moves in a street: vehicles, cyclists and people, placed anew for each view."""

from dataclasses import dataclass

import numpy as np

from demt_perception.synthetic import heavy, people, riders
from demt_perception.synthetic.labels import IGNORE
from demt_perception.synthetic.meshes import Mesh
from demt_perception.synthetic.road import END, Road, START
from demt_perception.synthetic.stage import UNUSED
from demt_perception.synthetic.street import CAR, CYCLIST, PERSON, Street

PACE = {CAR: 8., CYCLIST: 4., PERSON: 1.3}
"""Metres per second of what moves."""


@dataclass
class Mover:
    """Something at a place on the road, see `Road.frame`, that goes where it faces."""

    things: tuple
    kind: int
    s: float
    t: float
    up: float
    yaw: float

    def pose(self, road: Road, seconds: float) -> np.ndarray:
        """Return its 4x4 pose after some seconds."""
        way = PACE[self.kind] * seconds
        s = float(np.clip(self.s + way * np.cos(self.yaw), START + 8, END - 8))
        t = self.t + (way * np.sin(self.yaw) if self.kind == PERSON else 0.)
        return road.frame(s, t, self.up, self.yaw, level=self.kind != CAR)


class Traffic:
    """A pool of movers, the same for all views of a street."""

    def __init__(self, street: Street):
        self.street = street
        rng, put, road = street.rng, street.stage.put, street.road
        self.vehicles = [((put(mesh, CAR, UNUSED, street.paint(), lit=True),), mesh, CAR)
                         for mesh in [*street.cars, *street.cars[:3], heavy.truck(rng),
                                      heavy.truck(rng), heavy.bus(rng)]]
        for _ in range(2):
            mesh = riders.motorcycle(rng)
            self.vehicles.append((self._ridden(mesh, riders.motorcyclist(rng)), mesh, CYCLIST))
        self.people = [put(people.pedestrian(rng), PERSON, UNUSED) for _ in range(18)]
        self.riders = [self._ridden(riders.bicycle(rng), riders.cyclist(rng)) for _ in range(5)]
        self.waiting = [put(mesh, CAR, UNUSED, street.paint(), lit=True)
                        for mesh in street.cars[:5]]
        self.plan: list[Mover] = []
        for _ in range(4):
            sign = int(rng.choice([1, -1]))
            if road.sides[sign].walk != 'grass':
                parked = riders.bicycle(rng) if rng.random() < .7 else riders.motorcycle(rng)
                put(parked, IGNORE, road.frame(
                    rng.uniform(START, END), sign * (road.front(sign) - .4),
                    road.sides[sign].kerb, rng.normal(0, .2)), street.paint())

    def _ridden(self, machine: Mesh, rider: Mesh) -> tuple:
        below = self.street.stage.put(machine, CYCLIST, UNUSED, self.street.paint(), lit=True)
        return below, self.street.stage.put(rider, CYCLIST, UNUSED, part_of=below)

    def distribute(self, rng: np.random.Generator, s0: float, direction: int,
                   lane_t: float) -> None:
        """Draw places about a camera at (s0, lane_t) that looks along `direction`.

        `direction` is +1 towards growing s. Nothing is put on the camera.
        """
        self.plan = []
        taken = [(0., lane_t, 7.)]  # metres ahead, t, length of what is on the road
        self._vehicles(rng, s0, direction, lane_t, taken)
        self._people(rng, s0, direction, lane_t, taken)
        self._riders(rng, s0, direction, taken)
        self._crossing(rng, s0, direction, taken)
        self.go(0.)

    def go(self, seconds: float) -> None:
        """Move everything to where it is some seconds after `distribute`."""
        move = self.street.stage.move
        ridden = [thing for things in (*(v[0] for v in self.vehicles), *self.riders)
                  for thing in things]
        for thing in [*ridden, *self.people, *self.waiting]:
            move(thing, UNUSED)
        for mover in self.plan:
            for thing in mover.things:
                move(thing, mover.pose(self.street.road, seconds))

    def _vehicles(self, rng, s0, direction, lane_t, taken):
        street, road = self.street, self.street.road
        crowd_order = rng.permutation(len(self.vehicles))
        crowd = rng.choice([.15, .45, .8])
        for number, k in enumerate(crowd_order):
            things, mesh, kind = self.vehicles[k]
            length = float(np.ptp(mesh.points[:, 0]))
            if rng.random() > crowd and not (number == 0 and rng.random() < .45):
                continue
            sign = int(rng.choice([1, -1]))
            lane = street.lane(sign, int(rng.integers(road.sides[sign].lanes)))
            ahead = rng.uniform(5 + length / 2, 40) if rng.random() < .6 else rng.uniform(20, 130)
            if number == 0 and rng.random() < .6:
                lane, ahead = lane_t, rng.uniform(5.5 + length / 2, 30)
                sign = 1 if lane > 0 else -1
            if blocked(taken, ahead, lane, 1.7, length / 2 + 2):
                continue
            taken.append((ahead, lane, length))
            heading = 0. if sign == road.drive else np.pi
            s = np.clip(s0 + direction * ahead, START + 8, END - 8)
            self.plan.append(Mover(things, kind, s, lane + rng.normal(0, .2), 0.,
                                   heading + rng.normal(0, .03)))

    def _people(self, rng, s0, direction, lane_t, taken):
        road = self.street.road
        for thing in self.people:
            if rng.random() > .75 or self.street.kind == 'highway':
                continue
            sign = int(rng.choice([1, -1]))
            ahead = rng.uniform(4, 60)
            s = s0 + direction * ahead
            side, yaw = road.sides[sign], rng.choice([0, np.pi]) + rng.normal(0, .25)
            inner, outer = road.edge(sign) + .5, road.front(sign) - .3
            t, up = sign * rng.uniform(inner, max(outer, inner + .1)), side.kerb
            if side.walk == 'grass':
                up = 0.03
            if side.inside(s):
                up = 0.
            if rng.random() < .13:  # crossing the road
                t, up, yaw = rng.uniform(-road.edge(-1), road.edge(1)), 0., rng.choice(
                    [-1, 1]) * np.pi / 2 + rng.normal(0, .2)
                if (abs(t - lane_t) < 1.3 and ahead < 8) or blocked(taken, ahead, t, 1.6, 1.):
                    continue
            self.plan.append(Mover((thing,), PERSON, s, t, up, yaw))

    def _riders(self, rng, s0, direction, taken):
        street, road = self.street, self.street.road
        for things in self.riders:
            if rng.random() > .5 or street.kind == 'highway':
                continue
            sign = int(rng.choice([1, -1]))
            lanes, ahead = road.sides[sign].lanes, rng.uniform(5, 45)
            t = street.lane(sign, lanes - 1) + sign * (
                0. if sign in street.pinched else road.lane / 2 - rng.uniform(.3, .8))
            if blocked(taken, ahead, t, 1.5, 1.5):
                continue
            heading = 0. if sign == road.drive else np.pi
            self.plan.append(Mover(things, CYCLIST, s0 + direction * ahead, t, 0.,
                                   heading + rng.normal(0, .06)))

    def _crossing(self, rng, s0, direction, taken):
        """Put cars into the side roads ahead: waiting, coming and going, or in the junction."""
        road = self.street.road
        mouths = [(sign, a, b) for sign, side in road.sides.items() for a, b in side.gaps
                  if 8 < ((a + b) / 2 - s0) * direction < 90]
        for thing in self.waiting:
            if not mouths or rng.random() < .4:
                continue
            sign, a, b = mouths[int(rng.integers(len(mouths)))]
            comes = rng.random() < .7  # towards the junction
            first = (sign != road.drive) == comes
            s = (3 * a + b) / 4 if first else (a + 3 * b) / 4
            t = road.edge(sign) + rng.choice([3.2, rng.uniform(9, 35)])
            if rng.random() < .12:
                t = rng.uniform(0, road.edge(sign))
            ahead = (s - s0) * direction
            if blocked(taken, ahead, sign * t, 4., 4.):
                continue
            taken.append((ahead, sign * t, 3.))
            self.plan.append(Mover((thing,), CAR, s, sign * t, 0.,
                                   (-1 if comes else 1) * sign * np.pi / 2))


def blocked(taken: list[tuple[float, float, float]], ahead: float, t: float, beside: float,
            along: float) -> bool:
    """Return whether a place is within the given metres of what is on the road already."""
    return any(abs(t - other) < beside and abs(ahead - a) < length / 2 + along
               for a, other, length in taken)
