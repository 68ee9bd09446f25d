"""A node that is changed while it works, and a camera for it."""

from contextlib import contextmanager

from node_testing import gradient_scene, make_image, reliable
from sensor_msgs.msg import CameraInfo

NAME = '/changed'
WIDTH, HEIGHT = 320, 192
FOCAL = 250.0


def scene():
    return gradient_scene(HEIGHT, WIDTH)


@contextmanager
def running(ros, tester, model):
    """Start the node; it has to end without an error."""
    node = ros.start('-r', '__node:=changed', '-r', 'image:=/moving/image',
                     '-r', 'image/compressed:=/moving/image/compressed',
                     # What is missing then was lost in the node.
                     '-p', 'qos_overrides./moving/image.subscription.reliability:=reliable',
                     model=model, max_age=0)
    tester.spin_until(lambda: 'loaded in' in node.log(), 'the node')
    tester.spin_until(lambda: tester.state(NAME) == 'active', 'the node')
    yield node
    assert node.stop() == 0
    assert 'Traceback' not in node.log()


@contextmanager
def publishing(tester):
    """Yield publishers of image and camera_info."""
    with tester.publishing('/moving/image', qos=reliable(1)) as images, \
            tester.publishing('/moving/camera_info', CameraInfo) as infos:
        yield images, infos


def shooting(tester, camera):
    """Return a function that publishes image and camera_info until a condition holds."""
    images, infos = camera

    def make():
        infos.publish(CameraInfo(width=WIDTH, height=HEIGHT, k=[
            FOCAL, 0, 170.0, 0, FOCAL, 90.0, 0, 0, 1]))
        return make_image(scene(), stamp=tester.now())

    return lambda until, what='': tester.pump(images, make, until, what)


def settled(shoot, messages, until=lambda message: True, what=''):
    """Return a message that meets a condition, after which three more have come."""
    def found():
        return [index for index, message in enumerate(messages) if until(message)]

    messages.clear()
    shoot(lambda: (ok := found()) and len(messages) > ok[0] + 3, what)
    assert all(until(message) for message in messages[found()[0]:]), what
    return messages[-1]
