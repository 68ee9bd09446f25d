"""One street: everything that stands still."""

import numpy as np

from demt_perception.synthetic import buildings, furniture, plants, vehicles
from demt_perception.synthetic.materials import PAINTS
from demt_perception.synthetic.meshes import Mesh, pose
from demt_perception.synthetic.road import END, FAR, pavements, Road, road_surface, START, strip
from demt_perception.synthetic.stage import Stage

BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PERSON, CYCLIST = range(1, 11)


class Street:
    """A street built on a stage from a seed."""

    def __init__(self, stage: Stage, rng: np.random.Generator):
        self.kind = str(rng.choice(['suburb', 'town', 'city', 'open', 'highway'],
                                   p=[.32, .30, .18, .11, .09]))
        self.stage, self.rng, self.road = stage, rng, Road(rng, self.kind == 'highway')
        stage.put(road_surface(self.road), ROAD)
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
            self._roadside(sign)
            if rng.random() < 0.85 and self.kind != 'highway':
                self._parked(sign)
        if self.road.barrier:
            self._barrier()

    def _surroundings(self) -> None:
        """Ground to the horizon, distant woods and houses around, to close the view."""
        rng, road, stage = self.rng, self.road, self.stage
        middle, low = road.at(180, 0), float(road.z.min()) - 1.2
        ground = Mesh()
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
        for a, b in side.gaps:  # houses along the side roads, then the second row
            for k in range(2):
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
            self.stage.put(furniture.fence(rng, width - 1.2), FENCE, self._along(s, t, up))
        for _ in range(int(rng.integers(0, 3))):
            at = road.frame(s + rng.uniform(0, width), t + sign * rng.uniform(.8, 1.8), up)
            self.stage.put(self.bushes[rng.integers(3)], TREE, at)

    def _along(self, s: float, t: float, up: float) -> np.ndarray:
        return self.road.frame(s, t, up)

    def _roadside(self, sign: int) -> None:
        """Trees, lamps, poles, signs, lights and clutter on the pavement."""
        rng, road = self.rng, self.road
        side = road.sides[sign]
        base, up = road.edge(sign), side.kerb if side.walk != 'grass' else 0.
        face = 0. if sign == road.drive else np.pi  # signs face the traffic of their side
        near = base + (0.75 if side.walk != 'grass' else 1.8)
        each = rng.choice([0., rng.uniform(7, 22)], p=[.35, .65])
        tree_t = near + 0.3 if side.walk != 'pavement' or side.width > 2.2 else road.front(
            sign) + 1.5
        if tree_t > road.front(sign) and self.kind in ('town', 'city') and side.yard < 2.5:
            each = 0.
        if each:
            self._repeat(sign, each, tree_t, up, lambda: (self.street_trees[
                rng.integers(2)], TREE), 1.)
        if self.kind in ('suburb', 'open', 'highway') or side.walk == 'grass':
            n = 60 if self.kind in ('open', 'highway') else 18
            for _ in range(n):
                s, t = rng.uniform(START, END), rng.uniform(road.front(sign) + 1.5, FAR - 5)
                if not side.inside(s, 4) and (n > 50 or t > road.front(sign) + 22):
                    self.stage.put(self.trees[rng.integers(4)], TREE, road.frame(
                        s, sign * t, 0., rng.uniform(0, 6), level=True))
        if rng.random() < 0.85:
            lamp = furniture.lamp_post(rng)
            self._repeat(sign, rng.uniform(22, 40), near, up, lambda: (lamp, POLE), .1,
                         -sign * np.pi / 2)
        if rng.random() < 0.4:
            pole = furniture.wire_pole(rng)
            self._repeat(sign, rng.uniform(28, 45), near + .15, up, lambda: (pole, POLE), .1)
        for s in np.arange(START + rng.uniform(5, 30), END, rng.uniform(14, 40)):
            if side.inside(s, 1):
                continue
            small = rng.random() < (.3 if self.kind == 'highway' else .8)
            pole, plate = furniture.sign(rng) if small else furniture.gantry(rng)
            at = road.frame(s, sign * (near - .15), up, face + rng.normal(0, .15), level=True)
            self.stage.put(pole, POLE, at)
            self.stage.put(plate, SIGN, at)
        for a, b in side.gaps:
            if rng.random() < 0.5:
                pole, head = furniture.traffic_light(rng)
                at = road.frame(a - .8 if face == 0 else b + .8, sign * near, up, face, level=True)
                self.stage.put(pole, POLE, at)
                self.stage.put(head, SIGN, at)
        if side.walk != 'grass':
            for s in rng.uniform(START, END, int(rng.integers(4, 16))):
                mesh, class_id = furniture.clutter(rng)
                if not side.inside(s, 1):
                    self.stage.put(mesh, class_id, road.frame(
                        s, sign * (road.front(sign) - .45), up, rng.uniform(0, 6)))
        if (self.kind in ('open', 'highway') or side.walk == 'grass') and rng.random() < .6:
            rail = furniture.fence(rng, 6.)
            far = 1.2 if self.kind in ('open', 'highway') else side.width
            t = sign * (road.edge(sign) + far)
            start = rng.uniform(START, 60)
            for s in np.arange(start, start + rng.uniform(60, 300), 6.):
                if s < END - 8 and not side.inside(s + 3, 4):
                    self.stage.put(rail, FENCE, self._along(s, t, 0.05))

    def _repeat(self, sign, each, t, up, make, jitter, yaw=None):
        rng, road = self.rng, self.road
        for s in np.arange(START + rng.uniform(4, each), END - 4, each):
            s += rng.uniform(-jitter, jitter)
            if road.sides[sign].inside(s, 1.5) or rng.random() < .08:
                continue
            mesh, class_id = make()
            turn = rng.uniform(0, 6) if yaw is None else yaw
            self.stage.put(mesh, class_id, road.frame(s, sign * t, up, turn, level=True))

    def _barrier(self) -> None:
        """Concrete blocks between the two directions of a highway."""
        high, mesh = self.rng.uniform(.75, 1.1), Mesh()
        for low, top, z0, z1 in ((.32, .3, -.1, .12), (.3, .12, .12, .4), (.12, .09, .4, high)):
            for sign in (1, -1):
                strip(self.road, mesh, START, END, sign * top, sign * low, 'kerb', z1, z0)
        strip(self.road, mesh, START, END, .09, -.09, 'kerb', high)
        self.stage.put(mesh, FENCE)

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
