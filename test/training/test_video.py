"""Unlabelled video: which frames, in which order, and straight as the camera's model says."""

import multiprocessing

import cv2
import numpy as np
import pytest
import yaml

from demt_perception.inference import preprocess
from demt_perception.training.datasets import detect_layout, Video
from demt_perception.training.datasets.check import check_dataset
from demt_perception.training.datasets.layouts import LAYOUTS

SIZE = (48, 64)
MATRIX = (60.0, 58.0, 30.0, 26.0)
DISTORTION = (-0.25, 0.05, 0.001, -0.002, 0.0)


def describe(root, **content):
    (root / 'video.yaml').write_text(yaml.safe_dump(content))


def write_clip(path, count, size=SIZE):
    """Write a film whose frame n is a plain grey of 8 * n + 8."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 25, size[::-1])
    for number in range(count):
        writer.write(np.full((*size, 3), 8 * number + 8, np.uint8))
    writer.release()


@pytest.fixture
def root(tmp_path):
    for name, count in (('a.mp4', 10), ('b.mp4', 20)):
        write_clip(tmp_path / name, count)
    (tmp_path / 'c').mkdir()
    for number in range(5):
        cv2.imwrite(str(tmp_path / 'c' / f'{number}.png'), np.full((*SIZE, 3), number, np.uint8))
    describe(tmp_path, every=2, validation=0.2)
    return tmp_path


def test_every_clip_is_cut_by_time(root):
    assert detect_layout(root) == 'video'
    train, held_out = Video(root, 'train'), Video(root, 'val')
    assert train.names == [
        *(f'a_{n:06d}' for n in range(0, 8, 2)), *(f'b_{n:06d}' for n in range(0, 16, 2)),
        'c_0', 'c_2']
    assert held_out.names == ['a_000008', 'b_000016', 'b_000018', 'c_4']
    assert Video(root).names[:5] == [*train.names[:4], 'a_000008']
    assert train[0].semseg is None and train[0].focal is None


@pytest.mark.parametrize(('suffix', 'codec'), [('.avi', 'MJPG'), ('.mkv', 'mp4v')])
def test_a_film_that_was_cut_off_has_the_frames_that_can_be_read(tmp_path, suffix, codec):
    """Its header still says all of them."""
    path = tmp_path / f'a{suffix}'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 25, SIZE[::-1])
    noise = np.random.default_rng(0)
    for _ in range(40):
        writer.write(noise.integers(0, 255, (*SIZE, 3), np.uint8))
    writer.release()
    path.write_bytes(path.read_bytes()[:path.stat().st_size * 7 // 10])
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 40
    describe(tmp_path)
    frames = Video(tmp_path)
    assert 15 < len(frames) < 35
    assert len([frames[index] for index in range(len(frames))]) == len(frames)


def test_frames_come_whatever_the_order(root):
    frames = Video(root)
    rng = np.random.default_rng(0)
    for index in [*rng.permutation(len(frames)), *range(len(frames))]:
        sample = frames[int(index)]
        clip, number = sample.name.split('_')
        wanted = int(number) if clip == 'c' else 8 * int(number) + 8
        assert abs(float(sample.image.mean()) - wanted) < 4, sample.name


def test_a_forked_worker_reads_what_its_parent_has_open(root):
    frames = Video(root)
    assert len(frames[1].image) == SIZE[0]
    worker = multiprocessing.get_context('fork').Process(target=lambda: frames[2])
    worker.start()
    worker.join(60)  # it never ended
    worker.kill()
    worker.join()
    assert worker.exitcode == 0
    assert abs(float(frames[3].image.mean()) - 56) < 4


def test_clips_of_one_name_are_refused(root):
    write_clip(root / 'c.avi', 3)
    with pytest.raises(ValueError, match='same names'):
        Video(root)


def test_one_file_is_a_dataset(root):
    assert detect_layout(root / 'a.mp4') == 'video'
    assert len(Video(root / 'a.mp4')) == 5


def test_pictures_are_straightened_as_opencv_does(tmp_path):
    (tmp_path / 'clip').mkdir()
    picture = np.random.default_rng(1).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / 'clip' / '0.png'), picture[..., ::-1])
    describe(tmp_path, camera={'size': list(SIZE), 'matrix': list(MATRIX),
                               'distortion': list(DISTORTION)})
    sample = Video(tmp_path)[0]
    fx, fy, cx, cy = MATRIX
    matrix = np.array(((fx, 0, cx), (0, fy, cy), (0, 0, 1)))
    wanted = cv2.undistort(picture, matrix, np.array(DISTORTION))
    assert np.abs(sample.image.astype(int) - wanted).max() <= 1 and sample.focal == (fx, fy)
    assert np.abs(sample.image.astype(int) - picture).mean() > 10


@pytest.mark.parametrize(('content', 'match'), [
    ({'evry': 2}, 'unknown keys'), ({'every': 0}, 'every: 0'),
    ({'validation': 2}, 'validation: 2'), ({'camera': {'size': [4, 4]}}, 'camera'),
    ({'camera': {'size': [4, 4], 'matrix': [0, 1, 1, 1]}}, 'positive focal')])
def test_a_wrong_description_says_what_is_wanted(root, content, match):
    describe(root, **content)
    with pytest.raises(ValueError, match=match):
        Video(root)


def test_what_is_wrong_is_named(root):
    write_clip(root / 'd.mp4', 3, (32, 32))
    (root / 'e.mp4').write_bytes(b'no film')
    describe(root, camera={'size': list(SIZE), 'matrix': list(MATRIX)})
    problems, summaries = check_dataset(root, 'video')
    assert [(p.path.name, p.reason[:17]) for p in problems] == [
        ('e.mp4', 'it cannot be open'), ('000000', 'a picture is 32x3'),
        ('000001', 'a picture is 32x3'), ('000002', 'a picture is 32x3')]
    assert summaries['train'].pictures == 9 + 18 + 4 + 3
    assert LAYOUTS['video'].splits(root) == ['train', 'val']


def test_a_film_with_absurdly_large_frames_is_refused(root):
    writer = cv2.VideoWriter(
        str(root / 'wide.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10, (20000, 16))
    writer.write(np.zeros((16, 20000, 3), np.uint8))
    writer.release()
    assert not any(name.startswith('wide') for name in Video(root).names)
    problems, _ = check_dataset(root, 'video')
    assert [(p.path.name, p.reason[:21]) for p in problems] == [
        ('wide.avi', 'a frame is 16x20000, ')]


@pytest.mark.parametrize('opened', [False, True])
def test_so_is_one_that_is_exchanged_or_grows_and_the_others_are_read_on(
        root, monkeypatch, opened):
    frames = Video(root)
    before = frames[1].image if opened else frames[8].image   # of the same clip, of another one
    monkeypatch.setattr(preprocess, 'LONGEST_SIDE', 60)
    with pytest.raises(ValueError, match=r'a\.mp4: a frame is 48x64, want sides of 2 to 60'):
        frames[2]
    monkeypatch.undo()
    assert np.array_equal((frames[1] if opened else frames[8]).image, before)
    assert abs(float(frames[2].image.mean()) - 40) < 4
