"""A perception node in its own process, and a tester that talks to it over real DDS."""

from array import array
from collections.abc import Callable
from contextlib import contextmanager
import fcntl
import os
from pathlib import Path
import random
import signal
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState, GetState
import numpy as np
from rcl_interfaces.srv import GetParameterTypes
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from demt_perception.ros.domains import domains_in_use
from demt_perception.ros.transport import transport_environment

ROOT = Path(__file__).resolve().parents[2]
# The machine may be busy; waits end when what they wait for happens.
PATIENCE = 40.0


def make_image(pixels, encoding='bgr8', frame_id='lens', stamp=None, **changes):
    """Return an Image message of HxW or HxWxC values."""
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding,
                    step=pixels.nbytes // pixels.shape[0])
    message.data = array('B', pixels.tobytes())
    message.header.frame_id = frame_id
    if stamp is not None:
        message.header.stamp = stamp
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def reliable(depth=10):
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE)


def best_effort(depth=10):
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)


class Report(NamedTuple):
    """One diagnostic status."""

    level: int
    text: str
    values: dict[str, str]


class NodeProcess:
    """`python -m demt_perception.ros.perception_node` with parameters and remappings.

    ``program``: other arguments of Python, for a node with something done to it.
    """

    def __init__(self, environ, *arguments,
                 program=('-m', 'demt_perception.ros.perception_node'), **parameters):
        self._log = tempfile.NamedTemporaryFile(suffix='.log')  # noqa: SIM115
        parameters = {'diagnostics_period': 0.2, 'engine': 'onnxruntime', 'threads': 1,
                      **parameters}
        for name, value in parameters.items():
            arguments = (*arguments, '-p', f'{name}:={value}')
        self.process = subprocess.Popen(
            [sys.executable, *program, '--ros-args', *arguments], cwd=ROOT, env=environ,
            stdout=self._log, stderr=subprocess.STDOUT)

    def log(self):
        return Path(self._log.name).read_text()

    def stop(self, number=signal.SIGINT):
        """Signal it, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


@contextmanager
def node_in_this_process(model, *parameters):
    """Yield an unconfigured ``PerceptionNode`` that nobody spins: for looks inside.

    ``parameters``: more of them, as NAME:=VALUE.
    """
    from demt_perception.ros.managed_node import PerceptionNode

    rclpy.init(domain_id=free_domain(), args=[
        '--ros-args', '-p', f'model:={model}', '-p', 'engine:=onnxruntime', '-p', 'threads:=1',
        '-p', 'autostart:=false', *(part for text in parameters for part in ('-p', text))])
    node = PerceptionNode()
    try:
        yield node
    finally:
        node.close()
        node.destroy_node()
        rclpy.shutdown()


class Tester:
    """Publishes to, listens to and calls nodes, from the test's own thread."""

    __test__ = False  # not a class of tests

    def __init__(self, domain):
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node('tester', context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)

    def close(self):
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def now(self):
        return self.node.get_clock().now().to_msg()

    def spin_until(self, condition: Callable[[], object], what='', seconds=PATIENCE):
        """Spin until the condition holds, and return its value; fail after a long wait."""
        limit = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < limit, f'in vain waited {seconds} s for {what or condition}'
            self._executor.spin_once(timeout_sec=0.05)
        return value

    def spin_for(self, seconds):
        limit = time.monotonic() + seconds
        while (left := limit - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    @contextmanager
    def listening(self, topic, kind, qos=None):
        """Yield the list of messages that arrive; the subscription has been matched."""
        messages = []
        subscription = self.node.create_subscription(
            kind, topic, messages.append, qos or best_effort())
        try:
            self.spin_until(lambda: self.node.count_publishers(topic), f'publisher of {topic}')
            yield messages
        finally:
            self.node.destroy_subscription(subscription)

    @contextmanager
    def publishing(self, topic, kind=Image, qos=None):
        """Yield a publisher that somebody subscribes to."""
        publisher = self.node.create_publisher(kind, topic, qos or best_effort(1))
        try:
            self.spin_until(publisher.get_subscription_count, f'subscriber of {topic}')
            yield publisher
        finally:
            self.node.destroy_publisher(publisher)

    def pump(self, publisher, make: Callable[[], object], until: Callable[[], object], what=''):
        """Publish what ``make`` returns again and again until the condition holds."""
        due = 0.0

        def condition():
            nonlocal due
            if time.monotonic() > due:
                publisher.publish(make())
                due = time.monotonic() + 0.1
            return until()

        return self.spin_until(condition, what)

    def call(self, kind, name, request):
        """Call a service and return its response."""
        client = self.node.create_client(kind, name)
        try:
            self.spin_until(client.service_is_ready, f'service {name}')
            self._meet(name.rpartition('/')[0])
            future = client.call_async(request)
            self.spin_until(future.done, f'response of {name}')
            return future.result()
        finally:
            self.node.destroy_client(client)

    def _meet(self, node):
        """Ask a node for nothing until it answers: from then on it hears, and answers, the rest.

        A service may seem ready that is a former node's of that name, and a node that has not
        found all of this client yet throws its response away.
        """
        client = self.node.create_client(GetParameterTypes, f'{node}/get_parameter_types')
        asked, asking = 0.0, []

        def answered():
            nonlocal asked
            if time.monotonic() > asked + 2:
                asked = time.monotonic()
                asking.append(client.call_async(GetParameterTypes.Request()))
            return any(future.done() for future in asking)

        try:
            self.spin_until(answered, f'{node} to answer')
        finally:
            self.node.destroy_client(client)

    def state(self, node='/demt_perception'):
        return self.call(GetState, f'{node}/get_state', GetState.Request()).current_state.label

    def change_state(self, transition, node='/demt_perception'):
        """Request a transition by its id; return whether it succeeded."""
        request = ChangeState.Request()
        request.transition.id = transition
        return self.call(ChangeState, f'{node}/change_state', request).success

    @contextmanager
    def diagnosing(self, node='demt_perception'):
        """Yield a function that waits for a new report that meets a condition.

        The condition takes, and it returns, a ``Report``.
        """
        with self.listening('/diagnostics', DiagnosticArray) as messages:
            def report(condition=lambda report: True):
                messages.clear()

                def suits():
                    while messages:
                        status = messages.pop(0).status[0]
                        if status.name != f'{node}: inference':
                            continue
                        report.last = Report(status.level[0], status.message, {
                            pair.key: pair.value for pair in status.values})
                        if condition(report.last):
                            return report.last
                    return None
                try:
                    return self.spin_until(suits, 'report')
                except AssertionError as error:
                    raise AssertionError(f'{error}; the last: {report.last}') from None
            report.last = None
            yield report


def gradient_scene(height, width):
    """Return a BGR picture in which every place differs: gradients and stripes."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x // 40 % 2) * 150], -1).astype(
        np.uint8)


def free_domain():
    """Return a domain from 1 to 100 in which nothing runs here, and that nobody was given lately.

    All processes of tests take turns, as several run at a time: two nodes that met by chance in
    one domain would hear each other's reports.
    """
    taken = domains_in_use()
    with open(Path(tempfile.gettempdir(), f'demt_test_domain_{os.getuid()}'), 'a+') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        before = int(file.read() or random.randint(1, 100))
        turn = [(before + step) % 100 + 1 for step in range(100)]
        domain = next((domain for domain in turn if domain not in taken), turn[0])
        file.truncate(0)
        file.write(str(domain))
    return domain


def environment(transport=True):
    """Return an environment for nodes and its domain, in which large images get through.

    Without ``transport`` it is Fast DDS as it comes, which loses them.
    """
    domain = free_domain()
    environ = {name: value for name, value in os.environ.items()
               if not name.startswith(('ROS_LOCALHOST', 'ROS_AUTOMATIC', 'FASTDDS', 'FASTRTPS'))}
    environ |= {'ROS_DOMAIN_ID': str(domain), 'RCUTILS_COLORIZED_OUTPUT': '0',
                'PYTHONUNBUFFERED': '1'}
    if transport:
        environ |= transport_environment(ROOT / 'config' / 'fastdds.xml', environ)
    return environ, domain
