"""A video is opened by FFmpeg alone, and only where its frames are of a sane size."""

import cv2
import numpy as np
import pytest

from demt_perception.inference.video_file import check_frame, open_video, VideoError

SIZE = (48, 64)


@pytest.fixture
def clip(tmp_path):
    return write(tmp_path / 'clip.avi')


def write(path, size=SIZE):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 10, size[::-1])
    writer.write(np.zeros((*size, 3), np.uint8))
    writer.release()
    return path


def test_a_video_is_opened(clip):
    good, image = open_video(clip).read()
    assert good and image.shape == (*SIZE, 3)
    check_frame(image)


@pytest.mark.parametrize('size', [(16, 20000), (20000, 16)])
def test_what_is_absurdly_large_is_refused(tmp_path, size):
    with pytest.raises(VideoError, match=f'a frame is {size[0]}x{size[1]}, want sides of 2'):
        open_video(write(tmp_path / 'wide.avi', size))
    with pytest.raises(VideoError, match='a frame is'):
        check_frame(np.empty((*size, 3), np.uint8))


def test_an_empty_frame_is_refused():
    with pytest.raises(VideoError, match='a frame is 0x0'):
        check_frame(np.empty((0, 0, 3), np.uint8))


def test_numbered_pictures_are_no_video(tmp_path):
    """OpenCV would read them after one another, in any format, whatever they are called."""
    for number in (1, 2):
        path = tmp_path / f'drive_000{number}.mp4'
        path.write_bytes(cv2.imencode('.pam', np.zeros((*SIZE, 3), np.uint8))[1].tobytes())
    assert cv2.VideoCapture(str(path)).read()[0]
    with pytest.raises(VideoError, match=r'ffmpeg -i FILE'):
        open_video(tmp_path / 'drive_0001.mp4')


def test_the_name_of_a_file_is_no_protocol(clip, monkeypatch):
    monkeypatch.chdir(clip.parent)
    assert cv2.VideoCapture(f'concat:{clip.name}', cv2.CAP_FFMPEG).isOpened()
    with pytest.raises(VideoError):
        open_video(f'concat:{clip.name}')
    clip.rename(f'concat:{clip.name}')
    open_video(f'concat:{clip.name}')


def test_an_opencv_without_ffmpeg_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2.videoio_registry, 'getBackends', lambda: (cv2.CAP_IMAGES,))
    with pytest.raises(VideoError, match=r'without FFmpeg: pip install opencv-python-headless'):
        open_video(tmp_path / 'missing.mp4')
