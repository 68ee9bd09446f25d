"""Where camera frames come from: files, folders, bags; devices and streams are in ``live.py``."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
import os
from pathlib import Path
import re
import threading
from typing import Any

import cv2

from demt_perception.bags.bag import is_storage_file, natural_order
from demt_perception.bags.metadata import METADATA_FILE
from demt_perception.inference.picture_file import read_picture
from demt_perception.inference.video_file import check_frame, open_video, VideoError

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp', '.ppm')
# Where a source does not say how fast it is.
VIDEO_RATE = 30.0
FOLDER_RATE = 10.0
DEVICE = re.compile(r'(?:/dev/video)?(\d+)')
STREAM = re.compile(r'(rtsps?|rtmp|https?|udp|tcp|srt)://')
# A drive through scenes that this package has generated, for trying things without a camera.
GENERATED = 'generated'
CLIP = Path(__file__).resolve().parents[1] / 'synthetic' / 'assets' / 'street_clip.mp4'


class SourceError(Exception):
    """A source cannot be opened or read; the text says what was seen and the remedy."""


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        image: BGR uint8 HxWx3 array, or a recorded sensor_msgs Image or CompressedImage.
        offset: seconds since the first frame of the pass; ignored for live sources.
        taken: monotonic seconds when it was taken or came; None: when it is published.
        camera_info: sensor_msgs CameraInfo of the frame, or None.
        frame_id: recorded TF frame, or ''.
        topic: that it came on, or ''.
    """

    image: Any
    offset: float
    camera_info: Any = None
    frame_id: str = ''
    topic: str = ''
    taken: float | None = None


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


def open_source(text: str, stop: threading.Event | None = None, device_format: str = '') -> Source:
    """Open what the text names.

    Args:
        text: a video file, a folder of images, a bag, a device (see ``device_index``), the
            address of a stream such as ``rtsp://...``, or ``generated``.
        stop: ends the frames of a live source, also while it waits for its camera.
        device_format: see ``live.read_format``.

    Raises:
        SourceError: there is nothing of the kind, or it cannot be read.
    """
    try:
        return _open(text, stop, device_format)
    except OSError as error:   # a folder that may not be entered
        raise SourceError(f'source {text!r} cannot be read: {error}') from error


def _open(text: str, stop: threading.Event | None, device_format: str) -> Source:
    if STREAM.match(text) or device_index(text) is not None:
        from demt_perception.ros.live import open_live
        return open_live(text, stop or threading.Event(), device_format)
    if device_format:
        raise SourceError(f'device_format is {device_format!r}, but source {text!r} is no device: '
                          'leave it empty')
    if text == GENERATED:
        return replace(_open_video(CLIP), description=f'generated scenes, {CLIP.name}')
    path = Path(text).expanduser()
    if not text or not path.exists():
        raise SourceError(f'source {text!r} does not exist, want a video file, a folder of '
                          'images, a device index such as 0, a stream such as rtsp://HOST/PATH, '
                          'a rosbag2 folder, a .mcap file, or generated')
    if is_storage_file(path) or (path / METADATA_FILE).is_file():
        return _open_bag(path)
    if path.is_file():
        return _open_video(path)
    if not path.is_dir():
        raise SourceError(f'source {text!r} is neither file nor folder, nor a camera: V4L2 has '
                          'its cameras at /dev/video*; `v4l2-ctl --list-devices` lists them')
    if images := image_files(path):
        return _open_images(path, images)
    if any(is_storage_file(p) for p in path.iterdir()):
        return _open_bag(path)
    raise SourceError(f'folder {path} holds neither images {IMAGE_SUFFIXES} nor a rosbag2 bag')


def device_index(text: str) -> int | None:
    """Return the index of the camera that a text names, or None where it names none now.

    It is ``2``, ``/dev/video2``, or a link to that. Links by udev, such as those in
    ``/dev/v4l/by-id``, stay with a camera, while its index may be another each time it comes.
    """
    found = DEVICE.fullmatch(text)
    if not found and '\0' not in text:
        found = DEVICE.fullmatch(os.path.realpath(os.path.expanduser(text)))
    return int(found[1]) if found else None


def image_files(folder: Path) -> list[Path]:
    """Return the files of a folder that are named as pictures, in the order of their numbers."""
    return sorted((p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES),
                  key=natural_order)


def _open_bag(path: Path) -> Source:
    from demt_perception.ros.bag_source import open_bag_source
    return open_bag_source(path)


def _open_video(path: Path) -> Source:
    def capture() -> cv2.VideoCapture:
        try:
            return open_video(path)
        except VideoError as error:
            raise SourceError(f'{path}: {error}') from error

    def frames() -> Iterator[Frame]:
        video = capture()
        try:
            index = 0
            while True:
                good, image = video.read()
                if not good:
                    break
                check_frame(image)
                yield Frame(image, index / rate)
                index += 1
        except VideoError as error:
            raise SourceError(f'{path}, frame {index}: {error}') from error
        finally:
            video.release()
        if index == 0:
            raise SourceError(f'{path} holds no readable frame')

    video = capture()
    rate = video.get(cv2.CAP_PROP_FPS)
    width, height = (video.get(side) for side in (
        cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    video.release()
    # Some containers say 0, NaN or the 90 kHz of their time base.
    if not 0.1 <= rate <= 1000:
        rate = VIDEO_RATE
    return Source(f'video {path}, {width:.0f}x{height:.0f} at {rate:.4g} Hz', False, rate, frames)


def _open_images(folder: Path, paths: list[Path]) -> Source:
    def frames() -> Iterator[Frame]:
        count = 0
        for path in paths:
            try:
                image = read_picture(path)
            except (OSError, ValueError):   # one bad file of many does not end the pass
                continue
            yield Frame(image, count / FOLDER_RATE)
            count += 1
        if count == 0:
            raise SourceError(f'{folder}: none of its {len(paths)} images can be decoded')

    return Source(f'{len(paths)} images of {folder} at {FOLDER_RATE:g} Hz', False, FOLDER_RATE,
                  frames)
