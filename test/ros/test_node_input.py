"""Bad input of every kind, over real DDS: counted, said, nothing published, node alive."""

import math

from builtin_interfaces.msg import Time
import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
from bad_images import RAW
from node_testing import best_effort, make_image, reliable
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from demt_perception.inference.input_size import fit_input_size
from demt_perception.model_card import load_card

GREEN = np.zeros((96, 160, 3), np.uint8)
GREEN[..., 1] = 200
NO_LIMIT = {'max_age': 0.0}


def flat_camera(**changes):
    info = CameraInfo(width=160, height=96, k=[120.0, 0, 80, 0, 120, 48, 0, 0, 1])
    for name, value in changes.items():
        setattr(info, name, value)
    return info


def good(tester, **changes):
    return make_image(GREEN, stamp=tester.now(), **changes)


@pytest.fixture(scope='module')
def camera(tester, shared_node):
    with tester.publishing('/cam/image') as publisher:
        yield publisher


@pytest.fixture
def semantic(tester, camera):
    """Return what the node publishes as class ids; it has published a good frame already."""
    with tester.listening('/shared/semantic/image', Image) as got:
        tester.pump(camera, lambda: good(tester), lambda: got, 'a good frame')
        yield got


@pytest.mark.parametrize(('reason', 'changes', 'says'),   # one of each reason
                         {row[0]: row for row in reversed(RAW)}.values())
def test_bad_images_are_counted_and_said_and_not_published(
        tester, shared_node, camera, semantic, reason, changes, says):
    with tester.diagnosing('shared') as report:
        before = int(report().values.get(f'dropped_{reason}', 0))
        semantic.clear()
        bad = good(tester, frame_id='bad', **changes)
        camera.publish(bad)
        found = report(lambda r: r.level == 1)
        assert reason in found.text
        assert says in found.text
        assert int(found.values[f'dropped_{reason}']) == before + 1
    tester.pump(camera, lambda: good(tester), lambda: semantic, 'a good frame afterwards')
    assert all(message.header.frame_id == 'lens' for message in semantic)
    log = [line for line in shared_node.log().splitlines() if f'({reason})' in line]
    assert len(log) == 1, 'each cause is logged once'


def test_a_change_of_resolution_is_followed_and_counted(tester, camera, semantic):
    with tester.diagnosing('shared') as report:
        before = int(report().values.get('resolution_changed', 0))
        large = make_image(np.zeros((120, 200, 3), np.uint8), stamp=tester.now())

        def make():
            large.header.stamp = tester.now()
            return large

        tester.pump(camera, make, lambda: semantic[-1].width == 200)
        assert semantic[-1].height == 120
        tester.pump(camera, lambda: good(tester), lambda: semantic[-1].width == 160)
        report(lambda r: int(r.values['resolution_changed']) >= before + 2)


def test_the_input_takes_the_shape_of_the_first_images(tester, start_node, tiny_model):
    node = start_node(model=tiny_model, match_aspect='true')
    card = load_card(tiny_model)
    wide = np.full((64, 224, 3), 100, np.uint8)
    height, width = fit_input_size(card, wide.shape[:2])
    assert (height, width) != card.input_size
    with tester.listening('/demt_perception/semantic/image', Image) as got, \
            tester.publishing('/image') as publisher:
        def shoot(pixels):
            got.clear()
            tester.pump(publisher, lambda: make_image(pixels, stamp=tester.now()),
                        lambda: got and got[-1].width == pixels.shape[1], 'an output')

        shoot(wide)
        wanted = f'in the shape of the images: model tiny_model at {width}x{height}'
        tester.spin_until(lambda: wanted in node.log(), 'the new shape')
        # It goes on; another shape is taken as it comes, and loads nothing again.
        shoot(wide)
        shoot(np.full((90, 90, 3), 100, np.uint8))
        tester.spin_for(0.6)
    assert node.log().count('in the shape of the images') == 1
    assert node.stop() == 0


def test_a_frame_out_of_order_is_dropped_and_a_restart_is_not(tester, camera, semantic):
    with tester.diagnosing('shared') as report:
        before = int(report().values.get('dropped_stamp_backwards', 0))
        now = tester.now()
        late = Time(sec=now.sec - 1, nanosec=min(now.nanosec + 300_000_000, 999_999_999))
        newest = good(tester)
        semantic.clear()
        tester.pump(camera, lambda: newest, lambda: semantic, 'the newest')
        semantic.clear()
        camera.publish(make_image(GREEN, stamp=late, frame_id='late'))
        report(lambda r: int(
            r.values.get('dropped_stamp_backwards', 0)) > before)
        tester.pump(camera, lambda: good(tester), lambda: semantic)
        assert all(message.header.frame_id == 'lens' for message in semantic)


@pytest.mark.parametrize(('changes', 'says'), [
    ({'k': [math.nan] * 9}, 'NaN'),
    ({'width': 640, 'height': 480}, '640x480'),
    ({'k': [0.0] * 9}, 'not calibrated'),
])
def test_a_bad_camera_info_is_not_passed_on(tester, camera, semantic, changes, says):
    with tester.publishing('/cam/camera_info', CameraInfo) as infos, \
            tester.diagnosing('shared') as report, \
            tester.listening('/shared/depth/camera_info', CameraInfo) as passed, \
            tester.listening('/shared/depth/image', Image) as depth:
        def make(info):
            infos.publish(info)
            return good(tester)

        tester.pump(camera, lambda: make(flat_camera(**changes)), lambda: report(
        ).level == 1 and says in report.last.text)
        passed.clear()
        depth.clear()
        tester.pump(camera, lambda: make(flat_camera(**changes)), lambda: len(depth) > 2,
                    'depth by the assumed field of view')
        assert not passed
        tester.pump(camera, lambda: make(flat_camera()), lambda: passed, 'good camera_info')
        assert passed[-1].k[0] == 120


def test_old_frames_are_dropped_and_the_cure_is_said(tester, camera, semantic):
    with tester.diagnosing('shared') as report:
        # A jump back by far is taken for a recording that starts anew, but it is too old.
        old = make_image(GREEN, stamp=Time(sec=1000), frame_id='old')
        semantic.clear()
        tester.pump(camera, lambda: old, lambda: report().values.get('dropped_too_old'))
        tester.pump(camera, lambda: old, lambda: 'use_sim_time' in report().text)
        tester.pump(camera, lambda: good(tester), lambda: semantic)
        assert all(message.header.frame_id == 'lens' for message in semantic)
        assert int(report().values['stamp_restarts']) >= 1


def test_the_age_is_negative_where_the_stamp_is_ahead_and_unknown_without_one(
        tester, camera, semantic):
    with tester.diagnosing('shared') as report:
        def age(image):
            semantic.clear()
            tester.pump(camera, lambda: image, lambda: semantic, 'a frame')
            return report().values['last_frame_age_s']

        ahead = tester.now()
        ahead.sec += 3600
        assert -3600 < float(age(make_image(GREEN, stamp=ahead))) < -3000
        assert age(make_image(GREEN, stamp=Time())) == 'unknown'
        assert 0 <= float(age(good(tester))) < 60


def test_compressed_images_remapped_and_scaled(tester, start_node, tiny_model):
    """With its sibling camera_info, at half size, and without a limit of age."""
    node = start_node('-r', 'image:=/front/image_raw', '-r', '__node:=front', model=tiny_model,
                      image_transport='compressed', output_scale=0.5, **NO_LIMIT)
    data = cv2.imencode('.jpg', GREEN)[1].tobytes()
    stamp = Time(sec=77, nanosec=5)

    def make(data=data):
        infos.publish(flat_camera())
        message = CompressedImage(format='bgr8; jpeg compressed bgr8', data=data)
        message.header.stamp, message.header.frame_id = stamp, 'front'
        return message

    with tester.publishing('/front/image_raw/compressed', CompressedImage, reliable()) as images, \
            tester.publishing('/front/camera_info', CameraInfo) as infos, \
            tester.listening('/front/semantic/image', Image) as semantic, \
            tester.listening('/front/depth/camera_info', CameraInfo) as passed, \
            tester.diagnosing('front') as report:
        tester.pump(images, make, lambda: semantic and passed, 'outputs')
        assert (semantic[0].width, semantic[0].height) == (80, 48)
        assert set(semantic[0].data) == {1}, 'all is green'
        assert (semantic[0].header.stamp, semantic[0].header.frame_id) == (stamp, 'front')
        assert (passed[0].width, passed[0].k[0], passed[0].k[2]) == (80, 60, (80 + 0.5) / 2 - 0.5)
        for reason, bad in (('decode_failed', b'rubbish'), ('short_data', data[:-40]),
                            ('zero_size', b'')):
            tester.pump(images, lambda bad=bad: make(bad),
                        lambda reason=reason: report().values.get(f'dropped_{reason}'), reason)
        semantic.clear()
        tester.pump(images, make, lambda: semantic, 'good frames afterwards')
    assert 'Traceback' not in node.log()


def test_the_node_says_why_nothing_comes(tester, start_node, tiny_model):
    start_node('-r', 'image:=/dark/image', '-r', '__node:=dark',
               '-p', 'qos_overrides./dark/image.subscription.reliability:=reliable',
               model=tiny_model, no_frame_timeout=0.5)
    with tester.diagnosing('dark') as report:
        report(lambda r: r.level == 1 and 'nobody publishes it' in r.text)
        wrong = tester.node.create_publisher(CompressedImage, '/dark/image', best_effort())
        report(lambda r: 'the type differs' in r.text)
        tester.node.destroy_publisher(wrong)
        mismatch = tester.node.create_publisher(Image, '/dark/image', best_effort())
        found = report(
            lambda r: 'quality of service' in r.text)
        assert found.level == 1
        assert '/tester (sensor_msgs/msg/Image, best_effort volatile)' in found.text
        assert 'reliable volatile' in found.text
        assert 'qos_overrides./dark/image.subscription.reliability' in found.text
        tester.node.destroy_publisher(mismatch)
        silent = tester.node.create_publisher(Image, '/dark/image', reliable())
        report(lambda r: 'nothing arrives' in r.text and 'LARGE_DATA' in r.text)
        # And as soon as images come, all is well.
        tester.pump(silent, lambda: good(tester), lambda: report().level == 0)
        tester.node.destroy_publisher(silent)
