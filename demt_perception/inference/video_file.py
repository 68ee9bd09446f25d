"""Video files, opened by FFmpeg and only where their frames are of a sane size.

Without a backend named OpenCV tries one after the other. The last takes ``drive_0001.mp4`` for the
first of numbered pictures, and decodes files in formats, and of sizes, that nothing has checked.
"""

from pathlib import Path

import cv2
import numpy as np

from demt_perception.inference.preprocess import check_size, ImageError

NO_FFMPEG = ("this OpenCV reads no videos, as it was built without FFmpeg: pip install "
             "opencv-python-headless, or install your ROS distribution's python3-opencv")


class VideoError(ValueError):
    """It is no video that can be used; the text says why, and does not name the file."""


def open_video(path: str | Path) -> cv2.VideoCapture:
    """Return an opened video; whoever reads of it calls ``check_frame``.

    Raises:
        VideoError: it cannot be opened, or its frames are empty or absurdly large.
    """
    # With its folder: FFmpeg takes `concat:a.mp4` for a protocol, and opens what that names.
    video = cv2.VideoCapture(str(Path(path).absolute()), cv2.CAP_FFMPEG)
    if not video.isOpened():
        if cv2.CAP_FFMPEG not in cv2.videoio_registry.getBackends():
            raise VideoError(NO_FFMPEG)
        raise VideoError('it cannot be opened as a video by this OpenCV; '
                         '`ffmpeg -i FILE -c:v libx264 new.mp4` makes one that can')
    try:
        _check(*(int(video.get(side)) for side in (
            cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH)))
    except VideoError:
        video.release()
        raise
    return video


def check_frame(image: np.ndarray) -> None:
    """Refuse a frame that is empty or absurdly large: the size may change within a video.

    Raises:
        VideoError: it is.
    """
    _check(*image.shape[:2])


def _check(height: int, width: int) -> None:
    try:
        check_size(height, width, 'a frame')
    except ImageError as error:
        raise VideoError(str(error)) from error
