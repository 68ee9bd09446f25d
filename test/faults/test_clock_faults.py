"""Faults of clocks: stamps that jump, a simulated clock that jumps or stands, bags that loop."""

import time

from campaign import fault, OK, WARN
from rosgraph_msgs.msg import Clock

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
SIMULATED = {'use_sim_time': 'true', 'own': False}


@fault('Stamps jump', 'an hour ahead, back again, to 0, and standing still')
def test_stamps_jump(bench):
    clock = bench.stamp
    bench.flow()
    before = bench.count('stamp_restarts')
    for stamp in (lambda: clock() + HOUR, clock, lambda: 0, clock):
        bench.stamp = stamp
        bench.recover()
    now = clock()
    bench.stamp = lambda: now
    bench.report(lambda report: report.level == WARN and 'too_old' in report.text, feed=True)
    bench.stamp = clock
    bench.recover()
    assert bench.count('stamp_restarts') > before
    bench.report(lambda report: report.level == OK, 'all well', feed=True)
    bench.saw('what is ahead or without a stamp is published, as its age is unknown; jumps back '
              'counted; WARN too_old of a stamp that stands still')


@fault('Frames out of order', 'every second picture is 0.4 s older than the one before')
def test_frames_out_of_order(bench):
    bench.flow()
    before = bench.count('dropped_stamp_backwards')
    with bench.every(0.05, lambda: bench.send_bad(stamp=bench.stamp() - 400_000_000)):
        bench.report(lambda report: report.level == WARN and 'out of order' in report.text and int(
            report.values['dropped_stamp_backwards']) > before + bench.times(3, 30), feed=True)
    bench.recover()
    bench.report(lambda report: report.level == OK, 'all well', feed=True)
    bench.saw('WARN: out of order, or two publishers; counted, dropped')


@fault('Old frames', 'pictures an hour old between the good ones')
def test_old_frames(bench):
    bench.flow()
    before = bench.count('dropped_too_old')
    with bench.every(0.05, lambda: bench.send_bad(stamp=bench.stamp() - HOUR)):
        bench.report(lambda report: report.level == WARN and 'use_sim_time' in report.text and int(
            report.values['dropped_too_old']) > before + bench.times(3, 30), feed=True)
    bench.recover()
    bench.report(lambda report: report.level == OK, 'all well', feed=True)
    bench.saw('WARN: the age, max_age, and what to set; counted, dropped')


class Simulated:
    """A clock on /clock, and pictures with its time."""

    def __init__(self, bench, start):
        self._bench, self._start, self._begin = bench, start, time.monotonic()
        self._publisher = bench.tester.node.create_publisher(Clock, '/clock', 10)

    def set(self, seconds):
        self._start, self._begin = seconds, time.monotonic()
        self.tick()

    def now(self):
        """Return nanoseconds."""
        return self._start * SECOND + int((time.monotonic() - self._begin) * SECOND)

    def tick(self):
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(self.now(), SECOND)
        self._publisher.publish(message)


@fault('A simulated clock jumps', '100 s ahead of the stamps, 100 s behind them, and it stands '
       'still', **SIMULATED)
def test_a_simulated_clock_jumps(bench):
    clock = Simulated(bench, 1000)
    bench.stamp = clock.now
    for _ in range(bench.times(1, 3)):
        with bench.every(0.02, clock.tick):
            bench.flow()
            behind = clock.now()
            clock.set(clock.now() // SECOND + 100)
            bench.report(lambda report: (age := report.values['last_frame_age_s']) != 'unknown'
                         and float(age) > 90, 'the jump')
            stamps = iter(range(behind, behind + SECOND, SECOND // 1000))
            with bench.every(0.05, lambda stamps=stamps: bench.send_bad(stamp=next(stamps))):
                bench.report(lambda report: report.level == WARN and 'too_old' in report.text)
            bench.recover()
            bench.stamp = lambda: clock.now() + 100 * SECOND   # as before the jump
            clock.set(clock.now() // SECOND - 100)
            bench.recover()
            bench.stamp = clock.now
            bench.recover()
        # Nobody ticks: frames go on, and so do the reports.
        bench.recover()
        bench.report()
        clock.set(clock.now() // SECOND + 1)
    bench.saw('WARN too_old where the clock is ahead; published where it is behind; reports and '
              'frames go on while it stands')


@fault('A bag loops', 'clock and stamps go back to the start; loops of 0.5 s and of 1.2 s',
       **SIMULATED)
def test_a_bag_loops(bench):
    clock = Simulated(bench, 1000)
    bench.stamp = clock.now
    with bench.every(0.02, clock.tick):
        bench.flow()
        before = bench.count('stamp_restarts')
        loops = 0
        for pictures in (36, 15) * bench.times(1, 5):
            bench.flow(pictures)   # until the last has come out: a busy node is waited for
            clock.set(1000)
            bench.recover()
            loops += 1
        bench.report(lambda report: int(report.values['stamp_restarts']) >= before + loops,
                     'every loop counted', feed=True)
    bench.saw('outputs of every loop; stamp_restarts counted')
