import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
from node_testing import best_effort, free_domain
import rclpy
from rclpy.context import Context
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from demt_perception.ros.frame_statistics import INFOS, LOST, Snapshot
from demt_perception.ros.input_watch import InputWatch
from demt_perception.ros.silence import IMAGE


@pytest.fixture
def judge():
    """Return a function of frames received and events that gives the text of the loss."""
    watch = InputWatch(None, 'image', '/image', IMAGE, QoSProfile(depth=1))
    return lambda received, new=None, **events: watch.loss(
        Snapshot(received=received, new=new or {}, events=events))


def test_a_few_lost_images_are_nothing_to_speak_of(judge):
    assert judge(100, {LOST: 1}) == ''
    assert '20 of 120 images' in judge(200, {LOST: 20})
    assert '30 of 30 images' in judge(200, {LOST: 30})


def test_fewer_images_than_camera_infos(judge):
    """Where the middleware does not tell what it lost."""
    texts = [judge(n * 10, **{INFOS: n * 30}) for n in range(4)]
    assert texts[0] == ''
    assert '90 camera_info came, but only 30 images' in texts[3]


def test_as_many_images_as_camera_infos(judge):
    assert {judge(n * 29, **{INFOS: n * 30}) for n in range(9)} == {''}
    assert {judge(300 + n * 29) for n in range(9)} == {''}, 'a camera without camera_info'


def test_losses_of_before_do_not_explain_a_silence():
    context = Context()
    rclpy.init(context=context, domain_id=free_domain())
    node = rclpy.create_node('watching', context=context)
    try:
        seen = node.create_publisher(Image, '/watched/image', best_effort())
        watch = InputWatch(node, 'left/image', '/watched/image', IMAGE, best_effort())
        watch.loss(Snapshot(received=100, events={LOST: 8}))
        assert 'nothing arrives: /watching does not send' in watch.silence(
            Snapshot(received=100, events={LOST: 8}))
        assert 'but 20 images were lost' in watch.silence(
            Snapshot(received=100, events={LOST: 28}))
        node.destroy_publisher(seen)
        node.create_publisher(Image, '/other/image', best_effort())
        assert '-r left/image:=/other/image' in watch.silence(Snapshot())
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)
