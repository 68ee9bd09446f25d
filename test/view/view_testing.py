"""A made-up node for the page: its topics, its state, and pixels whose values are known."""

import time

import numpy as np

from demt_perception.view.frame import Frame
from demt_perception.view.topics import COLORED_VECTOR, Topic

TOPICS = (
    Topic('/n/semantic/image', 'Class', kind='classes', shown=False),
    Topic('/n/depth/image', 'Depth', kind='scalar', shown=False),
    Topic('/n/normals/color', 'Normals', kind=COLORED_VECTOR),
    Topic('/n/boundary/image', 'Boundary', kind='probability', default=2),
    Topic('/n/semantic/overlay', 'Overlay', default=1),
    Topic('/camera/image', 'Camera', input=True),
)
NAMES = ('road', '<img src=x onerror=alert(1)>')
SIZE = (48, 64)


def state(**changes):
    """Return a state as the bridge gives it."""
    return {
        'node': '/n', 'hint': '', 'health': [],
        'labels': {'': [{'id': 0, 'name': NAMES[0], 'color': [128, 64, 128]},
                        {'id': 1, 'name': NAMES[1], 'color': [0, 0, 142]}]},
        'topics': [{'name': topic.name, 'title': topic.title, 'camera': topic.camera,
                    'shown': topic.shown, 'default': topic.default} for topic in TOPICS],
        **changes}


def pictures():
    """Return the pixels of every topic: the left half is class 0, the right half class 1."""
    height, width = SIZE
    right = np.broadcast_to(np.arange(width) >= width // 2, SIZE)
    normals = np.full((height, width, 3), 127, np.uint8)
    normals[:, width // 2:] = 128, 0, 127   # up
    return {
        '/n/semantic/image': right.astype(np.uint8),
        '/n/depth/image': np.where(right, np.float32(12.25), np.float32(np.nan)),
        '/n/normals/color': normals,
        '/n/boundary/image': np.where(right, 255, 51).astype(np.uint8),
        '/n/semantic/overlay': np.full((*SIZE, 3), (200, 40, 40), np.uint8),
        '/camera/image': np.full((*SIZE, 3), (200, 40, 40), np.uint8),   # BGR: blue
    }


def put_all(hub, stamp, received=None):
    """Put a frame of every topic."""
    for name, pixels in pictures().items():
        hub.put(name, frame(pixels, stamp, received, rgb=not name.startswith('/camera')))


def frame(pixels, stamp, received=None, rgb=False):
    """Return a frame that came now."""
    return Frame(stamp, time.time() if received is None else received, lambda: pixels, rgb)
