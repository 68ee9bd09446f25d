"""Pictures without any label: video files, or folders of pictures, and the camera they are from.

::

    CLIP.mp4, CLIP2.mp4, ...   or folders CLIP/*.jpg|png; each is one clip
    video.yaml                 every: 5            # take every 5th frame; default 1
                               validation: 0.1     # the last tenth of each clip is split `val`
                               camera:             # optional; all clips are from this one
                                 size: [height, width]
                                 matrix: [fx, fy, cx, cy]
                                 distortion: [k1, k2, p1, p2, k3]

A root may also be one video file; its video.yaml then lies beside it. Pictures are undistorted
where the camera says how (OpenCV's model), and keep its fx and fy. Reading frames out of order is
slow: ``demt data pack`` first to train on them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from demt_perception.inference.video_file import check_frame, open_video, VideoError
from demt_perception.training.datasets.files import Entry, FileDataset, Listing, Problem
from demt_perception.training.datasets.reading import DatasetError, read_rgb, read_yaml
from demt_perception.training.datasets.reading import SUFFIXES as PICTURES

SUFFIXES = ('.mp4', '.avi', '.mkv', '.mov')
DESCRIPTION = 'video.yaml'
KEYS = ('every', 'validation', 'camera')
SKIP = 60
"""Frames that are decoded and dropped rather than sought: seeking starts at a key frame."""
_INHERITED: list[Any] = []
"""Open files of a process that forked this one; to close them would wait for its threads."""


class Video(FileDataset):
    """Frames of clips; see the module for the layout.

    Args:
        root: a folder of clips, or one video file.
        split: ``train``, ``val``; '' for both.
    """

    def __init__(self, root: str | Path, split: str = ''):
        super().__init__(scan(Path(root), split))


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with OpenCV's distortion."""

    size: tuple[int, int]
    matrix: tuple[float, ...]
    distortion: tuple[float, ...] = ()

    def straight(self, image: np.ndarray) -> np.ndarray:
        """Return the picture without distortion, of the same fx, fy and size.

        Raises:
            DatasetError: it has not the camera's size.
        """
        if image.shape[:2] != self.size:
            raise DatasetError(
                f'a picture is {image.shape[0]}x{image.shape[1]}, the camera of {DESCRIPTION} '
                f'{self.size[0]}x{self.size[1]}: keep clips of another camera in another folder')
        if not self.distortion:
            return image
        return cv2.remap(image, *_maps(self), cv2.INTER_LINEAR)


def matches(root: Path) -> bool:
    """Tell whether a folder, or the folder of a video file, has the layout's description."""
    return (_home(root) / DESCRIPTION).is_file()


def splits(root: Path) -> list[str]:
    """Return the names of the splits."""
    return ['train', 'val']


def scan(root: Path, split: str) -> Listing:
    """Return the frames of a split: the first part of every clip is ``train``.

    Raises:
        DatasetError: the description is wrong, or two clips have one name.
    """
    listing = Listing(root, [], {}, ())
    every, share, camera = _describe(_home(root))
    reader = _Reader(camera)
    listing.read = reader
    listing.focal = (camera.matrix[0], camera.matrix[1]) if camera else None
    for clip in _clips(root):
        frames = list(_frames(clip, every, listing))
        cut = round(len(frames) * (1 - share))
        listing.entries += {'train': frames[:cut], 'val': frames[cut:], '': frames}[split]
    if not listing.entries:
        listing.problems.append(Problem(root, f'no frame: want {", ".join(SUFFIXES)} files, or '
                                        'folders of pictures'))
    return listing


def _home(root: Path) -> Path:
    return root.parent if root.suffix.lower() in SUFFIXES else root


def _clips(root: Path) -> list[Path]:
    if root.is_file():
        return [root]
    clips = sorted(path for path in root.iterdir()
                   if path.is_dir() or path.suffix.lower() in SUFFIXES)
    names: dict[str, Path] = {}
    for clip in clips:
        other = names.setdefault(clip.name if clip.is_dir() else clip.stem, clip)
        if other is not clip:
            raise DatasetError(f'{clip} and {other.name} give their frames the same names: rename '
                             'one')
    return clips


def _frames(clip: Path, every: int, listing: Listing) -> Iterator[Entry]:
    if clip.is_dir():
        pictures = sorted(p for p in clip.iterdir() if p.suffix.lower() in PICTURES)
        for path in pictures[::every]:
            yield Entry(f'{clip.name}_{path.stem}', path, {})
        return
    try:
        count = _count(clip)
    except VideoError as error:
        listing.problems.append(Problem(clip, str(error)))
        return
    if count < 1:
        listing.problems.append(Problem(clip, 'OpenCV cannot read a frame of it'))
    for number in range(0, count, every):
        # The frame is named like a file in the clip: what reads it takes the path apart again.
        yield Entry(f'{clip.stem}_{number:06d}', clip / f'{number:06d}', {})


def _count(clip: Path) -> int:
    """Return how many frames of a film can be read; one that was cut off says more.

    Raises:
        VideoError: see ``open_video``.
    """
    capture = open_video(clip)
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    if count > 0:
        capture.set(cv2.CAP_PROP_POS_FRAMES, count - 1)
        if not capture.grab():
            capture, count = open_video(clip), 0
            while capture.grab():
                count += 1
    capture.release()
    return count


class _Reader:
    """Reads one frame; in order, without seeking."""

    def __init__(self, camera: Camera | None):
        self.camera = camera
        self.clip, self.next = Path(), 0
        self.capture: Any = None
        self.process = os.getpid()

    def __call__(self, path: Path) -> np.ndarray:
        try:
            image = self._frame(path) if path.parent.suffix.lower() in SUFFIXES else read_rgb(path)
        except VideoError as error:
            raise DatasetError(f'{path.parent}: {error}') from error
        return self.camera.straight(image) if self.camera else image

    def _frame(self, path: Path) -> np.ndarray:
        number = int(path.name)
        # A forked worker would share the place in the open file with its parent.
        if path.parent != self.clip or self.process != os.getpid():
            if self.process != os.getpid():
                _INHERITED.append(self.capture)
            self.capture = open_video(path.parent)
            self.clip, self.next, self.process = path.parent, 0, os.getpid()
        if not self.next <= number <= self.next + SKIP:
            self.capture.set(cv2.CAP_PROP_POS_FRAMES, number)
            self.next = number
        good = all(self.capture.grab() for _ in range(number - self.next + 1))
        image: Any = self.capture.retrieve()[1] if good else None
        if image is None:
            self.clip = Path()
            raise OSError(f'{path.parent}: frame {number} cannot be decoded')
        self.next = number + 1
        check_frame(image)
        return np.ascontiguousarray(image[..., ::-1])


@cache
def _maps(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    fx, fy, cx, cy = camera.matrix
    matrix = np.array(((fx, 0, cx), (0, fy, cy), (0, 0, 1)))
    height, width = camera.size
    return cv2.initUndistortRectifyMap(matrix, np.array(camera.distortion), None, matrix,
                                       (width, height), cv2.CV_16SC2)


def _describe(home: Path) -> tuple[int, float, Camera | None]:
    """Return every, validation and the camera; raises DatasetError."""
    path = home / DESCRIPTION
    every, share, camera = 1, 0.1, None
    if not path.is_file():
        return every, share, camera
    content = read_yaml(path)
    if strange := sorted(set(content) - set(KEYS)):
        raise DatasetError(f'{path}: unknown keys {strange}, want {", ".join(KEYS)}')
    every, share = content.get('every', every), content.get('validation', share)
    if type(every) is not int or every < 1:
        raise DatasetError(f'{path}: every: {every!r}, want a whole number of 1 or more')
    if not (isinstance(share, int | float) and 0 <= share <= 1):
        raise DatasetError(f'{path}: validation: {share!r}, want a share of 0 to 1')
    if 'camera' in content:
        camera = _checked(_camera, content['camera'], path)
    return every, float(share), camera


def _camera(value: Any) -> Camera:
    height, width = value['size']
    camera = Camera((int(height), int(width)), tuple(map(float, value['matrix'])),
                    tuple(map(float, value.get('distortion', ()))))
    if len(camera.matrix) != 4 or not all(0 < f < float('inf') for f in camera.matrix[:2]):
        raise DatasetError('matrix wants [fx, fy, cx, cy] with positive focal lengths')
    if len(camera.distortion) not in (0, 4, 5, 8):
        raise DatasetError('distortion wants 4, 5 or 8 numbers of OpenCV')
    return camera


def _checked(take: Callable[[Any], Camera], value: Any, path: Path) -> Camera:
    try:
        return take(value)
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f'{path}: camera: {error!r}, want size: [height, width], matrix: '
                         '[fx, fy, cx, cy], distortion: [k1, k2, p1, p2, k3]') from error
