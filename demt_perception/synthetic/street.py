"""One street: everything that stands still."""

import numpy as np

from demt_perception.synthetic import buildings, furniture, plants, vehicles
from demt_perception.synthetic.markings import markings
from demt_perception.synthetic.materials import PAINTS
from demt_perception.synthetic.meshes import Mesh, pose
from demt_perception.synthetic.road import (
    END,
    FAR,
    pavements,
    Road,
    road_surface,
    START,
    terrain,
)
from demt_perception.synthetic.roadside import barrier, roadside
from demt_perception.synthetic.stage import Stage

BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PERSON, CYCLIST = range(1, 11)


class Street:
    """A street built on a stage from a seed."""

    def __init__(self, stage: Stage, rng: np.random.Generator):
        self.kind = str(rng.choice(['suburb', 'town', 'city', 'open', 'highway'],
                                   p=[.31, .28, .17, .11, .13]))
        self.stage, self.rng, self.road = stage, rng, Road(rng, self.kind == 'highway')
        surface = road_surface(self.road)
        markings(self.road, surface, rng)
        stage.put(surface, ROAD)
        stage.put(terrain(self.road, rng), TREE)
        paved, grass = pavements(self.road)
        if paved.faces:
            stage.put(paved, PAVEMENT)
        if grass.faces:
            stage.put(grass, TREE)
        self._surroundings()
        self.cars = [vehicles.draw(rng) for _ in range(7)]
        self.trees = [plants.tree(rng, str(k)) for k in rng.choice(
            plants.KINDS, 4, p=[.45, .2, .13, .15, .07])]
        self.street_trees = [plants.tree(rng, str(k)) for k in rng.choice(
            ['round', 'tall', 'sparse', 'bare'], 2, p=[.5, .2, .22, .08])]
        self.bushes = [plants.bush(rng) for _ in range(3)]
        self.pinched: set[int] = set()  # sides where cars park in the outer lane
        for sign in (1, -1):
            self._buildings(sign)
            roadside(self, sign)
            if rng.random() < 0.85 and self.kind != 'highway':
                self._parked(sign)
        if self.road.barrier:
            barrier(self)

    def _surroundings(self) -> None:
        """Ground to the horizon, distant woods and houses around, to close the view."""
        rng, road, stage = self.rng, self.road, self.stage
        middle, low = road.at(180, 0), float(road.z.min()) - 1.2
        ground = Mesh(kind='terrain')
        r = 3000.
        ground.quads([[(middle[0] - r, middle[1] - r, low), (middle[0] + r, middle[1] - r, low),
                       (middle[0] + r, middle[1] + r, low), (middle[0] - r, middle[1] + r, low)]],
                     'grass')
        stage.put(ground, TREE)
        hills = Mesh()
        for _ in range(40):
            angle, far = rng.uniform(0, 6.283), rng.uniform(420, 900)
            x, y = middle[0] + far * np.cos(angle), middle[1] + far * np.sin(angle)
            hills.ball((x, y, low - 5), (rng.uniform(30, 110), rng.uniform(30, 110),
                                         rng.uniform(10, 38)), 'leaf1', 7, 14)
        stage.put(hills, TREE)
        for s in (START - 2, END + 2):  # the street's ends
            for t in np.arange(-38, 40, 14):
                far = s + (30 if s > 0 else -30)
                block = buildings.building(rng, 'house', rng.uniform(9, 13), 10.)
                x, y, z = road.at(far, t)
                turn = road.heading[-1] - np.pi / 2 if s > 0 else np.pi / 2
                stage.put(block, BUILDING, pose(x, y, z, turn))

    def _buildings(self, sign: int) -> None:
        rng, road = self.rng, self.road
        side = road.sides[sign]
        kinds = {'suburb': ['house'], 'town': ['town', 'town', 'house'],
                 'city': ['block', 'town'], 'open': ['house'],
                 'highway': ['block', 'house']}[self.kind]
        gap = {'suburb': (1., 9.), 'town': (0., 0.), 'city': (0., 3.), 'open': (15., 80.),
               'highway': (40., 160.)}
        yard = side.yard + {'suburb': rng.uniform(2, 6), 'open': 8,
                            'highway': 15}.get(self.kind, 0)
        s = START + 6.
        while s < END - 40:
            kind = str(rng.choice(kinds))
            width = rng.uniform(6, 11) if kind == 'house' else rng.uniform(8, 24)
            centre = s + width / 2
            if any(a - width / 2 - 1 < centre < b + width / 2 + 1 for a, b in side.gaps):
                s += 2.
                continue
            depth = rng.uniform(8, 13)
            t = sign * (road.front(sign) + yard + rng.uniform(0, 0.6) * (kind != 'town') + 0.05)
            yaw = 0. if sign > 0 else np.pi
            if rng.random() < 0.93:
                matrix = road.frame(centre, t, 0.1, yaw, level=True) @ pose(-width / 2, 0, 0)
                self.stage.put(buildings.building(rng, kind, width, depth), BUILDING, matrix)
                if side.yard + yard > 2.5 and rng.random() < 0.6:
                    self._garden(sign, s, width)
            s += width + (rng.uniform(*gap[self.kind]) if rng.random() < 0.7 else 0)
        for a, b in side.gaps:  # houses along the side roads and at their ends, the second row
            closing = road.frame((a + b) / 2, sign * (road.reach + 6), -1.,
                                 0 if sign > 0 else np.pi, level=True)
            self.stage.put(buildings.building(rng, str(rng.choice(kinds)), 16., 9.), BUILDING,
                           closing @ pose(-8, 0, 0))
            for k in range(2 if road.reach <= FAR else int((road.reach - 20) / 13)):
                t = road.front(sign) + yard + 14 + 13 * k
                for end in (a - 1, b + 1):
                    block = buildings.building(rng, str(rng.choice(kinds)), 11., 9.)
                    flip = np.pi / 2 if end < a else -np.pi / 2
                    matrix = road.frame(end + (-.5 if end < a else .5), sign * t, 0.1, flip,
                                        level=True)
                    self.stage.put(block, BUILDING, matrix @ pose(-5.5, 0, 0))
        if self.kind not in ('open', 'highway'):
            for s in np.arange(START, END, 26.):
                block = buildings.building(rng, str(rng.choice(kinds)), rng.uniform(12, 20), 9.)
                if not side.inside(s + 10, 12):
                    self.stage.put(block, BUILDING, road.frame(
                        s + 10, sign * (FAR + rng.uniform(0, 10)), 0.1, 0 if sign > 0 else np.pi,
                        level=True) @ pose(-8, 0, 0))

    def _garden(self, sign: int, s: float, width: float) -> None:
        rng, road = self.rng, self.road
        t = sign * (road.front(sign) + 0.3)
        if road.sides[sign].inside(s, 1) or road.sides[sign].inside(s + width, 1):
            return
        up = road.sides[sign].kerb
        if rng.random() < 0.4:
            self.stage.put(plants.hedge(rng, width - 1.5, rng.uniform(.7, 1.7)), TREE,
                           self._along(s, t, up))
        elif rng.random() < 0.75:
            self.fence(furniture.fence(rng, width - 1.2), self._along(s, t, up))
        for _ in range(int(rng.integers(0, 3))):
            at = road.frame(s + rng.uniform(0, width), t + sign * rng.uniform(.8, 1.8), up)
            self.stage.put(self.bushes[rng.integers(3)], TREE, at)

    def fence(self, mesh: Mesh, matrix: np.ndarray) -> None:
        """Place a fence, wall or guard rail."""
        # CamVid's eleven classes count walls as buildings.
        self.stage.put(mesh, BUILDING if mesh.kind == 'wall' else FENCE, matrix)

    def _along(self, s: float, t: float, up: float) -> np.ndarray:
        return self.road.frame(s, t, up)

    def paint(self) -> tuple[float, float, float]:
        """Draw a car's colour, linear RGB."""
        return PAINTS[self.rng.integers(len(PAINTS))]

    def _parked(self, sign: int) -> None:
        rng, road = self.rng, self.road
        side = road.sides[sign]
        if not side.parking and rng.random() < 0.55:
            return
        fill, s = rng.uniform(.3, .95), START + 6.
        t = sign * (road.edge(sign) - (1.15 if side.parking else rng.uniform(-.6, .6)))
        up = 0. if side.parking or abs(t) < road.edge(sign) - .8 else side.kerb * .5
        self.pinched.add(sign)
        while s < END - 8:
            step = rng.uniform(5.2, 6.8)
            if rng.random() < fill and not side.inside(s, 6):
                ahead = 0. if rng.random() < .9 and sign == road.drive else np.pi
                self.stage.put(self.cars[rng.integers(len(self.cars))], CAR, road.frame(
                    s, t + rng.normal(0, .07), up, ahead + rng.normal(0, .025)), self.paint())
            s += step

    def lane(self, sign: int, number: int) -> float:
        """Return t of the middle of a lane, away from cars that park in it."""
        outer = number == self.road.sides[sign].lanes - 1
        shift = 0.6 if outer and sign in self.pinched and not self.road.sides[sign].parking else 0.
        return self.road.lane_centre(sign, number) - sign * shift
