"""Rates of tasks and engines of the tasks that are subscribed to, over real DDS."""

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
from diagnostic_msgs.msg import DiagnosticArray
from node_testing import make_image, reliable
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

BLUE = np.full((48, 64, 3), (255, 0, 0), np.uint8)


def stamp(message):
    return message.header.stamp.sec, message.header.stamp.nanosec


def test_a_task_is_published_at_its_rate_and_the_rest_runs_without_it(
        tester, start_node, tiny_model):
    node = start_node('-r', '__node:=rated', '-r', 'image:=/rated/camera', '-p',
                      'boundary.every:=3', model=tiny_model)

    def every(value):
        request = SetParameters.Request(parameters=[
            Parameter('boundary.every', value=value).to_parameter_msg()])
        return tester.call(SetParameters, '/rated/set_parameters', request).results[0]

    with tester.publishing('/rated/camera') as images, \
            tester.listening('/rated/depth/image', Image, reliable(50)) as depth, \
            tester.listening('/rated/boundary/image', Image, reliable(50)) as boundary:
        def pump(until, what):
            tester.pump(images, lambda: make_image(BLUE, stamp=tester.now()), until, what)

        # Turns are counted while subscriptions come, too: from the first boundary on.
        pump(lambda: boundary and depth, 'the first')
        pump(lambda: len(boundary) >= 5, 'boundaries')
        stamps = [stamp(message) for message in depth]
        turns = [stamps.index(stamp(message)) for message in boundary if stamp(message) in stamps]
        assert set(np.diff(turns)) == {3}

        assert not every(0).successful
        assert every(1).successful
        depth.clear(), boundary.clear()
        pump(lambda: len(depth) >= 6, 'all')
        assert len(boundary) >= 4
        # 5 s of asking for these two: they get an engine without the others.
        pump(lambda: 'tasks depth, edge have an engine of their own' in node.log(), 'the engine')
        before = bytes(depth[-1].data), bytes(boundary[-1].data)
        depth.clear(), boundary.clear()
        pump(lambda: len(depth) > 2 and len(boundary) > 2, 'frames of the new engine')
        assert (bytes(depth[-1].data), bytes(boundary[-1].data)) == before
    assert node.stop() == 0


def test_a_frame_in_which_nothing_is_due_is_not_worked_on(tester, start_node, tiny_model):
    start_node('-r', '__node:=seldom', '-r', 'image:=/seldom/camera', '-p', 'boundary.every:=4',
               model=tiny_model)
    with tester.publishing('/seldom/camera') as images, \
            tester.listening('/seldom/boundary/image', Image) as boundary, \
            tester.listening('/diagnostics', DiagnosticArray) as reports, \
            tester.diagnosing('seldom') as report:
        def pump(until, what):
            tester.pump(images, lambda: make_image(BLUE, stamp=tester.now()), until, what)

        def texts():
            return [status.message for message in reports for status in message.status
                    if status.name == 'seldom: inference']

        pump(lambda: len(boundary) >= 4, 'boundaries')
        values = report(lambda report: int(report.values['processed']) >= 4).values
        assert int(values['idle']) >= 2 * int(values['processed'])
        # Somebody subscribes: so it is not at rest.
        pump(lambda: len(reports) > 1, 'the reports of before')
        reports.clear()
        pump(lambda: len(texts()) >= 10, 'reports')
        assert not any('nobody subscribes' in text for text in texts())
        assert any('no task was due' in text for text in texts())
        values = report().values
        assert int(values['idle']) == int(values['not_due']) + int(values.get('not_wanted', 0))
