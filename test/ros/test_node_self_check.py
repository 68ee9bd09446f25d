"""What the node says about its own sight, over real DDS."""

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
pytest.importorskip('demt_msgs', reason='demt_msgs is not built: make setup')
from demt_msgs.msg import InferenceStats
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from node_testing import make_image
from std_srvs.srv import SetBool

STREET = cv2.resize(cv2.imread(str(sorted(
    (Path(__file__).parents[2] / 'demt_perception' / 'inference' / 'pictures').glob('*.jpg'))[0])),
    (160, 96))
BLACK = np.zeros_like(STREET)
RANDOM = np.random.default_rng(0)


def picture(tester, base):
    """Return a message of pixels that are never twice the same, as of any sensor."""
    noisy = np.clip(base + RANDOM.integers(0, 2, base.shape), 0, 255).astype(np.uint8)
    return make_image(noisy, stamp=tester.now())


OK = 0
AT_REST = (OK, 'at rest: no frame was checked')


def said(reports, name):
    """Return level and message of every report of a status."""
    return [(status.level[0], status.message) for report in reports
            for status in report.status if status.name == name]


def values(status):
    return {pair.key: pair.value for pair in status.values}


def test_a_covered_lens_is_told_on_health_and_diagnostics(tester, start_node, tiny_model):
    node = start_node('-r', '__node:=seer', model=tiny_model, cameras='[left,right]')
    with tester.publishing('/left/image') as left, tester.publishing('/right/image') as right, \
            tester.listening('/seer/left/health', DiagnosticArray) as seen_left, \
            tester.listening('/seer/right/health', DiagnosticArray) as seen_right, \
            tester.listening('/seer/left/stats', InferenceStats) as stats_left, \
            tester.listening('/seer/right/stats', InferenceStats) as stats_right, \
            tester.listening('/diagnostics', DiagnosticArray) as reports:
        # Nobody listens to anything else: frames are worked on for the health alone.
        def send(base, until, what):
            def make():
                right.publish(picture(tester, STREET))
                return picture(tester, base)
            return tester.pump(left, make, until, what)

        def reported(name, level):
            return any(status.name == name and status.level[0] == level
                       for report in reports for status in report.status)

        send(STREET, lambda: len(seen_left) > 4 and len(seen_right) > 4, 'checks')
        for message in (seen_left[-1], seen_right[-1]):
            assert message.status[0].level == b'\x00'
            assert message.status[0].message == 'nothing unusual'
            assert message.header.frame_id == 'lens' and message.header.stamp.sec > 0
        assert values(seen_left[-1].status[0])['reasons'] == '-'
        send(STREET, lambda: reported('seer: left self-check', 0), 'report of the left one')

        send(BLACK, lambda: seen_left[-1].status[0].level == b'\x02', 'alarm')
        status = seen_left[-1].status[0]
        assert status.name == 'seer: left self-check' and status.hardware_id == 'left'
        assert values(status)['reasons'].startswith('lens covered')
        assert float(values(status)['score covered']) > 1
        assert 'clean the lens' in status.message
        send(BLACK, lambda: reported('seer: left self-check', 2), 'report of the alarm')
        send(BLACK, lambda: 'self_check covered' in stats_left[-1].degraded, 'degraded stats')
        assert 'self_check covered' not in stats_right[-1].degraded
        assert seen_right[-1].status[0].level == b'\x00'
        assert 'left: lens covered' in node.log() and 'right: lens' not in node.log()

        send(STREET, lambda: seen_left[-1].status[0].level == b'\x00', 'all well')
        # No frames: what was seen once says nothing about now, and that is no fault.
        reports.clear()
        tester.spin_until(lambda: AT_REST in said(reports, 'seer: left self-check'), 'rest')
        assert not {level for report in reports for status in report.status
                    if 'self-check' in status.name for level in status.level} - {OK}
    assert node.stop() == 0


def test_its_status_stays_where_there_is_nothing_to_check(tester, start_node, tiny_model):
    """For diagnostic_aggregator STALE is an error, as is a status that goes away."""
    start_node('-r', '__node:=dozer', model=tiny_model)
    name = 'dozer: self-check'
    with tester.listening('/diagnostics', DiagnosticArray) as reports:
        def tells(text):
            reports.clear()
            tester.spin_until(lambda: (OK, text) in said(reports, name), text)

        tells(AT_REST[1])
        assert tester.call(SetBool, '/dozer/enable', SetBool.Request(data=False)).success
        tells('active, disabled by ~/enable: no frame was checked')
        assert tester.call(SetBool, '/dozer/enable', SetBool.Request(data=True)).success
        assert tester.change_state(Transition.TRANSITION_DEACTIVATE, '/dozer')
        tells('inactive: no frame was checked')


def test_a_node_in_a_namespace_has_it_in_the_names_of_its_statuses(
        tester, start_node, tiny_model):
    """Another of its name, in another namespace, reports on the same topic."""
    start_node('-r', '__node:=seer', '-r', '__ns:=/robot', model=tiny_model)
    with tester.listening('/diagnostics', DiagnosticArray) as reports:
        tester.spin_until(lambda: {'robot/seer: inference', 'robot/seer: self-check'} == {
            status.name for report in reports for status in report.status
            if 'seer: ' in status.name}, 'both statuses')
