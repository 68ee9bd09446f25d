"""Subscribes to all images that a perception node publishes, and to its reports, and counts."""

from collections.abc import Collection
from functools import partial
import time
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image

from demt_perception.ros.outputs import outputs_of
from demt_perception.ros.serialized_image import stamp_ns

DEPTH_INFO = 'depth/camera_info'
DENSE = 'dense'  # all of them again in one message: a consumer takes the topics, or this one


class Recorder(Node):
    """Counts the messages of each topic.

    Attributes:
        topics: all that the node makes of the tasks: images, and one camera_info.
        received: by topic, when each message came (monotonic s), its stamp (ns) and latency (ms).
        sizes: by topic, bytes of the newest message.
        stats: the node's reports, demt_msgs/InferenceStats.
    """

    def __init__(self, node: str, tasks: Collection[str], given: Collection[str] = (),
                 image: str = '', dense: bool = False) -> None:
        """Subscribe to the outputs of a node, by full names.

        Args:
            node: the perception node.
            tasks: of the model that it runs.
            given: of optional outputs, those that the model gives: ``ModelCard.outputs``.
            image: the camera's topic, to hear that too; '' not.
            dense: subscribe to ``dense`` too.
        """
        super().__init__('recorder')
        from demt_msgs.msg import DensePrediction, InferenceStats
        kinds = {DEPTH_INFO: CameraInfo, DENSE: DensePrediction}
        self.topics = (*(output.topic for output in outputs_of(tasks, given)), DEPTH_INFO)
        self.received: dict[str, list[tuple[float, int, float]]] = {
            name: [] for name in ((image,) * bool(image) + self.topics + (DENSE,) * dense)}
        self.sizes: dict[str, int] = {}
        self.stats: list[Any] = []
        # Serialised: what is only counted need not be converted.
        self._listeners = [
            self.create_subscription(
                kinds.get(name, Image), name if name == image else f'{node}/{name}',
                partial(self._count, name), qos_profile_sensor_data, raw=True)
            for name in self.received
        ]
        self.create_subscription(InferenceStats, f'{node}/stats', self.stats.append, 10)

    def _count(self, name: str, data: bytes) -> None:
        now = time.monotonic()
        stamp = stamp_ns(data)
        self.received[name].append((now, stamp, (time.time_ns() - stamp) / 1e6))
        self.sizes[name] = len(data)
        self.keep(name, stamp, data, now)

    def keep(self, name: str, stamp: int, data: bytes, now: float) -> None:
        """Do nothing more with a message; for who wants more of it than its count.

        Args:
            name: of its topic, as in ``received``.
            stamp: in nanoseconds.
            data: CDR.
            now: when it came, monotonic seconds.
        """

    def outputs(self) -> int:
        """Return how many frames have come out so far."""
        return max(len(self.received[name]) for name in self.topics)


def stages_of(reports: list[Any]) -> dict[str, dict[str, float]]:
    """Return the node's percentiles by stage, the median over its reports.

    The first report is left out where there are more: it holds the cold start.
    """
    rows: dict[str, list[tuple[float, float]]] = {}
    for report in reports[1:] or reports:
        for stage, p50, p95 in zip(report.stages, report.p50_ms, report.p95_ms, strict=True):
            rows.setdefault(stage, []).append((p50, p95))
    return {stage: dict(zip(('p50_ms', 'p95_ms'), map(float, np.median(values, axis=0)),
                            strict=True))
            for stage, values in rows.items()}
