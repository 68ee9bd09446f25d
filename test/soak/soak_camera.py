"""A camera that can misbehave: publishes real frames from a timer, and knows which are good."""

from array import array
from collections import OrderedDict
from itertools import cycle
import time

import cv2
from node_testing import best_effort, make_image, ROOT
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

CLIP = ROOT / 'demt_perception' / 'synthetic' / 'assets' / 'street_clip.mp4'
TOPIC = '/soak/image'
RATE = 30.0
WIDTH, HEIGHT = 640, 360
# So many stamps are remembered; later outputs than that would be a fault of their own.
MEMORY = 20_000


def read_frames(count=20):
    """Return BGR pictures of the clip that ships with the package."""
    video = cv2.VideoCapture(str(CLIP))
    frames = [cv2.resize(video.read()[1], (WIDTH, HEIGHT)) for _ in range(count)]
    video.release()
    return frames


class Camera:
    """Publishes good frames at 30 Hz while anybody spins the tester.

    Attributes:
        paused: nothing is sent.
        burst: frames for each tick of the timer: 10 is a flood.
        shift: nanoseconds added to each stamp.
        late: also send every frame again with a stamp 0.3 s older.
        compressed: frames go as JPEG.
        info: changes of the camera_info.
        good, bad: when frames were sent (monotonic seconds) by stamp.
        sent: how many good frames.
    """

    def __init__(self, tester):
        self._tester = tester
        self._frames = read_frames()
        self.good, self.bad = OrderedDict(), OrderedDict()
        self.sent = 0
        self.reset()
        self.connect()
        self._infos = tester.node.create_publisher(CameraInfo, '/soak/camera_info', 5)
        self._jpegs = tester.node.create_publisher(
            CompressedImage, f'{TOPIC}/compressed', best_effort(1))
        self.timer = tester.node.create_timer(1 / RATE, self.tick)

    def connect(self):
        self._images = self._tester.node.create_publisher(Image, TOPIC, best_effort(1))

    def reconnect(self):
        """End the publisher, as a driver that is restarted, and make another."""
        self._tester.node.destroy_publisher(self._images)
        self.connect()

    def reset(self):
        """Be a good camera again."""
        self.paused, self.burst, self.shift, self.late = False, 1, 0, False
        self.compressed, self.info = False, {}
        self.show(lambda frame: (frame, 'bgr8'))

    def show(self, change):
        """Send frames as ``change`` makes them: (pixels, encoding) of a BGR picture."""
        self._messages = cycle([make_image(*change(frame), frame_id='soak')
                                for frame in self._frames[::4]])

    def tick(self):
        for _ in range(0 if self.paused else self.burst):
            if self.compressed:
                self.send_jpeg(cv2.imencode('.jpg', self._frames[0])[1].tobytes())
                continue
            message = next(self._messages)
            self._stamp(message, self.good)
            height, width = message.height, message.width
            self._infos.publish(CameraInfo(**{
                'header': message.header, 'width': width, 'height': height,
                'k': [width * 0.9, 0.0, width / 2, 0.0, width * 0.9, height / 2, 0.0, 0.0, 1.0],
                **self.info}))
            self._images.publish(message)
            if self.late:
                self._stamp(message, self.good, -300_000_000)
                self._images.publish(message)
            self.sent += 1

    def send_bad(self, **changes):
        """Send one image that nothing may come of."""
        message = make_image(self._frames[0], frame_id='bad', **changes)
        self._stamp(message, self.bad)
        self._images.publish(message)

    def send_jpeg(self, data, good=True):
        message = CompressedImage(format='bgr8; jpeg compressed bgr8')
        message.header.frame_id = 'soak'
        message.data = array('B', data)
        self._stamp(message, self.good if good else self.bad)
        self._jpegs.publish(message)
        self.sent += good

    def _stamp(self, message, kept, shift=0):
        stamp = time.time_ns() + self.shift + shift
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 1_000_000_000)
        kept[stamp] = time.monotonic()
        while len(kept) > MEMORY:
            kept.popitem(last=False)
