"""What a camera is listened to by, as remappings say, and which image a camera_info is of."""

from contextlib import contextmanager

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
from node_testing import free_domain
from rclpy.context import Context
from rclpy.lifecycle import LifecycleNode
from test_rectification import LENS, make_info

from demt_perception.ros.camera_model import focal_lengths
from demt_perception.ros.frame_statistics import Statistics
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
        info = reception.camera_info(1280, 720)
    assert (info.k[0], info.k[4], list(info.d)) == (*k, d)
    assert focal_lengths(info) == k
