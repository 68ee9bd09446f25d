"""The camera source as its users run it: a process of its own, over real DDS."""

from collections.abc import Iterator
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

from bag_writing import write_metadata, write_sqlite3
import cv2
import numpy as np
import pytest
from shared_data import SHARED

pytest.importorskip('rclpy', reason='rclpy is not installed')

from node_testing import free_domain
from rclpy.serialization import serialize_message
from running_source import cameras, pixels, ROOT, stamp
from sensor_msgs.msg import CameraInfo, Image

BAGS = SHARED / 'data' / 'bags'
CALIBRATION = ROOT / 'config' / 'udacity_camera.yaml'


@pytest.fixture
def camera() -> Iterator[Any]:
    """A function that starts a camera source with parameters."""
    with cameras() as start:
        yield start


@pytest.fixture
def images(tmp_path) -> tuple[Path, list[np.ndarray]]:
    """A folder of images whose order by number is not the one by letter."""
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (36, 64, 3), np.uint8) for _ in range(11)]
    for index, picture in enumerate(pictures):
        cv2.imwrite(str(tmp_path / f'frame_{index}.png'), picture)
    (tmp_path / 'notes.txt').write_text('not an image')
    return tmp_path, pictures


def test_images_come_exactly_in_order_and_again(camera, images):
    folder, pictures = images
    messages = camera(source=folder, rate=25.0, frame_id='front').collect('image', 30)
    indices = []
    for message in messages:
        assert (message.height, message.width, message.step, message.encoding) == (
            36, 64, 192, 'bgr8')
        assert message.header.frame_id == 'front'
        indices += [index for index, picture in enumerate(pictures)
                    if np.array_equal(picture.reshape(36, 192), pixels(message))]
    assert len(indices) == 30
    # A busy machine may lose a frame; none may come twice or out of order.
    steps = np.diff(indices) % 11
    assert steps.min() >= 1
    assert (steps == 1).mean() > 0.7


def test_stamps_are_of_now_and_the_rate_is_kept(camera, images):
    source = camera(source=images[0], rate=40.0)
    messages = source.collect('image', 60)
    stamps = [stamp(message) for message in messages]
    ages = np.subtract(source.arrivals, stamps) / 1e6
    assert ages.min() >= 0
    assert np.median(ages) < 100  # milliseconds
    steps = np.diff(stamps) / 1e6
    assert steps.min() > 0
    assert np.median(steps) == pytest.approx(25, abs=2)


def test_a_video_plays_at_its_own_rate(camera, tmp_path):
    path = tmp_path / 'clip.mp4'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'mp4v'), 20, (64, 48))
    for level in range(0, 200, 10):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    messages = camera(source=path).collect('image', 30)
    steps = np.diff([stamp(message) for message in messages]) / 1e6
    assert np.median(steps) == pytest.approx(50, abs=5)
    levels = [pixels(message).mean() for message in messages]
    assert np.median(np.diff(levels)) == pytest.approx(10, abs=3)


def test_a_compressed_camera(camera, images):
    folder, _ = images
    for path in folder.glob('*.png'):
        cv2.imwrite(str(path), np.full((36, 64, 3), (10, 120, 200), np.uint8))
    source = camera(source=folder, rate=30.0, image_transport='compressed')
    message = source.collect('compressed', 3)[-1]
    picture = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (36, 64, 3)
    assert np.abs(picture.astype(int) - (10, 120, 200)).max() < 5
    assert not source.received['image']


def test_the_calibration_is_scaled_to_the_images(camera, images):
    source = camera(source=images[0], rate=30.0, camera_info_file=CALIBRATION)
    image = source.collect('image', 10)[-1]
    info = source.collect('info', 10)[-1]
    assert (info.width, info.height) == (64, 36)
    assert info.k[0] == pytest.approx(1155.948 / 20)
    assert info.k[5] == pytest.approx((388.554 + 0.5) / 20 - 0.5)
    assert info.p[5] == pytest.approx(1150.578 / 20)
    assert list(info.d) == [-0.2485, -0.0195, -0.0006, 0.0002, 0.0086]
    images = {stamp(message) for message in source.received['image']}
    assert len(images & {stamp(message) for message in source.received['info']}) > 5
    assert info.header.frame_id == image.header.frame_id == 'camera_optical_frame'


def test_a_calibration_of_another_shape_ends_the_source(camera, tmp_path):
    cv2.imwrite(str(tmp_path / 'square.png'), np.zeros((50, 50, 3), np.uint8))
    code, output = camera(source=tmp_path, camera_info_file=CALIBRATION).wait()
    assert code == 1
    assert 'the images are 50x50, camera_info_file is for 1280x720' in output


@pytest.fixture
def bag(tmp_path) -> tuple[Path, np.ndarray]:
    """A bag with padded rgb8 images of 1970, and their camera_info."""
    data = np.random.default_rng(2).integers(0, 256, (8, 20), np.uint8)
    rows = []
    image_rows = []
    for index in range(6):
        image = Image(height=8, width=6, step=20, encoding='rgb8', data=data.tobytes())
        info = CameraInfo(height=8, width=6, k=[5.0, 0, 3, 0, 6, 4, 0, 0, 1])
        for message in (image, info):
            message.header.stamp.sec = index
            message.header.frame_id = 'old_camera'
        image_rows.append(('/cam/image_raw', index * 50_000_000, serialize_message(image)))
        rows.append(('/cam/camera_info', index * 50_000_000, serialize_message(info)))
    database = tmp_path / 'bag.db3'
    write_sqlite3(database, image_rows + rows, {
        '/cam/image_raw': 'sensor_msgs/msg/Image',
        '/cam/camera_info': 'sensor_msgs/msg/CameraInfo'})
    write_metadata(tmp_path, ['bag.db3'], {'/cam/image_raw': 6, '/cam/camera_info': 6})
    return tmp_path, data


def test_a_bag_is_published_as_recorded_but_stamped_now(camera, bag):
    folder, data = bag
    source = camera(source=folder)
    messages = source.collect('image', 12)
    info = source.collect('info', 10)[-1]
    for message in messages:
        assert (message.encoding, message.step) == ('rgb8', 20)
        assert message.header.frame_id == 'old_camera'
        assert np.array_equal(pixels(message), data)
        assert abs(stamp(message) / 1e9 - time.time()) < 30
    assert info.k[4] == 6.0
    assert info.header.frame_id == 'old_camera'
    steps = np.diff([stamp(message) for message in messages]) / 1e6
    assert np.median(steps) == pytest.approx(50, abs=5)


def test_a_bag_can_be_sent_compressed(camera, bag):
    folder, data = bag
    message = camera(source=folder, image_transport='compressed').collect('compressed', 2)[-1]
    rgb = data[:, :18].reshape(8, 6, 3)   # without the padding
    jpeg = cv2.imencode('.jpg', cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1]
    np.testing.assert_array_equal(message.data, jpeg)


def test_a_cut_off_bag_plays_what_there_is_and_says_so(camera, bag):
    folder, _ = bag
    write_metadata(folder, ['bag.db3'], {'/cam/image_raw': 9, '/cam/camera_info': 6})
    code, output = camera(source=folder, loop=False).wait()
    assert code == 0
    assert '6 messages of /cam/image_raw could be read, metadata.yaml counts 9' in output


@pytest.mark.skipif(not BAGS.is_dir(), reason=f'{BAGS} is not there')
def test_a_compressed_bag_becomes_a_raw_camera(camera):
    source = camera(source=BAGS / 'udacity_highway_mcap')
    message = source.collect('image', 3)[-1]
    assert (message.height, message.width, message.encoding) == (720, 1280, 'bgr8')
    info = source.collect('info', 3)[-1]
    assert info.k[0] == pytest.approx(1155.9, abs=0.1)
    assert info.header.frame_id == message.header.frame_id


def test_without_loop_the_source_ends(camera, images):
    source = camera(source=images[0], rate=100.0, loop=False)
    code, output = source.wait()
    assert code == 0
    assert 'the source has ended' in output


@pytest.mark.parametrize(('source', 'text'), [
    ('/nowhere/clip.mp4', 'does not exist, want a video file'),
    ('{folder}', 'holds neither images'),
    ('{folder}/text.mp4', 'cannot be opened as a video'),
    ('99', 'camera 99 cannot be opened'),
    ('/dev/video99', 'camera 99 cannot be opened'),
])
def test_a_bad_source_ends_with_the_reason(camera, tmp_path, source, text):
    (tmp_path / 'text.mp4').write_text('not a video')
    code, output = camera(source=source.format(folder=tmp_path)).wait()
    assert code == 1
    assert text in output
    assert 'Traceback' not in output


def test_an_interrupt_ends_it_quietly(camera, images):
    source = camera(source=images[0])
    source.collect('image', 1)
    source.process.send_signal(signal.SIGINT)
    code, output = source.wait()
    assert code == 0
    assert 'Traceback' not in output


@pytest.mark.parametrize(('when', 'number'), [
    ('bare', signal.SIGINT), ('imported', signal.SIGINT), ('init', signal.SIGINT),
    ('node', signal.SIGINT), ('spin', signal.SIGINT), ('spin', signal.SIGTERM)])
def test_a_signal_ends_it_at_every_moment(images, tmp_path, when, number):
    """The process signals itself: in the import, around rclpy.init, and before it waits."""
    code = f"""
import os, signal, sys
from demt_perception.ros import camera_source
when = {when!r}
def at(moment):
    if moment == when:
        os.kill(os.getpid(), {int(number)})
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == 'demt_perception.ros.camera_node':
            at('bare')
sys.meta_path.insert(0, Finder())
note = camera_source.note_signals
def noting():
    reasons = note()
    if when != 'bare':
        import rclpy, rclpy.executors
        from demt_perception.ros import camera_node
        at('imported')
        def around(owner, name, moment):
            inner = getattr(owner, name)
            def outer(*args, **more):
                result = inner(*args, **more)
                at(moment)
                return result
            setattr(owner, name, outer)
        around(rclpy, 'init', 'init')
        around(camera_node.CameraSource, '__init__', 'node')
        around(rclpy.executors.SingleThreadedExecutor, 'add_node', 'spin')
    return reasons
camera_source.note_signals = noting
sys.exit(camera_source.main())
"""
    done = subprocess.run(
        [sys.executable, '-c', code, '--ros-args', '-p', f'source:={images[0]}'], cwd=ROOT,
        env=os.environ | {'ROS_DOMAIN_ID': str(free_domain())}, capture_output=True, text=True,
        timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_while_a_source_takes_long_to_open(number):
    """In a call that Python sees no signal in."""
    code = """
import ctypes, sys
from demt_perception.ros import camera_node, camera_source
def opening(*arguments):
    print('opening', flush=True)
    ctypes.CDLL(None).sleep(10)
    ctypes.CDLL(None).sleep(50)   # a signal ends the one before
camera_node.open_source = opening
sys.exit(camera_source.main())
"""
    with subprocess.Popen(
            [sys.executable, '-c', code], cwd=ROOT, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
            env=os.environ | {'ROS_DOMAIN_ID': str(free_domain())}) as source:
        try:
            assert source.stdout.readline() == 'opening\n'
            source.send_signal(number)
            _, said = source.communicate(timeout=15)
        finally:
            source.kill()
    assert source.returncode == 0, said
    assert 'Traceback' not in said


def test_generated_scenes_need_no_camera(camera):
    message = camera(source='generated').collect('image', 2)[-1]
    assert (message.width, message.height) == (480, 270)
    assert pixels(message).std() > 10
