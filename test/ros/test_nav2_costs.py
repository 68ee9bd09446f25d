"""What the shipped costmap makes of a scene, by the rules of the layer as its sources have them.

SegmentationBuffer::bufferSegmentation and SemanticSegmentationLayer::updateBounds of
semantic_segmentation_layer (main, b269885), told again in Python: of the pixels in a cell the one
whose class may cost most, a queue a class, the dominant class's cost.
"""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import yaml

from demt_perception.inference import DEFAULT_MODEL, find_model
from demt_perception.inference.point_cloud import Camera, FIELDS, fill_points, make_rays
from demt_perception.model_card import load_card

CONFIG = Path(__file__).resolve().parents[2] / 'config' / 'nav2_costmap.yaml'
HEIGHT, WIDTH = 90, 160
CAMERA = Camera(80, 80, 79.5, 44.5)
ABOVE_GROUND = 0.8
FREE, LETHAL, UNKNOWN = 0, 254, 255


class Costmap:
    """Cells by (x, y) of the robot, and what was seen of each."""

    def __init__(self, settings, names):
        layer = settings['semantic_layer']
        source = layer[layer['observation_sources']]
        self.rules = {names.index(name): source[kind] for kind in source['class_types']
                      for name in source[kind]['classes']}
        self.reach = source['min_obstacle_distance'], source['max_obstacle_distance']
        assert source['use_cost_selection']
        self.resolution = settings['resolution']
        self.queues = defaultdict(lambda: defaultdict(list))
        self.dominant = {}

    def take(self, points):
        """Take one frame's points, HxWx6 in the optical frame."""
        x, y, z = (points[..., axis] for axis in range(3))
        far = np.sqrt(x * x + y * y + z * z)
        valid = np.isfinite(z) & (far > self.reach[0]) & (far < self.reach[1])
        ids = points.view(np.uint32)[..., 4][valid]
        # REP 103: x of the robot is z of the camera, y is -x.
        cells = np.floor(np.stack([z, -x], -1)[valid] / self.resolution).astype(int)
        best = {}
        for cell, index, sure in zip(map(tuple, cells), ids, points[..., 5][valid], strict=True):
            if cell not in best or (self.rules[index]['max_cost']
                                    > self.rules[best[cell][0]]['max_cost']):
                best[cell] = index, 255 * sure
        for cell, (index, sure) in best.items():
            queues = self.queues[cell]
            queues[index].append(sure)
            if self.rules[index]['dominant_priority'] or cell not in self.dominant or (
                    len(queues[index]) > len(queues[self.dominant[cell]])):
                self.dominant[cell] = index

    def cost(self, x, y):
        """Return the cost of the cell at a point of the robot's frame, metres."""
        cell = int(np.floor(x / self.resolution)), int(np.floor(y / self.resolution))
        if cell not in self.dominant:
            return UNKNOWN
        index = self.dominant[cell]
        seen, rule = self.queues[cell][index], self.rules[index]
        often = len(seen) >= rule['samples_to_max_cost']
        return rule['max_cost' if often and np.mean(seen) > rule['mark_confidence']
                    else 'base_cost']


@pytest.fixture(scope='module')
def names():
    return list(load_card(find_model(DEFAULT_MODEL)).classes)


@pytest.fixture
def costmap(names):
    settings = yaml.safe_load(CONFIG.read_text())['local_costmap']['local_costmap']
    return Costmap(settings['ros__parameters'], names)


def scene(names, sure=0.9):
    """Return points of a road with a car across it, a pedestrian beside, and sky above."""
    rays = make_rays(CAMERA, (HEIGHT, WIDTH))
    x, y = np.broadcast_arrays(*rays)
    with np.errstate(divide='ignore'):
        depth = np.where(y > 0, ABOVE_GROUND / y, np.nan)
    label = np.where(y > 0, names.index('road'), names.index('sky')).astype(np.uint8)
    for name, z, left, right, top in (('car', 5.05, -1.0, 1.0, 0.0),
                                      ('pedestrian', 3.05, 1.5, 1.8, -0.9)):
        here = (x * z > left) & (x * z < right) & (y * z > top) & (y * z < ABOVE_GROUND)
        depth[here], label[here] = z, names.index(name)
    points = np.empty((HEIGHT, WIDTH, len(FIELDS)), np.float32)
    fill_points(points, rays, depth.astype(np.float32), np.zeros((HEIGHT, WIDTH, 3), np.uint8),
                label, np.full((HEIGHT, WIDTH), round(255 * sure), np.uint8))
    return points


def test_a_road_is_free_a_car_lethal_after_three_frames_a_pedestrian_at_once(costmap, names):
    points = scene(names)
    costs = []
    for _ in range(3):
        costmap.take(points)
        costs.append([costmap.cost(*at) for at in ((2.05, 0.05), (5.05, 0.05), (3.05, -1.65))])
    assert costs == [[FREE, 100, LETHAL], [FREE, 100, LETHAL], [FREE, LETHAL, LETHAL]]
    assert costmap.cost(7.05, 0.05) == UNKNOWN   # behind the car


def test_what_is_not_sure_is_never_lethal_but_people_are(costmap, names):
    for _ in range(5):
        costmap.take(scene(names, sure=0.3))
    assert (costmap.cost(5.05, 0.05), costmap.cost(3.05, -1.65)) == (100, LETHAL)


def test_sky_with_a_depth_says_nothing_and_hides_nothing(costmap, names):
    points = scene(names)
    points.view(np.uint32)[..., 4][:, 60:100] = names.index('sky')
    costmap.take(points)
    assert costmap.cost(5.05, 0.05) == UNKNOWN
    both = scene(names)
    both.view(np.uint32)[..., 4][::2] = names.index('sky')
    for _ in range(3):
        costmap.take(both)
    assert costmap.cost(5.05, 0.05) == LETHAL
