"""Publishes the node's state: /diagnostics, and demt_msgs/InferenceStats on ~/stats."""

from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.lifecycle import LifecycleNode
from rclpy.qos_overriding_options import QoSOverridingOptions

from demt_perception.ros.frame_statistics import Snapshot
from demt_perception.ros.health import Inference, memory_mb, values
from demt_perception.ros.optional_messages import demt_msgs


class Reports:
    """The two publishers, and the messages that go out by them."""

    def __init__(self, node: LifecycleNode) -> None:
        """Advertise the topics."""
        self._node = node
        options = QoSOverridingOptions.with_default_policies()
        self._diagnostics = node.create_publisher(
            DiagnosticArray, '/diagnostics', 10, qos_overriding_options=options)
        self._stats = demt_msgs and node.create_publisher(
            demt_msgs.InferenceStats, '~/stats', 10, qos_overriding_options=options)

    def publish(self, level: int, text: str, inference: Inference, snapshot: Snapshot,
                age: float) -> None:
        """Publish level, message and figures; ``age`` of the newest frame in seconds."""
        pairs = values(inference, snapshot, age, memory_mb())
        status = DiagnosticStatus(
            level=bytes([level]), name=f'{self._node.get_name()}: inference', message=text,
            hardware_id=inference.device,
            values=[KeyValue(key=key, value=value) for key, value in pairs.items()])
        message = DiagnosticArray(status=[status])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(message)
        if self._stats is not None:
            self._stats.publish(self._make_stats(inference, snapshot, age, message.header))

    def _make_stats(self, inference: Inference, snapshot: Snapshot, age: float,
                    header: Any) -> Any:
        return demt_msgs.InferenceStats(
            header=header, model=inference.model, engine=inference.engine,
            device=inference.device, precision=inference.precision,
            input_rate=snapshot.input_rate, output_rate=snapshot.output_rate,
            received=snapshot.received, processed=snapshot.processed, dropped=snapshot.dropped,
            idle=snapshot.idle,
            drop_reasons=list(snapshot.drops), drop_counts=list(snapshot.drops.values()),
            stages=list(snapshot.stages), p50_ms=[p50 for p50, _ in snapshot.stages.values()],
            p95_ms=[p95 for _, p95 in snapshot.stages.values()], last_frame_age_s=age)
