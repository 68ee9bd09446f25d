"""Where camera frames come from: video files, folders of images, devices and bags."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
import re
from typing import Any

import cv2

from demt_perception.bags.bag import is_storage_file
from demt_perception.bags.metadata import METADATA_FILE

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp', '.ppm')
# Where a source does not say how fast it is.
VIDEO_RATE = 30.0
FOLDER_RATE = 10.0


class SourceError(Exception):
    """A source cannot be opened or read; the text says what was seen and the remedy."""


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        image: BGR uint8 HxWx3 array, or a recorded sensor_msgs Image or CompressedImage.
        offset: seconds since the first frame of the pass; ignored for live sources.
        camera_info: sensor_msgs CameraInfo of the frame, or None.
        frame_id: recorded TF frame, or ''.
    """

    image: Any
    offset: float
    camera_info: Any = None
    frame_id: str = ''


@dataclass(frozen=True)
class Source:
    """A source of frames.

    Attributes:
        description: one line for people.
        live: frames come when they come; otherwise each pass yields the same frames.
        rate: nominal frames a second.
        frames: starts a pass from the first frame.
    """

    description: str
    live: bool
    rate: float
    frames: Callable[[], Iterator[Frame]]


def open_source(text: str) -> Source:
    """Open what the text names: a file, a folder, a bag, a device index or ``/dev/video*``.

    Raises:
        SourceError: there is nothing of the kind, or it cannot be read.
    """
    if re.fullmatch(r'\d+|/dev/video\d+', text):
        return _open_device(text)
    path = Path(text).expanduser()
    if not text or not path.exists():
        raise SourceError(f'source {text!r} does not exist, want a video file, a folder of '
                          'images, a device index such as 0, a rosbag2 folder or a .mcap file')
    if is_storage_file(path) or (path / METADATA_FILE).is_file():
        return _open_bag(path)
    if path.is_file():
        return _open_video(path)
    images = sorted((p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES),
                    key=_natural)
    if images:
        return _open_images(path, images)
    if any(is_storage_file(p) for p in path.iterdir()):
        return _open_bag(path)
    raise SourceError(f'folder {path} holds neither images {IMAGE_SUFFIXES} nor a rosbag2 bag')


def _open_bag(path: Path) -> Source:
    from demt_perception.ros.bag_source import open_bag_source
    return open_bag_source(path)


def _open_video(path: Path) -> Source:
    def capture() -> cv2.VideoCapture:
        video = cv2.VideoCapture(str(path))
        if not video.isOpened():
            raise SourceError(f'{path} cannot be opened as a video by this OpenCV; '
                              '`ffmpeg -i FILE -c:v libx264 new.mp4` makes one that can')
        return video

    def frames() -> Iterator[Frame]:
        video = capture()
        try:
            index = 0
            while True:
                good, image = video.read()
                if not good:
                    break
                yield Frame(image, index / rate)
                index += 1
        finally:
            video.release()
        if index == 0:
            raise SourceError(f'{path} holds no readable frame')

    video = capture()
    rate = video.get(cv2.CAP_PROP_FPS)
    size = f'{video.get(cv2.CAP_PROP_FRAME_WIDTH):.0f}x{video.get(cv2.CAP_PROP_FRAME_HEIGHT):.0f}'
    video.release()
    # Some containers say 0, NaN or the 90 kHz of their time base.
    if not 0.1 <= rate <= 1000:
        rate = VIDEO_RATE
    return Source(f'video {path}, {size} at {rate:.4g} Hz', False, rate, frames)


def _open_images(folder: Path, paths: list[Path]) -> Source:
    def frames() -> Iterator[Frame]:
        count = 0
        for path in paths:
            image = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if image is not None:
                yield Frame(image, count / FOLDER_RATE)
                count += 1
        if count == 0:
            raise SourceError(f'{folder}: none of its {len(paths)} images can be decoded')

    return Source(f'{len(paths)} images of {folder} at {FOLDER_RATE:g} Hz', False, FOLDER_RATE,
                  frames)


def _open_device(text: str) -> Source:
    index = int(text.removeprefix('/dev/video'))

    def frames() -> Iterator[Frame]:
        video = cv2.VideoCapture(index)
        try:
            if not video.isOpened():
                present = sorted(str(p) for p in Path('/dev').glob('video*'))
                raise SourceError(
                    f'camera {index} cannot be opened; present: {present or "none"}. Is it in '
                    'use, or is this user missing from the group video?')
            # One old frame less in the driver.
            video.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            while True:
                good, image = video.read()
                if not good:
                    raise SourceError(f'camera {index} stopped delivering frames: unplugged?')
                yield Frame(image, 0.0)
        finally:
            video.release()

    return Source(f'camera {index}', True, VIDEO_RATE, frames)


def _natural(path: Path) -> list[Any]:
    """Sort key by which ``frame_10`` follows ``frame_9``."""
    return [(0, int(part), '') if part.isdigit() else (1, 0, part)
            for part in re.split(r'(\d+)', path.name)]
