"""A video as a source of frames: opened by FFmpeg alone, and each frame of a sane size."""

import cv2
import numpy as np
import pytest

from demt_perception.inference.video_file import open_video
from demt_perception.ros import sources
from demt_perception.ros.sources import open_source, SourceError

SIZE = (48, 64)


def write(path, *sizes):
    """Write a video of JPEGs one after another."""
    path.write_bytes(b''.join(
        cv2.imencode('.jpg', np.full((*size, 3), 9, np.uint8))[1].tobytes() for size in sizes))
    return str(path)


def test_every_pass_has_the_frames_of_the_first(tmp_path):
    source = open_source(write(tmp_path / 'clip.mjpeg', *[SIZE] * 4))
    assert '64x48 at 25 Hz' in source.description
    for _ in range(2):
        assert [(frame.image.shape, frame.offset) for frame in source.frames()] == [
            ((*SIZE, 3), index / 25) for index in range(4)]


def test_numbered_pictures_are_no_video(tmp_path):
    """OpenCV would read them after one another, in any format, whatever they are called."""
    for number in (1, 2):
        path = tmp_path / f'drive_000{number}.mp4'
        path.write_bytes(cv2.imencode('.pam', np.zeros((*SIZE, 3), np.uint8))[1].tobytes())
    with pytest.raises(SourceError, match=r'drive_0001\.mp4: it cannot be opened as a video'):
        open_source(str(tmp_path / 'drive_0001.mp4'))


def test_frames_that_are_absurdly_large_are_refused(tmp_path):
    with pytest.raises(SourceError, match=r'clip\.mjpeg: a frame is 16x20000'):
        open_source(write(tmp_path / 'clip.mjpeg', (16, 20000)))


def test_frames_that_become_absurdly_large_end_the_pass(tmp_path, monkeypatch):
    """This OpenCV scales all to the size of the first; others may not."""
    class Growing:
        def __init__(self, path):
            self.video, self.left = open_video(path), 2

        def read(self):
            self.left -= 1
            return self.video.read() if self.left >= 0 else (True, np.empty((16, 20000, 3)))

        def __getattr__(self, name):
            return getattr(self.video, name)

    monkeypatch.setattr(sources, 'open_video', Growing)
    frames = open_source(write(tmp_path / 'clip.mjpeg', *[SIZE] * 2)).frames()
    assert [next(frames).image.shape[:2] for _ in range(2)] == [SIZE] * 2
    with pytest.raises(SourceError, match=r'clip\.mjpeg, frame 2: a frame is 16x20000'):
        next(frames)
