"""Good pictures for a node with the tiny model, and the exact outputs that each must have."""

from array import array
from functools import cache
import math
from pathlib import Path

import numpy as np
from sensor_msgs.msg import CameraInfo, Image

from demt_perception.inference import Predictor

TINY_MODEL = Path(__file__).resolve().parents[1] / 'data' / 'tiny_model'
FRAME = 'lens'
"""The frame_id of every good picture; what has another must never come out."""
SIZE = 96, 160
# One colour each: pictures that follow each other differ in every pixel and every output.
COLOURS = ((200, 40, 90), (30, 170, 60), (20, 80, 240), (120, 60, 10), (70, 250, 140),
           (10, 20, 110), (90, 90, 90))
# Outputs that are listened to: attribute of Predictions, type and shape of a pixel.
OUTPUTS = {'semantic/image': ('semantic', np.uint8, ()),
           'depth/image': ('depth', np.float32, ()),
           'normals/image': ('normals', np.float32, (3,)),
           'boundary/image': ('boundary', np.uint8, ())}
GREY = len(COLOURS) - 1
# How B, G and R are arranged in an encoding; those with one channel only hold the grey.
ENCODINGS = {'bgr8': (0, 1, 2), 'rgb8': (2, 1, 0), 'bgra8': (0, 1, 2, 2), 'rgba8': (2, 1, 0, 2),
             'mono8': (0,), 'bayer_rggb8': (0,), '8UC3': (0, 1, 2)}


def picture(colour, stamp, size=SIZE, encoding='bgr8'):
    """Return a sensor_msgs/Image of one colour (index); ``stamp`` in nanoseconds."""
    channels = [COLOURS[colour][index] for index in ENCODINGS[encoding]]
    assert len(channels) > 1 or colour == GREY
    height, width = size
    message = Image(height=height, width=width, encoding=encoding, step=width * len(channels))
    message.data = array('B', bytes(channels) * (height * width))
    message.header.frame_id = FRAME
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 1_000_000_000)
    return message


def camera_info(image):
    """Return a camera_info with the field of view that the tiny model's card assumes: 60 degrees.

    So the outputs are bit for bit the same, whether it was there in time or not.
    """
    focal = image.width / 2 / math.tan(math.radians(60.0) / 2)
    return CameraInfo(header=image.header, width=image.width, height=image.height, k=[
        focal, 0.0, image.width / 2, 0.0, focal, image.height / 2, 0.0, 0.0, 1.0])


def stamp_of(message):
    """Return the stamp in nanoseconds."""
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec


class Sent:
    """Remembers the good pictures that were sent, and says what is wrong with an output.

    Attributes:
        last: number of the picture whose output came last, by topic; -1 before the first.
        repeats: outputs may come again, and in another order: of a second node.
        checked: outputs that were looked at.
    """

    def __init__(self, engine='onnxruntime'):
        self._engine = engine   # of the node: others may differ in the last bit
        self._pictures = {}   # by stamp: (number, colour, size)
        self.count = self.checked = 0
        self.repeats = False
        self.last = dict.fromkeys(OUTPUTS, -1)

    def note(self, message, colour):
        """Remember a good picture; return its number."""
        self._pictures.setdefault(stamp_of(message), []).append(
            (self.count, colour, (message.height, message.width)))
        self.count += 1
        return self.count - 1

    def restart(self):
        """Take nothing for repeated: another node process publishes from now on."""
        self.last = dict.fromkeys(OUTPUTS, -1)

    def trouble(self, topic, message):
        """Return what is wrong with an output; ''."""
        self.checked += 1
        stamp, last = stamp_of(message), self.last[topic]
        if message.header.frame_id != FRAME or stamp not in self._pictures:
            return f'{topic}: of {message.header}, which was no good picture'
        later = [sent for sent in self._pictures[stamp] if sent[0] > last or self.repeats]
        if not later:
            return f'{topic}: of {stamp}, again, or after that of a later picture'
        # Several pictures may have one stamp: a clock that stands still, a bag that loops.
        troubles = {sent: _difference(topic, message, *sent[1:], self._engine) for sent in later}
        right = next((sent for sent in later if not troubles[sent]), None)
        if right is None:
            return f'{topic}: {troubles[later[0]]}'
        self.last[topic] = max(right[0], last)
        return ''


def _difference(topic, message, colour, size, engine):
    attribute, kind, shape = OUTPUTS[topic]
    if (message.height, message.width) != size:
        return f'{message.width}x{message.height} of a picture of {size}'
    got = np.frombuffer(message.data, kind).reshape(*size, *shape)
    wanted = getattr(expected(colour, size, engine), attribute)
    if not np.array_equal(got, wanted, equal_nan=kind is np.float32):
        return f'not what is right for colour {colour}'
    return ''


@cache
def expected(colour, size, engine='onnxruntime'):
    """Return the Predictions of a picture: bit for bit those of the node."""
    return _predictor(engine).predict(np.full((*size, 3), COLOURS[colour], np.uint8))


@cache
def _predictor(engine):
    return Predictor(TINY_MODEL, engine, 1, precision='f32')
