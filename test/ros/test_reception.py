"""What a camera is listened to by, as remappings say, and which image a camera_info is of."""

from contextlib import contextmanager

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
from builtin_interfaces.msg import Time
from node_testing import free_domain, gradient_scene, make_image, node_in_this_process
from rclpy.context import Context
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter
from rclpy.serialization import serialize_message
from std_msgs.msg import Header
from test_rectification import LENS, make_info

from demt_perception.ros.camera_model import focal_lengths
from demt_perception.ros.frame_statistics import Statistics
from demt_perception.ros.received_image import receive_image
from demt_perception.ros.reception import Reception

SWAPPED = ('front/image:=/left/image', 'left/image:=/front/image')


@contextmanager
def listening(*rules, cameras=('front', 'left'), compressed=False):
    """Yield a node with rules, and the reception of each camera that it listens to."""
    context = Context()
    context.init(domain_id=free_domain())
    node = LifecycleNode('listening', context=context, use_global_arguments=False, cli_args=[
        '--ros-args', *(part for rule in rules for part in ('-r', rule))])
    try:
        yield node, [Reception(node, f'{camera}/' if camera else '', compressed, Statistics(),
                               lambda *arguments: None, lambda *arguments: None)
                     for camera in cameras]
    finally:
        node.destroy_node()
        context.try_shutdown()


def topics(*rules, **more):
    """Return (images, camera_info) of each camera that a node with rules listens to."""
    with listening(*rules, **more) as (node, _):
        names = [subscription.topic_name for subscription in node.subscriptions]
        return list(zip(names[::2], names[1::2], strict=True))


def test_cameras_that_are_swapped_are_swapped_with_their_camera_info():
    assert topics(*SWAPPED) == [('/left/image', '/left/camera_info'),
                                ('/front/image', '/front/camera_info')]


@pytest.mark.parametrize('more', [
    (), ('front/image/compressed:=/left/image/compressed',
         'left/image/compressed:=/front/image/compressed')])
def test_compressed_ones_too_also_where_both_names_are_remapped(more):
    """As camera.launch.py does."""
    assert topics(*SWAPPED, *more, compressed=True) == [
        ('/left/image/compressed', '/left/camera_info'),
        ('/front/image/compressed', '/front/camera_info')]


def test_of_compressed_images_that_alone_are_remapped_the_camera_info_is_beside():
    assert topics('image/compressed:=/cam/raw/compressed', cameras=[''], compressed=True) == [
        ('/cam/raw/compressed', '/cam/camera_info')]


def test_a_camera_info_that_is_remapped_is_not_sought_beside_the_images():
    assert topics('image:=/cam/image_rect', 'camera_info:=/calib/info', cameras=['']) == [
        ('/cam/image_rect', '/calib/info')]
    assert topics('left/image:=/l/raw', 'left/camera_info:=/calib/left') == [
        ('/front/image', '/front/camera_info'), ('/l/raw', '/calib/left')]
    assert topics('camera_info:=camera_info', 'image:=/cam/raw', cameras=['']) == [
        ('/cam/raw', '/cam/camera_info')]


def test_camera_infos_may_be_swapped_with_the_images():
    assert topics(*SWAPPED, 'front/camera_info:=/left/camera_info',
                  'left/camera_info:=/front/camera_info') == [
        ('/left/image', '/left/camera_info'), ('/front/image', '/front/camera_info')]


@pytest.mark.parametrize(('topic', 'k', 'd'), [
    ('/cam/image_rect', (1020, 1080), [0.0] * 5),
    ('/cam/image_rect/compressed', (1020, 1080), [0.0] * 5),
    ('/cam/image_raw', (1155.9, 1150.6), LENS)])
def test_a_camera_info_is_taken_for_the_image_that_the_topic_names(topic, k, d):
    """Of a rectified one P holds, of a raw one K and the lens."""
    rule = f'image:={topic.removesuffix("/compressed")}'
    with listening(rule, cameras=[''], compressed='compressed' in topic) as (_, [reception]):
        reception._on_camera_info(make_info())
        info = reception.camera_info(Header(), 1280, 720)
    assert (info.k[0], info.k[4], list(info.d)) == (*k, d)
    assert focal_lengths(info) == k


def stamped(seconds, frame_id='', **changes):
    info = make_info(**changes)
    info.header = Header(stamp=Time(sec=seconds), frame_id=frame_id)
    return info


def test_an_image_has_the_camera_info_of_its_stamp_and_else_the_newest():
    with listening('image:=/cam/image_raw', cameras=['']) as (_, [reception]):
        for second in range(1, 31):   # a lens that zooms
            reception._on_camera_info(
                stamped(second, k=[1000.0 + second, 0, 640, 0, 1000, 360, 0, 0, 1]))
        seen = {second: reception.camera_info(stamped(second).header, 1280, 720).k[0]
                for second in (5, 21, 25, 30, 31)}
    assert seen == {5: 1030, 21: 1021, 25: 1025, 30: 1030, 31: 1030}
    assert len(reception._by_stamp) == 10


def test_a_camera_info_of_another_frame_is_said_once_and_counts(monkeypatch):
    said = []
    with listening('image:=/cam/image_raw', cameras=['']) as (node, [reception]):
        reception._on_camera_info(stamped(1, 'rear'))
        monkeypatch.setattr(node, 'get_logger', lambda: type('Log', (), {'warning': said.append}))
        for frame_id in ('', 'rear', 'front', 'front'):
            assert reception.camera_info(Header(frame_id=frame_id), 1280, 720) is not None
    assert len(said) == 1 and "'rear'" in said[0] and "'front'" in said[0]


def test_a_camera_info_is_taken_anew_for_what_the_images_are_said_to_be(monkeypatch):
    """It may come only once, and who listens anew has it of the reception before."""
    said = []
    with listening('front/image:=/cam/image_raw', cameras=['front']) as (node, [before]):
        monkeypatch.setattr(node, 'get_logger', lambda: type('Log', (), {
            'info': said.append, 'warning': said.append}))

        def anew(rectified, before):
            reception = Reception(node, 'front/', False, Statistics(), lambda *arguments: None,
                                  lambda *arguments: None, rectified, before)
            return reception, reception.camera_info(Header(), 1280, 720).k[0]

        before._on_camera_info(make_info())
        before._on_camera_info(make_info())
        assert len(said) == 2, 'once: what it is taken for, and what that means'
        assert said[0].startswith('/cam/image_raw is taken as not rectified, by its name')
        assert 'neither the name of the topic nor front.rectified says' in said[1]
        said.clear()
        rectified, k = anew('true', before)
        assert k == 1020
        rectified._on_camera_info(make_info())
        assert len(said) == 1 and 'rectified, as the parameter front.rectified says' in said[0]
        said.clear()
        again, k = anew('true', rectified)
        again._on_camera_info(make_info())
        assert (k, said) == (1020, [])
        assert anew('auto', again)[1] == 1155.9


def test_what_images_are_said_to_be_changes_at_once(tiny_model):
    with node_in_this_process(tiny_model) as node:
        node.on_configure(None)
        node.on_activate(None)
        camera, = node._perception.cameras
        camera.reception._on_camera_info(make_info())
        for value, k in ((True, 1020), ('auto', 1155.9)):
            result, = node.set_parameters([Parameter('rectified', value=value)])
            assert result.successful
            assert camera.reception.camera_info(Header(), 1280, 720).k[0] == k
        result, = node.set_parameters([Parameter('rectified', value='maybe')])
        assert 'want one of auto, true, false' in result.reason


def test_of_images_that_wait_only_the_head_is_read_and_what_is_wrong_is_counted():
    submitted, drops, statistics = [], [], Statistics()
    good = serialize_message(make_image(gradient_scene(96, 160), stamp=Time(sec=7, nanosec=1)))
    bad = serialize_message(make_image(gradient_scene(96, 160), encoding='foo8'))
    with listening(cameras=[]) as (node, _):
        reception = Reception(node, '', False, statistics, lambda *frame: submitted.append(frame),
                              lambda reason, text: drops.append(reason))
        for data in (good, good[:50], bad):
            reception._on_image(data)
    (message, stamp), = submitted
    assert (stamp, reception.newest) == (7_000_000_001, 7_000_000_001)
    assert message.data.obj is good, 'nothing is copied'
    assert drops == ['malformed', 'unknown_encoding']
    assert statistics.snapshot().received == 3


def test_pixels_that_are_worked_on_can_be_written(tiny_model):
    """As those of rclpy's messages can."""
    scene = gradient_scene(96, 160)
    with node_in_this_process(tiny_model) as node:
        node.on_configure(None)
        camera, = node._perception.cameras
        card = node._perception._predictors.whole.card
        picture = camera.look(receive_image(serialize_message(make_image(scene))), card)
        picture.bgr[:] += 1
        assert (picture.bgr == scene + 1).all()
