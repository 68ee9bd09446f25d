"""The self-check of one camera in the node: ~/health, and a status for /diagnostics."""

import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions

from demt_perception.inference.self_check.watch import Health, SelfCheck
from demt_perception.ros.frame import check_age, Result
from demt_perception.ros.health import status_name
from demt_perception.ros.own_group import own_group

HEALTH = 'health'
_PERIOD = 0.2
# Seconds without a check after which the last one says nothing about now.
_OLD = 3.0


class CameraCheck:
    """Checks some frames a second, publishes what it finds, and logs a trouble as it begins.

    ``look`` is for the thread that publishes, the rest for any.

    Attributes:
        sending: the topic while a message is being sent on it; else ''.
    """

    def __init__(self, node: LifecycleNode, prefix: str) -> None:
        """Advertise ``~/PREFIXhealth``; the prefix is '' or 'NAME/'."""
        self._node = node
        self._prefix = prefix
        self.sending = ''
        self._check = SelfCheck(_PERIOD)
        self._last: tuple[float, Health] | None = None
        self._told: set[str] = set()
        self._publisher = node.create_publisher(
            DiagnosticArray, f'~/{prefix}{HEALTH}', QoSProfile(depth=1),
            callback_group=own_group(),
            qos_overriding_options=QoSOverridingOptions.with_default_policies())

    def destroy(self) -> None:
        """Take the topic back; nothing may be looked at after."""
        self._node.destroy_publisher(self._publisher)

    def wants_frame(self) -> bool:
        """Tell whether somebody listens to the health, and it is time for a check.

        Then a frame is worth its work, even if nobody wants anything else of it.
        """
        due = self._last is None or time.monotonic() - self._last[0] >= _PERIOD
        return due and self._publisher.get_subscription_count() > 0

    def look(self, result: Result, cropped: bool) -> dict[str, float]:
        """Check a frame, if it is time; return the seconds of that by topic.

        Args:
            result: of the frame.
            cropped: it is a part of the camera's picture.

        Raises:
            BadImageError: the frame has become too old.
        """
        begin = time.perf_counter()
        # Of when the frame came: stamps may stand still.
        health = self._check.look(result.predictions, result.frame.received, cropped)
        if health is None:
            return {}
        self._last = time.monotonic(), health
        self._log(health)
        message = DiagnosticArray(
            header=result.frame.message.header, status=[self._make_status(health)])
        check_age(result.camera, result.frame)
        self.sending = self._publisher.topic_name
        try:
            self._publisher.publish(message)
        finally:
            self.sending = ''
        return {HEALTH: time.perf_counter() - begin}

    def status(self, state: str) -> DiagnosticStatus:
        """Return what the last check found; where that was long ago, that the node is at rest.

        At rest is no fault: diagnostic_aggregator makes an error of STALE, and finds out by itself
        who has fallen silent.

        Args:
            state: of the node's lifecycle, see ``health.verdict``.
        """
        if state != 'active':
            return self._status(DiagnosticStatus.OK, f'{state}: no frame was checked')
        last = self._last
        if last is None or time.monotonic() - last[0] > _OLD:
            return self._status(DiagnosticStatus.OK, 'at rest: no frame was checked')
        return self._make_status(last[1])

    def alarms(self) -> tuple[str, ...]:
        """Return the names of the troubles that the last check found; none where it is old."""
        last = self._last
        if last is None or time.monotonic() - last[0] > _OLD:
            return ()
        return tuple(reason.name for reason in last[1].reasons)

    def _make_status(self, health: Health) -> DiagnosticStatus:
        status = self._status(bytes([health.level]), health.text)
        pairs = {'reasons': ', '.join(reason.words for reason in health.reasons) or '-',
                 'score': health.score}
        pairs |= {f'score {name}': score for name, score in health.scores.items()}
        pairs |= health.figures
        status.values = [KeyValue(key=key, value=value if isinstance(value, str) else
                                  f'{value:.4g}') for key, value in pairs.items()]
        return status

    def _status(self, level: bytes, text: str) -> DiagnosticStatus:
        camera = self._prefix.rstrip('/')
        name = f'{camera} self-check' if camera else 'self-check'
        return DiagnosticStatus(
            level=level, name=status_name(self._node.get_fully_qualified_name(), name),
            message=text, hardware_id=camera)

    def _log(self, health: Health) -> None:
        now = {reason.name for reason in health.reasons}
        if now - self._told and self._node.context.ok():
            of = f'{self._prefix.rstrip("/")}: ' if self._prefix else ''
            self._node.get_logger().warning(f'{of}{health.text}')
        self._told = now
