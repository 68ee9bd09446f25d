"""Faults done to a real node over DDS, and what is measured of each.

A fault is a test function that takes a ``Bench``:

    @fault('The camera stops', 'no image for longer than no_frame_timeout', no_frame_timeout=0.5)
    def test_the_camera_stops(bench):
        bench.flow()                                            # good frames come out
        bench.report(lambda report: report.level == WARN)       # what must be seen is asserted,
        bench.saw('WARN: no frame on .../image')                # and told for the table
        bench.recover()                                         # until good frames come out again

In pytest each runs once and quickly. ``make faults`` (run_campaign.py) repeats each, in nodes of
its own, and writes the table. Every output of the node is compared with what it must be, from the
first to the last moment: see ``pictures.Sent``.
"""

from contextlib import contextmanager, ExitStack
import os
import time
from typing import NamedTuple
import uuid

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
from diagnostic_msgs.msg import DiagnosticArray
from node_testing import best_effort, environment, NodeProcess, PATIENCE, reliable, Report, Tester
from pictures import camera_info, COLOURS, GREY, OUTPUTS, picture, Sent, TINY_MODEL
from sensor_msgs.msg import CameraInfo, Image

OK, WARN, ERROR = 0, 1, 2
RATE = 30.0
"""Good pictures a second."""
SILENT = 3.0
"""Seconds without a report, or without outputs and without a word of why: a silent state."""


class Fault(NamedTuple):
    """A row of the table; ``own``: it wants a node of its own, with these parameters."""

    name: str
    injected: str
    own: bool
    parameters: dict


def fault(name, injected, own=None, **parameters):
    """Mark a test function as a fault.

    Args:
        name: of the fault, for people.
        injected: how, in a few words.
        own: it needs a node of its own, as it ends it, say; None: where it has parameters.
        parameters: of the node; faults with the same ones may share it.
    """
    def mark(function):
        function.fault = Fault(
            name, injected, bool(parameters) if own is None else own, parameters)
        return function
    return mark


class Bench:
    """A node at work, a camera before it and a listener behind it, in a domain of their own.

    Attributes:
        node: its process, a ``NodeProcess``.
        tester: publishes, listens and calls: ``node_testing.Tester``.
        camera: publisher of images.
        infos: publisher of camera_info.
        name: of the node, '/...'.
        reports: all that the node said on /diagnostics: (monotonic seconds, ``Report``).
        recoveries: seconds from the end of each fault to the first good output of a frame sent
            since.
        wrong: what was wrong with outputs; want none.
        silences: what was silent; want none.
        seen: what was to be seen of the fault, in words.
        full: the whole campaign is run, not a quick test.
        stamp: returns the stamp of the next good picture; replaced where a clock is simulated.
        make_info: returns the camera_info that is sent before a picture.
    """

    def __init__(self, environ, tester, full, model=TINY_MODEL, arguments=(), **parameters):
        self.tester, self.full, self.environ = tester, full, environ
        self.name = f'/faults_{uuid.uuid4().hex[:8]}/node'
        space = self.name.rpartition('/')[0]
        self._arguments = ('-r', f'__ns:={space}', '-r', '__node:=node', *arguments)
        self._parameters = {'model': model, 'no_frame_timeout': 0.5, 'diagnostics_period': 0.1,
                            **parameters}
        self.reports, self.sent = [], Sent(parameters.get('engine', 'onnxruntime'))
        self._colour, self._quiet_from = 0, None
        self._stack = ExitStack()
        self.begin()
        node = tester.node
        node.create_subscription(DiagnosticArray, '/diagnostics', self._on_report, 10)
        for topic in OUTPUTS:
            node.create_subscription(Image, f'{self.name}/{topic}', lambda message, topic=topic:
                                     self._on_output(topic, message), reliable(50))
        self.image_topic = f'{space}/image'
        self.camera = node.create_publisher(Image, self.image_topic, best_effort(1))
        self.infos = node.create_publisher(CameraInfo, f'{space}/camera_info', best_effort(1))
        self.node = None

    def begin(self):
        """Measure anew: the node has been used for another fault."""
        clock = self.tester.node.get_clock()
        self.stamp, self.make_info = lambda: clock.now().nanoseconds, camera_info
        self.recoveries, self.wrong, self.silences, self.seen = [], [], [], ''
        self.sent.repeats = False
        self._checked_before, self._longest_gap = self.sent.checked, 0.0

    @property
    def checked(self):
        """Outputs that were compared with what they must be."""
        return self.sent.checked - self._checked_before

    def start(self):
        """Start the node, a first time or again; it is not waited for."""
        if self.node is not None:
            self.tester.spin_for(0.2)   # the last reports of the one before
        self.sent.restart()
        self._quiet_from = None
        self.node = NodeProcess(self.environ, *self._arguments, **self._parameters)
        self._stack.callback(self.node.stop)

    def second(self):
        """Start a second node of the same name on the same topics; return its process."""
        node = NodeProcess(self.environ, *self._arguments, **self._parameters)
        self._stack.callback(node.stop)
        return node

    def close(self):
        self._stack.close()

    def times(self, quick, full):
        """Return how often something is to be done in a quick test, or in the campaign."""
        return full if self.full else quick

    def good(self, **changes):
        """Return a good picture of the next colour, which is noted as sent, and its number."""
        self._colour = (self._colour + 1) % len(COLOURS)
        if changes.get('encoding') in ('mono8', 'bayer_rggb8'):
            self._colour = GREY
        message = picture(self._colour, self.stamp(), **changes)
        return message, self.sent.note(message, self._colour)

    def send(self, **changes):
        """Send a good picture; return its number. ``changes``: size, encoding."""
        message, number = self.good(**changes)
        self.infos.publish(self.make_info(message))
        self.camera.publish(message)
        return number

    def send_bad(self, message=None, **changes):
        """Send a picture of which nothing may come out.

        A good one is changed where none is given; its stamp is in nanoseconds.
        """
        if message is None:
            message = picture(0, changes.pop('stamp', None) or self.stamp())
        message.header.frame_id = 'bad'
        for name, value in changes.items():
            setattr(message, name, value)
        self.camera.publish(message)

    def stream(self, until, what='', rate=RATE, **changes):
        """Send good pictures until a condition holds; return its value."""
        self.send(**changes)
        with self.every(1 / rate, lambda: self.send(**changes)):
            return self.tester.spin_until(until, what)

    @contextmanager
    def every(self, seconds, action):
        """Do something again and again while the tester spins."""
        timer = self.tester.node.create_timer(seconds, action)
        try:
            yield
        finally:
            self.tester.node.destroy_timer(timer)

    def flow(self, count=2, what='good frames', **changes):
        """Send good pictures until outputs of later ones came; return the seconds until then."""
        begin, first = time.monotonic(), self.sent.count
        self.stream(lambda: min(self.sent.last.values()) >= first + count - 1, what, **changes)
        told = [(at, report.level) for at, report in self.reports if at > begin]
        if told and time.monotonic() - told[0][0] > SILENT and not any(level for _, level in told):
            self.silences.append('no outputs, and the node says that all is well')
        return time.monotonic() - begin

    def recover(self, **changes):
        """Send good pictures until one comes out, the fault being over: call it at that moment."""
        self.recoveries.append(self.flow(1, 'good frames after the fault', **changes))

    def report(self, condition=lambda report: True, what='report', feed=False):
        """Wait for a new report that meets a condition, and return it.

        With ``feed`` good pictures are sent meanwhile.
        """
        first = len(self.reports)

        def suits():
            return next((report for _, report in self.reports[first:] if condition(report)), None)
        try:
            return (self.stream if feed else self.tester.spin_until)(suits, what)
        except AssertionError as error:
            raise AssertionError(f'{error}; the last: {self.reports[-1:]}') from None

    def count(self, name):
        """Return a counter of the next report; 0 where it is not there."""
        return int(self.report().values.get(name, 0))

    def saw(self, text):
        """Say what was seen, once it has been asserted."""
        self.seen = text

    def crash(self):
        """Return how the node fell: an exit code, a traceback; '' where it did not."""
        code, log = self.node.process.poll(), self.node.log()
        if code not in (None, 0):
            return f'exit code {code}: {log[-2000:]}'
        return log if 'Traceback' in log else ''

    def check(self):
        """Return all that must not be: wrong outputs, a crash."""
        return [*self.wrong, *filter(None, [self.crash()])]

    def silent(self):
        """Return the silent states that were met."""
        gap = self._longest_gap
        return self.silences + ([f'no report for {gap:.1f} s'] if gap > SILENT else [])

    def _on_output(self, topic, message):
        if trouble := self.sent.trouble(topic, message):
            self.wrong.append(trouble)

    def _on_report(self, message):
        now, name = time.monotonic(), self.name.lstrip('/')
        for status in message.status:
            if status.name == f'{name}: inference':
                self.reports.append((now, Report(status.level[0], status.message, {
                    pair.key: pair.value for pair in status.values})))
                if self._quiet_from is not None:
                    self._longest_gap = max(self._longest_gap, now - self._quiet_from)
                self._quiet_from = now


@contextmanager
def bench(full=False, **parameters):
    """Yield a ``Bench`` whose node is started; it is stopped after."""
    environ, domain = environment()
    with pytest.MonkeyPatch.context() as patch:
        # Fast DDS reads them when the tester's participant is made, here and now.
        for name in environ.keys() - os.environ.keys():
            patch.setenv(name, environ[name])
        for name in os.environ.keys() - environ.keys():
            patch.delenv(name)
        tester = Tester(domain)
    made = Bench(environ, tester, full, **parameters)
    try:
        made.start()
        yield made
    finally:
        made.close()
        tester.close()


__all__ = ['ERROR', 'OK', 'PATIENCE', 'WARN', 'Bench', 'Fault', 'bench', 'fault']
