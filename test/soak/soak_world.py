"""The node under soak, all that listens to it, and the file that everything is written to."""

from collections import Counter
from contextlib import ExitStack
import json
import struct
import time

from demt_msgs.msg import DensePrediction, InferenceStats
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from node_testing import best_effort, NodeProcess, Tester
from process_figures import figures, mappings
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from soak_camera import Camera, TOPIC

from demt_perception.model_card import load_card
from demt_perception.ros.outputs import outputs_of

NODE = '/soaked'
# The one by which latency, recovery and the order of things are judged.
FIRST = 'semantic/image'
RECOVERY_LIMIT = 60.0
MAPS_EVERY = 300.0


class World:
    """A node, a camera, listeners of all outputs, and a record of what happens.

    Attributes:
        stats: the newest InferenceStats of the node at work, or None.
        diagnosis: (level, text, values) of its newest report.
        outputs: messages by topic, since ever.
        wrong: outputs of frames that were bad, or that nobody sent.
    """

    def __init__(self, environ, domain, model, file, sampling=5.0, **parameters):
        self.environ, self.model, self._file = environ, model, file
        self._parameters = {'engine': 'auto', 'no_frame_timeout': 2.0, 'diagnostics_period': 1.0,
                            **parameters}
        self.engine = self._parameters['engine']
        self._begin, self._mapped = time.monotonic(), 0.0
        self.tester = Tester(domain)
        self.camera = Camera(self.tester)
        self.outputs = Counter()
        self.wrong = self.starts = 0
        self.newest = (0, 0.0)     # monotonic seconds: its frame was sent, and it came
        self._latencies, self._gap, self._diagnosed = [], 0.0, None
        self.stats = self.diagnosis = self.node = None
        self._subscriptions = []
        self.listen()
        self.tester.node.create_subscription(
            InferenceStats, f'{NODE}/stats', self._on_stats, best_effort())
        self.tester.node.create_subscription(
            DiagnosticArray, '/diagnostics', self._on_diagnostics, best_effort())
        self.tester.node.create_timer(sampling, self.sample)

    # Writing.

    def write(self, kind, **values):
        line = {'kind': kind, 't': round(time.monotonic() - self._begin, 3), **values}
        self._file.write(json.dumps(line) + '\n')
        self._file.flush()

    def sample(self, kind='sample'):
        """Write a sample of the node, if it lives."""
        try:
            pid = self.node.process.pid
            found = figures(pid)
            if time.monotonic() - self._mapped > MAPS_EVERY:
                self._mapped = time.monotonic()
                self.write('maps', pid=pid, uss=mappings(pid))
        except OSError:
            return
        latencies, self._latencies = sorted(self._latencies), []
        gap, self._gap = self._gap, 0.0
        stats, stages = self.stats, {}
        if stats is not None:
            stages = {name: [round(p50, 2), round(p95, 2)] for name, p50, p95 in zip(
                stats.stages, stats.p50_ms, stats.p95_ms, strict=True)
                if not name.startswith('publish ')}
        self.write(
            kind, pid=pid, **{name: round(value, 3) for name, value in found.items()},
            sent=self.camera.sent, outputs=dict(self.outputs), wrong=self.wrong,
            latency=[round(_share(latencies, q) * 1000, 1) for q in (0.5, 0.95, 1.0)]
            if latencies else None,
            received=stats.received if stats else None,
            processed=stats.processed if stats else None,
            drops=dict(zip(stats.drop_reasons, map(int, stats.drop_counts), strict=True))
            if stats else None,
            engine=stats.engine if stats else None, precision=stats.precision if stats else None,
            stages=stages, diagnosis=self.diagnosis[:2] if self.diagnosis else None,
            report_gap=round(gap, 2))

    # Listening.

    def topics(self):
        """Return all output topics that the model has, with their types."""
        card = load_card(self.model)
        images = {output.topic: Image for output in outputs_of(card.tasks, card.outputs)}
        return {**images, 'depth/camera_info': CameraInfo, 'points': PointCloud2,
                'points/semantic': Image, 'points/confidence': Image, 'dense': DensePrediction}

    def listen(self):
        for topic, kind in self.topics().items():
            # Serialised: the header is all that is looked at, and the machine has other work.
            self._subscriptions.append(self.tester.node.create_subscription(
                kind, f'{NODE}/{topic}', lambda data, topic=topic: self._on_output(topic, data),
                best_effort(2), raw=True))

    def ignore(self):
        while self._subscriptions:
            self.tester.node.destroy_subscription(self._subscriptions.pop())

    def _on_output(self, topic, data):
        now = time.monotonic()
        seconds, nanoseconds = struct.unpack_from('<iI', data, 4)
        stamp = seconds * 1_000_000_000 + nanoseconds
        sent = self.camera.good.get(stamp)
        if sent is None:
            self.wrong += 1
            self.write('wrong', topic=topic, stamp=stamp, bad=stamp in self.camera.bad)
            return
        self.outputs[topic] += 1
        if topic == FIRST:
            self._latencies.append(now - sent)
            self.newest = (sent, now)

    def _on_stats(self, message):
        self.stats = message

    def _on_diagnostics(self, message):
        status = message.status[0]
        if status.name != f'{NODE[1:]}: inference':   # of another node in this domain
            return
        now = time.monotonic()
        if self._diagnosed is not None:
            self._gap = max(self._gap, now - self._diagnosed)
        self._diagnosed = now
        self.diagnosis = (status.level[0], status.message,
                          {pair.key: pair.value for pair in status.values})

    # Acting.

    def start(self):
        """Start the node, and wait until it publishes."""
        self.starts += 1
        self.stats = self.diagnosis = self._diagnosed = None
        begin = time.monotonic()
        self.node = NodeProcess(
            self.environ, '-r', f'__node:={NODE[1:]}', '-r', f'image:={TOPIC}',
            '-r', f'image/compressed:={TOPIC}/compressed', model=self.model, **self._parameters)
        self.wait(lambda: self.newest[0] > begin or self.node.process.poll() is not None,
                  'the first output', 120)
        self.write('start', pid=self.node.process.pid, seconds=round(time.monotonic() - begin, 2),
                   code=self.node.process.poll())

    def spin(self, seconds):
        self.tester.spin_for(seconds)

    def wait(self, condition, what, seconds=30.0):
        return self.tester.spin_until(condition, what, seconds)

    def call(self, kind, service, **fields):
        return self.tester.call(kind, f'{NODE}/{service}', kind.Request(**fields))

    def set_parameter(self, name, value):
        return self.call(SetParameters, 'set_parameters', parameters=[
            Parameter(name, value=value).to_parameter_msg()]).results[0]

    def change_state(self, *transitions):
        for name in transitions:
            assert self.tester.change_state(
                getattr(Transition, f'TRANSITION_{name.upper()}'), NODE), f'{name} failed'

    def dropped(self, reason):
        """Return how many frames the node has reported as dropped for a reason."""
        if self.stats is None:
            return 0
        return dict(zip(self.stats.drop_reasons, self.stats.drop_counts, strict=True)).get(
            reason, 0)

    def noted(self, event):
        """Return how often the node has reported an event."""
        return int(self.diagnosis[2].get(event, 0)) if self.diagnosis else 0

    def outputs_go_on(self, count=3, what='outputs meanwhile'):
        """Wait for outputs of frames sent from now on."""
        begin, until = time.monotonic(), self.outputs[FIRST] + count
        self.wait(lambda: self.outputs[FIRST] >= until and self.newest[0] > begin, what)

    def inject(self, name, fault, rng):
        """Inject a fault, undo it, and write what was seen and how long good frames took."""
        begin, wrong, pid = time.monotonic(), self.wrong, self.node.process.pid
        seen, trouble = '', ''
        try:
            with ExitStack() as undo:
                undo.callback(self.camera.reset)
                seen = fault(self, rng, undo)
        except Exception as error:   # whatever it is, the soak goes on and the report says so
            trouble = f'{type(error).__name__}: {error}'
        over = time.monotonic()
        try:
            self.wait(lambda: self.newest[0] > over or self.node.process.poll() is not None,
                      'a good frame', RECOVERY_LIMIT)
            recovery = round(self.newest[1] - over, 3) if self.newest[0] > over else None
        except Exception as error:
            recovery, trouble = None, f'{trouble} {error}'.strip()
        self.write('fault', name=name, seconds=round(over - begin, 2), seen=seen, trouble=trouble,
                   recovery=recovery, wrong=self.wrong - wrong, pid=pid,
                   diagnosis=self.diagnosis[:2] if self.diagnosis else None)
        code = self.node.process.poll()
        if code is not None or recovery is None:
            self.write('death', code=code, log=self.node.log()[-4000:])
            self.node.process.kill()
            self.node.process.wait()
            self.start()

    def close(self):
        """End the node, and say how that went."""
        code = self.node.stop() if self.node is not None else None
        log = self.node.log()
        self.write('end', code=code, tracebacks=log.count('Traceback'),
                   bytes_of_log=len(log), log=log[-2000:])
        self.tester.close()


def _share(ordered, share):
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
