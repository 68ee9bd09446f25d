"""Live sources: cameras at a device (V4L2 by OpenCV) and streams over the network (by FFmpeg).

A camera that goes away is waited for, with growing pauses. Only the newest frame counts: frames
are taken as fast as they come, and ``ReadAhead`` keeps one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
import logging
from pathlib import Path
import re
import sys
import threading
import time

import cv2

from demt_perception.ros.sources import (
    device_index,
    Frame,
    Source,
    SourceError,
    STREAM,
    VIDEO_RATE,
)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
# Without a frame for so long a stream is dead; OpenCV alone waits for 30 s.
SILENCE = 5.0
# An OpenCV that has GStreamer, such as apt's, would take that first: it neither sets a pixel
# format nor passes the driver's stamps on.
BACKEND = cv2.CAP_V4L2 if sys.platform == 'linux' else cv2.CAP_ANY
# How old the frame that is read may be: a slow reader finds the driver's queue of four full.
OLDEST = 5.0

# After the port nothing but a path: of a password with a `/`, which should be written %2F, the
# first half stands there.
_SHOWN = re.compile(r'(\w+://)(?:[^/?#]*@)?([^/?#@:]*|\[[^/?#@\]]*\])(:\d+)?(/[^?#;&=]*)?'
                    r'(?=[?#;&=]|$)')

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Format:
    """What is asked of a device; 0 and '' leave it as it comes."""

    fourcc: str = ''
    width: int = 0
    height: int = 0
    rate: float = 0.0


def read_format(text: str) -> Format:
    """Read ``MJPG 1920x1080@30``, of which each part may be missing.

    Raises:
        SourceError: it is not written like that.
    """
    found = re.fullmatch(r'(?:([A-Za-z0-9]{4})(?: |$))?(?:(\d{1,5})x(\d{1,5}))?(?:@(\d{1,4}))?',
                         text.strip())
    if not found:
        raise SourceError(f'device_format is {text!r}, want pixel format, size and rate such as '
                          "'MJPG 1920x1080@30' (`v4l2-ctl --list-formats-ext` lists them)")
    fourcc, width, height, rate = found.groups()
    return Format(fourcc or '', int(width or 0), int(height or 0), float(rate or 0))


def open_live(text: str, stop: threading.Event, device_format: str = '') -> Source:
    """Return the source of a device (see ``device_index``) or a stream (address).

    A device that is not there at first ends the frames with a SourceError, as an index is easily
    mistaken; a stream is waited for, as cameras start when they start.

    Raises:
        SourceError: the format is not valid, or asked of a stream.
    """
    if STREAM.match(text):
        if device_format:
            raise SourceError(f'device_format is {device_format!r}, but a stream has its own '
                              'format: set it in the camera')
        name = f'stream {without_password(text)}'
        return _source(name, lambda: _connect(text), stop, lambda video: None)
    wanted = read_format(device_format)
    name = f'camera {text.removeprefix("/dev/video")}'
    missing = SourceError(
        f'{name} cannot be opened; present: '
        f'{sorted(str(p) for p in Path("/dev").glob("video*")) or "none"}. Is it in use, or is '
        'this user missing from the group video?')
    return _source(name, lambda: _open_device(text, name, wanted), stop, _device_time, missing)


def without_password(address: str) -> str:
    """Return the part of an address that can be shown: scheme, host, port and path.

    Of the path, what comes before a ``=``, as some cameras take ``/user=me&password=secret``.
    """
    found = _SHOWN.match(address)
    return ''.join(part or '' for part in found.groups()) if found else '***'


def _source(name: str, connect: Callable[[], cv2.VideoCapture], stop: threading.Event,
            taken: Callable[[cv2.VideoCapture], float | None],
            missing: SourceError | None = None) -> Source:
    def frames() -> Iterator[Frame]:
        pause, seen = FIRST_PAUSE, False
        while not stop.is_set():
            refusal = ''
            try:
                video = connect()
            except SourceError as error:   # in another socket a camera may have fewer formats
                if not seen:
                    raise
                video, refusal = cv2.VideoCapture(), str(error)
            opened = video.isOpened()
            try:
                while not stop.is_set():
                    good, image = video.read()
                    if not good:
                        break
                    pause, seen = FIRST_PAUSE, True
                    yield Frame(image, 0.0, taken=taken(video) or time.monotonic())
            finally:
                video.release()
            if stop.is_set():
                return
            if missing and not seen:
                raise missing
            logger.warning('%s; trying again in %g s', refusal or (
                f'{name} {"delivers no frames" if opened else "cannot be opened"}'), pause)
            stop.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    return Source(name, True, VIDEO_RATE, frames)


def _connect(address: str) -> cv2.VideoCapture:
    # OpenCV asks RTSP over TCP where OPENCV_FFMPEG_CAPTURE_OPTIONS does not say otherwise.
    limit = int(SILENCE * 1000)
    return cv2.VideoCapture(address, cv2.CAP_FFMPEG, [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit])


def _open_device(text: str, name: str, wanted: Format) -> cv2.VideoCapture:
    """Open a device in a format.

    Raises:
        SourceError: it has no such format.
    """
    index = device_index(text)
    if index is None:   # a link, which udev removes with its camera
        return cv2.VideoCapture()
    video = cv2.VideoCapture(index, BACKEND)
    if not video.isOpened():
        return video
    # The pixel format first: which sizes and rates there are depends on it.
    if wanted.fourcc:
        video.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*wanted.fourcc))
    if wanted.width:
        video.set(cv2.CAP_PROP_FRAME_WIDTH, wanted.width)
        video.set(cv2.CAP_PROP_FRAME_HEIGHT, wanted.height)
    if wanted.rate:
        video.set(cv2.CAP_PROP_FPS, wanted.rate)
    # The driver keeps its four buffers: with one, it loses each frame that begins while the last
    # one is decoded.
    difference = _difference(video, wanted)
    if difference:
        video.release()
        raise SourceError(f'{name} gives {difference}: `v4l2-ctl --list-formats-ext` lists what '
                          'it has')
    return video


def _difference(video: cv2.VideoCapture, wanted: Format) -> str:
    """Return what a device gives instead of what it was asked for, or ''.

    Drivers take the nearest that they have, and say that all went well.
    """
    size = (int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    if wanted.width and size != (wanted.width, wanted.height):
        return f'{size[0]}x{size[1]}, device_format wants {wanted.width}x{wanted.height}'
    if wanted.fourcc and BACKEND == cv2.CAP_V4L2:   # others say the format after conversion
        code = int(video.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, 'little').decode('latin-1')
        if code != wanted.fourcc:
            return f'pixel format {code!r}, device_format wants {wanted.fourcc!r}'
    return ''


def _device_time(video: cv2.VideoCapture) -> float | None:
    """Return when the driver says that the last frame was taken, in monotonic seconds, or None.

    V4L2 stamps frames with the monotonic clock, unless the driver was told otherwise; what is
    not from the last seconds is from another clock.
    """
    taken = float(video.get(cv2.CAP_PROP_POS_MSEC)) / 1000
    return taken if 0 <= time.monotonic() - taken < OLDEST else None
