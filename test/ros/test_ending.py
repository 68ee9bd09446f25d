"""An executor that goes on after an error, on the real rclpy."""

from queue import SimpleQueue
import threading
from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from node_testing import free_domain
import rclpy
from rclpy.context import Context
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import Empty
from std_srvs.srv import Trigger

from demt_perception.ros.ending import let_go, spin_until


class Broken:
    """A type of messages that none can be made of, like one that there is no memory for."""

    def __getattribute__(self, name):
        raise MemoryError('no 24 MB')


@pytest.fixture
def node():
    context = Context()
    rclpy.init(context=context, domain_id=free_domain(),
               signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node('ending', context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


def spin(node, reasons, entity, attribute):
    """Spin with something that cannot be taken for once; return errors and why spinning ended."""
    right, errors = getattr(entity, attribute), []
    setattr(entity, attribute, Broken())

    def outlive(error):
        errors.append(error)
        setattr(entity, attribute, right)
        return True

    late = threading.Timer(30, reasons.put, ['nothing is taken any more'])
    late.start()
    reason, ended = spin_until(node, reasons, outlive)
    late.cancel()
    assert ended
    return errors, reason


def test_a_message_that_could_not_be_taken_does_not_make_the_node_deaf(node):
    reasons = SimpleQueue()
    publisher = node.create_publisher(Empty, 'topic', 1)
    subscription = node.create_subscription(Empty, 'topic', reasons.put, 1)
    node.create_timer(0.02, lambda: publisher.publish(Empty()))   # of the same group
    errors, reason = spin(node, reasons, subscription, 'msg_type')
    assert [type(error) for error in errors] == [MemoryError]
    assert isinstance(reason, Empty)


def test_nor_does_a_request(node):
    reasons = SimpleQueue()

    def answer(request, response):
        reasons.put(request)
        return response

    service = node.create_service(Trigger, 'service', answer)
    client = node.create_client(Trigger, 'service')
    node.create_timer(0.02, lambda: client.call_async(Trigger.Request()))
    errors, reason = spin(node, reasons, service, 'srv_type')
    assert [type(error) for error in errors] == [MemoryError]
    assert isinstance(reason, Trigger.Request)


def test_an_rclpy_that_is_not_known_is_not_relied_on(node):
    """Nobody would notice a subscription of it that hears no more."""
    assert let_go(node)
    later = SimpleNamespace(subscriptions=[SimpleNamespace(callback_group=None)])
    assert not let_go(later)
