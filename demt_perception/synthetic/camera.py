"""Where a car's camera is and what it sees of a street."""

import math

import numpy as np

from demt_perception.synthetic.road import Road
from demt_perception.synthetic.street import Street


def draw(rng: np.random.Generator, street: Street, width: int) -> dict:
    """Draw a camera in a lane.

    Returns:
        s, t (m) and direction (+1 towards growing s) on the road; height (m), pitch (up
        positive), roll, yaw (left positive) in degrees; focal length in pixels.
    """
    road = street.road
    direction = 1 if rng.random() < 0.75 else -1
    own = road.drive * direction if rng.random() < 0.92 else -road.drive * direction
    lane = int(rng.integers(road.sides[own].lanes))
    turning = rng.random() < 0.08
    yaw = rng.uniform(-50, 50) if turning else rng.normal(0, 2.)
    return {'s': float(rng.uniform(10, 190) if direction > 0 else rng.uniform(170, 350)),
            't': float(street.lane(own, lane) + rng.normal(0, .2)), 'direction': direction,
            'height': float(rng.uniform(1.1, 2.2)), 'pitch': float(rng.uniform(-5, 5)),
            'roll': float(rng.uniform(-2, 2)), 'yaw': float(yaw),
            'focal': float(width * math.exp(rng.uniform(math.log(.4), math.log(2.))))}


def matrix(road: Road, camera: dict) -> np.ndarray:
    """Return the 4x4 camera-to-world matrix: x right, y up, z backward."""
    turn = 0. if camera['direction'] > 0 else math.pi
    body = road.frame(camera['s'], camera['t'], camera['height'],
                      turn + math.radians(camera['yaw']))
    p, r = math.radians(camera['pitch']), math.radians(camera['roll'])
    tilt = np.eye(4)
    tilt[:3, :3] = np.array([[math.cos(p), 0, -math.sin(p)], [0, 1, 0],
                             [math.sin(p), 0, math.cos(p)]]) @ np.array(
        [[1, 0, 0], [0, math.cos(r), -math.sin(r)], [0, math.sin(r), math.cos(r)]])
    axes = np.eye(4)  # columns: the camera's right, up, backward in forward-left-up
    axes[:3, :3] = np.array([[0, 0, -1], [-1, 0, 0], [0, 1, 0]])
    return body @ tilt @ axes
