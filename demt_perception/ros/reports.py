"""Publishes the node's state: /diagnostics, and demt_msgs/InferenceStats on ~/stats."""

from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.lifecycle import LifecycleNode
from rclpy.qos_overriding_options import QoSOverridingOptions

from demt_perception.inference.memory import resident_mb
from demt_perception.ros.camera import Camera
from demt_perception.ros.composites import topics_with_depth
from demt_perception.ros.frame_statistics import Snapshot, total
from demt_perception.ros.health import (
    degraded,
    Inference,
    status_name,
    told_age,
    values,
    verdict,
    without,
)
from demt_perception.ros.optional_messages import demt_msgs
from demt_perception.ros.own_group import own_group
from demt_perception.ros.perception import Perception

# The event that depth rests on the card's field of view, see ``Reception.camera_info``.
_FOCAL = 'focal_assumed'


class Reports:
    """The publishers, and the messages that go out by them: of the node, and of each camera."""

    def __init__(self, node: LifecycleNode) -> None:
        """Advertise the topics of the node; those of named cameras come with them."""
        self._node = node
        self._diagnostics = node.create_publisher(
            DiagnosticArray, '/diagnostics', 10,
            qos_overriding_options=QoSOverridingOptions.with_default_policies())
        self._stats: dict[str, Any] = {}
        self._send_stats('', None)

    def publish(self, state: str, failure: str, perception: Perception | None,
                mishap: str = '') -> None:
        """Judge and publish.

        Args:
            state: of the lifecycle; anything but ``active`` says that no frames are processed.
            failure: why the last transition failed; ''.
            perception: what is at work; None where the node is not configured.
            mishap: how a callback failed since the last report; ''.
        """
        inference, statuses, stats = Inference(), [], []
        snapshots, ages, verdicts = [], [], []
        failure = failure or mishap
        common = ('callback_error',) if mishap else ()
        troubles: dict[str, None] = dict.fromkeys(common)   # of all cameras
        if perception is not None:
            inference = perception.inference()
            failure = failure or perception.care.trouble or perception.failure
            for camera in perception.cameras:
                snapshot, trouble = self._judge(camera, perception)
                snapshots.append(snapshot)
                ages.append(camera.frame_age())
                verdicts.append((*verdict(state, failure, snapshot, trouble, inference.slow),
                                 camera.name))
                own = common + degraded(
                    inference, snapshot, trouble, camera.self_check.alarms())
                troubles |= dict.fromkeys(own)
                if camera.name:
                    statuses.append(self._status(camera.name, *verdicts[-1][:2], inference,
                                                 snapshot, ages[-1], own))
                    stats.append((f'{camera.name}/', snapshot, ages[-1], own))
                statuses.append(camera.self_check.status(state))
        whole = total(snapshots)
        level, text = _worst(verdicts) or verdict(state, failure, whole, '')
        if inference.building:
            text = (f'building the engine, {inference.building}; {inference.engine} serves '
                    f'meanwhile; {text}')
        age = min((age for age in ages if age is not None), default=None)
        message = DiagnosticArray(status=[
            self._status('inference', level, text, inference, whole, age, tuple(troubles)),
            *statuses])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(message)
        for prefix, snapshot, newest, own in [('', whole, age, tuple(troubles)), *stats]:
            self._send_stats(prefix, demt_msgs and _make_stats(
                inference, snapshot, newest, own, message.header))
        for prefix in self._stats.keys() - {'', *(prefix for prefix, *_ in stats)}:
            self._node.destroy_publisher(self._stats.pop(prefix))

    def _judge(self, camera: Camera, perception: Perception) -> tuple[Snapshot, str]:
        """Return what a camera says, less what troubles nobody.

        Who takes no depth does not mind that its scale is assumed: a robot that drives by classes
        alone needs no camera_info.
        """
        snapshot, trouble = camera.judge()
        if _FOCAL in snapshot.new and not self._hears_depth(camera, perception):
            snapshot = without(snapshot, _FOCAL)
        return snapshot, trouble

    def _hears_depth(self, camera: Camera, perception: Perception) -> bool:
        prefix = f'~/{camera.name}/' if camera.name else '~/'
        return any(self._node.count_subscribers(self._node.resolve_topic_name(prefix + topic))
                   for topic in topics_with_depth(perception.tasks))

    def _status(self, name: str, level: int, text: str, inference: Inference,
                snapshot: Snapshot, age: float | None, troubles: tuple[str, ...],
                ) -> DiagnosticStatus:
        pairs = values(inference, snapshot, age, resident_mb()[0], troubles)
        return DiagnosticStatus(
            level=bytes([level]), message=text, hardware_id=inference.device,
            name=status_name(self._node.get_fully_qualified_name(), name),
            values=[KeyValue(key=key, value=value) for key, value in pairs.items()])

    def _send_stats(self, prefix: str, message: Any) -> None:
        if demt_msgs is None:
            return
        if prefix not in self._stats:
            self._stats[prefix] = self._node.create_publisher(
                demt_msgs.InferenceStats, f'~/{prefix}stats', 10, callback_group=own_group(),
                qos_overriding_options=QoSOverridingOptions.with_default_policies())
        if message is not None:
            self._stats[prefix].publish(message)


def _worst(verdicts: list[tuple[int, str, str]]) -> tuple[int, str] | None:
    """Return level and message of all cameras together; None where there is none."""
    if not verdicts:
        return None
    level = max(found for found, _, _ in verdicts)
    texts = [f'{name}: {text}' if name else text for found, text, name in verdicts
             if found == level]
    return level, '; '.join(texts)


def _make_stats(inference: Inference, snapshot: Snapshot, age: float | None,
                troubles: tuple[str, ...], header: Any) -> Any:
    return demt_msgs.InferenceStats(
        header=header, model=inference.model, engine=inference.engine,
        device=inference.device, precision=inference.precision,
        input_rate=snapshot.input_rate, output_rate=snapshot.output_rate,
        received=snapshot.received, processed=snapshot.processed, dropped=snapshot.dropped,
        idle=snapshot.idle,
        drop_reasons=list(snapshot.drops), drop_counts=list(snapshot.drops.values()),
        stages=list(snapshot.stages), p50_ms=[p50 for p50, _ in snapshot.stages.values()],
        p95_ms=[p95 for _, p95 in snapshot.stages.values()], last_frame_age_s=told_age(age),
        degraded=list(troubles), engine_restarts=inference.restarts)
