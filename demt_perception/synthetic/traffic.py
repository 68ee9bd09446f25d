"""What moves in a street: vehicles, cyclists and people, placed anew for each view."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from demt_perception.synthetic import people, vehicles
from demt_perception.synthetic.labels import IGNORE
from demt_perception.synthetic.road import END, Road, START
from demt_perception.synthetic.stage import UNUSED
from demt_perception.synthetic.street import CAR, CYCLIST, PERSON, Street

PACE = {CAR: 8., CYCLIST: 4., PERSON: 1.3}
"""Metres per second of what moves."""


@dataclass
class Mover:
    """Something at a place on the road, see `Road.frame`, that goes where it faces."""

    thing: Any
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
        self.vehicles = [(put(mesh, CAR, UNUSED, street.paint()), mesh)
                         for mesh in [*street.cars, *street.cars[:3], vehicles.truck(rng),
                                      vehicles.truck(rng), vehicles.bus(rng)]]
        self.people = [put(people.pedestrian(rng), PERSON, UNUSED) for _ in range(18)]
        self.riders = [put(people.cyclist(rng), CYCLIST, UNUSED) for _ in range(5)]
        self.plan: list[Mover] = []
        for _ in range(3):
            sign = int(rng.choice([1, -1]))
            if road.sides[sign].walk != 'grass':
                put(people.cyclist(rng, rider=False), IGNORE, road.frame(
                    rng.uniform(START, END), sign * (road.front(sign) - .4),
                    road.sides[sign].kerb, rng.normal(0, .2)))

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
        self.go(0.)

    def go(self, seconds: float) -> None:
        """Move everything to where it is some seconds after `distribute`."""
        move = self.street.stage.move
        for thing in [*(v for v, _ in self.vehicles), *self.people, *self.riders]:
            move(thing, UNUSED)
        for mover in self.plan:
            move(mover.thing, mover.pose(self.street.road, seconds))

    def _vehicles(self, rng, s0, direction, lane_t, taken):
        street, road = self.street, self.street.road
        crowd_order = rng.permutation(len(self.vehicles))
        crowd = rng.choice([.15, .45, .8])
        for number, k in enumerate(crowd_order):
            thing, mesh = self.vehicles[k]
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
            self.plan.append(Mover(thing, CAR, s, lane + rng.normal(0, .2), 0.,
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
            self.plan.append(Mover(thing, PERSON, s, t, up, yaw))

    def _riders(self, rng, s0, direction, taken):
        street, road = self.street, self.street.road
        for thing in self.riders:
            if rng.random() > .5 or street.kind == 'highway':
                continue
            sign = int(rng.choice([1, -1]))
            lanes, ahead = road.sides[sign].lanes, rng.uniform(5, 45)
            t = street.lane(sign, lanes - 1) + sign * (
                0. if sign in street.pinched else road.lane / 2 - rng.uniform(.3, .8))
            if blocked(taken, ahead, t, 1.5, 1.5):
                continue
            heading = 0. if sign == road.drive else np.pi
            self.plan.append(Mover(thing, CYCLIST, s0 + direction * ahead, t, 0.,
                                   heading + rng.normal(0, .06)))


def blocked(taken: list[tuple[float, float, float]], ahead: float, t: float, beside: float,
            along: float) -> bool:
    """Return whether a place is within the given metres of what is on the road already."""
    return any(abs(t - other) < beside and abs(ahead - a) < length / 2 + along
               for a, other, length in taken)
