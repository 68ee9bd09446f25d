"""What a camera is listened to by, as the remappings of its node say."""

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
from node_testing import free_domain
from rclpy.context import Context
from rclpy.lifecycle import LifecycleNode

from demt_perception.ros.frame_statistics import Statistics
from demt_perception.ros.reception import Reception

SWAPPED = ('front/image:=/left/image', 'left/image:=/front/image')


def topics(*rules, cameras=('front', 'left'), compressed=False):
    """Return (images, camera_info) of each camera that a node with rules listens to."""
    context = Context()
    context.init(domain_id=free_domain())
    node = LifecycleNode('listening', context=context, use_global_arguments=False, cli_args=[
        '--ros-args', *(part for rule in rules for part in ('-r', rule))])
    try:
        for camera in cameras:
            Reception(node, f'{camera}/' if camera else '', compressed, Statistics(),
                      lambda *arguments: None, lambda *arguments: None)
        names = [subscription.topic_name for subscription in node.subscriptions]
        return list(zip(names[::2], names[1::2], strict=True))
    finally:
        node.destroy_node()
        context.try_shutdown()


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
