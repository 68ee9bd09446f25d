"""Faults on the way from the camera: what is no message, no picture, or a lying camera_info."""

import math

from bad_images import compressed
from campaign import fault, OK, WARN
import cv2
from node_testing import best_effort
import numpy as np
from pictures import camera_info, picture
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage

GOOD = cv2.imencode('.png', np.full((96, 160, 3), (90, 40, 200), np.uint8))[1].tobytes()
BAD = compressed(GOOD)
INFOS = [({'k': [math.nan] * 9}, 'NaN'), ({'k': [0.0] * 9}, 'not calibrated'),
         ({'width': 640, 'height': 480}, '640x480'), ({'k': [-100.0] * 9}, 'focal')]


WIRE = {
    'cut short': lambda data: data[:1000],
    'a header alone': lambda data: data[:4],
    'empty': lambda data: b'',
    'rubbish': lambda data: bytes(range(256)) * 10,
    'a string longer than the message': lambda data: data[:12] + b'\xff\xff\xff\x7f' + data[16:],
    'names that are no UTF-8': lambda data: data.replace(b'bgr8', b'\xff\xfe\xff8'),
}
"""What is made of the bytes of a good message."""


class PngCamera:
    """A publisher of pictures as PNG, which loses nothing."""

    def __init__(self, bench):
        self._publisher = bench.tester.node.create_publisher(
            CompressedImage, f'{bench.image_topic}/compressed', best_effort(1))
        self.destroy = lambda: bench.tester.node.destroy_publisher(self._publisher)

    def publish(self, image):
        """Publish an Image, or a CompressedImage as it is."""
        if not isinstance(image, CompressedImage):
            pixels = np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3)
            image = CompressedImage(header=image.header, format='png',
                                    data=cv2.imencode('.png', pixels)[1].tobytes())
        self._publisher.publish(image)


def transport(bench, value):
    """Have the node listen to another topic, while it works."""
    request = SetParameters.Request(
        parameters=[Parameter('image_transport', value=value).to_parameter_msg()])
    assert bench.tester.call(
        SetParameters, f'{bench.name}/set_parameters', request).results[0].successful


@fault('Malformed compressed images', f'{len(BAD)} kinds: empty, cut short, damaged, of another '
       'format, claiming to be 100,000 pixels wide')
def test_malformed_compressed_images(bench):
    bench.flow()
    raw, bench.camera = bench.camera, PngCamera(bench)
    try:
        transport(bench, 'compressed')
        bench.flow()
        for reason, data, says in BAD if bench.full else BAD[::3]:
            counter = f'dropped_{reason}'
            before = bench.count(counter)

            def told(report, counter=counter, before=before, says=says, reason=reason):
                return (report.level == WARN and reason in report.text and says in report.text
                        and int(report.values[counter]) > before)

            def send(data=data):
                header = picture(0, bench.stamp()).header
                bench.send_bad(CompressedImage(header=header, format='jpeg', data=data))

            with bench.every(0.05, send):
                bench.report(told, f'{reason} of {data[:20]}', feed=True)
            bench.recover()
    finally:
        bench.camera.destroy()
        bench.camera = raw
        transport(bench, 'raw')
    bench.flow()
    bench.report(lambda report: report.level == OK, 'all well', feed=True)
    bench.saw('WARN with what is wrong and what to check; counted under its reason; nothing '
              'published of it')


@fault('Damaged messages', f'{len(WIRE)} kinds of bytes that are no Image: {", ".join(WIRE)}')
def test_damaged_messages(bench):
    for damage in list(WIRE.values()) if bench.full else list(WIRE.values())[3:]:
        bench.flow()

        def send(damage=damage):
            bench.camera.publish(damage(bytes(serialize_message(picture(0, bench.stamp())))))

        with bench.every(0.05, send):
            bench.report(lambda report: report.level == WARN and (
                'malformed: ' in report.text or 'unknown_encoding' in report.text
                or 'nothing arrives' in report.text))   # of no bytes at all
        bench.recover()
    bench.report(lambda report: report.level == OK, 'all well', feed=True)
    bench.saw('WARN with what is wrong; counted as malformed, or as an unknown encoding; of no '
              'bytes at all: no frame, though somebody publishes')


@fault('A camera_info that lies', 'NaN, zeros, negative focal lengths, the size of other images')
def test_a_camera_info_that_lies(bench):
    bench.flow()
    passed = []
    subscription = bench.tester.node.create_subscription(
        CameraInfo, f'{bench.name}/depth/camera_info', passed.append, best_effort())
    bench.stream(lambda: passed, 'a camera_info of the depth')
    for changes, says in INFOS:
        def lie(image, changes=changes):
            info = camera_info(image)
            for name, value in changes.items():
                setattr(info, name, value)
            return info

        bench.make_info = lie
        bench.report(lambda report, says=says: report.level == WARN and says in report.text,
                     f'a word about {changes}', feed=True)
        bench.flow()   # with the field of view of the card
        bench.make_info = camera_info
        bench.recover()
        bench.report(lambda report: report.level == OK, 'all well', feed=True)
    bench.tester.node.destroy_subscription(subscription)
    good = camera_info(picture(0, 0)).k
    assert all(list(info.k) == list(good) for info in passed)
    bench.saw('WARN with the value; depth by the field of view that the card assumes; the lie is '
              'not passed on')
