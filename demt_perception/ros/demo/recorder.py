"""Subscribes to the camera and to everything that the perception node publishes, and measures.

A process of its own, started by `run.py`. It tells what happens in JSON, one object a line, on
standard output: ``first`` (the first output came), ``progress``, ``recorded`` (the others may be
stopped), ``result`` and ``pictures``. Video and sheet are made last: what was measured is told
before, should they fail.
"""

import argparse
from collections.abc import Collection
from functools import partial
import json
from pathlib import Path
import sys
import time
from typing import Any

import cv2
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, qos_profile_sensor_data, QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from demt_perception.model_card import load_card, ModelCard
from demt_perception.ros.demo.panels import PanelSampler, sheet, VIEWS, write_video
from demt_perception.ros.demo.serialized_image import stamp_ns
from demt_perception.ros.outputs import outputs_of

DENSE = 'dense'  # all of them again in one message: a consumer takes the topics, or this one
FIRST_TIMEOUT = 90.0
SHEET_ROWS = 6
VIDEO_PERIOD = 0.1


class Recorder(Node):
    """Counts the messages of each topic and keeps what the pictures need."""

    def __init__(self, node: str, tasks: Collection[str], image: str, pictures: bool,
                 dense: bool, given: Collection[str] = ()) -> None:
        """Subscribe to the outputs of a node, by full names.

        Args:
            node: the perception node.
            tasks: of the model that it runs.
            image: the camera's topic; subscribed for pictures only.
            pictures: keep what video and sheet need.
            dense: subscribe to ``dense`` too.
            given: of optional outputs, those that the model gives: ``ModelCard.outputs``.
        """
        super().__init__('demo_recorder')
        from demt_msgs.msg import DensePrediction, InferenceStats, LabelTable
        kinds = {'depth/camera_info': CameraInfo, DENSE: DensePrediction}
        self.topics = (*(output.topic for output in outputs_of(tasks, given)), 'depth/camera_info')
        # By topic: when each message came (monotonic s), its stamp (ns) and its latency (ms).
        self.received: dict[str, list[tuple[float, int, float]]] = {
            name: [] for name in ((image,) * pictures + self.topics + (DENSE,) * dense)}
        self.sizes: dict[str, int] = {}
        self.stats: list[Any] = []
        self.label_table: Any = None
        self.sampler = PanelSampler(VIDEO_PERIOD)
        self._image = image
        self._pictures = pictures
        # Serialised: what is only counted need not be converted.
        self._listeners = [
            self.create_subscription(
                kinds.get(name, Image), name if name == image else f'{node}/{name}',
                partial(self._on_message, name), qos_profile_sensor_data, raw=True)
            for name in self.received
        ]
        self.create_subscription(InferenceStats, f'{node}/stats', self.stats.append, 10)
        self.create_subscription(
            LabelTable, f'{node}/semantic/label_table', self._on_label_table,
            QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))

    def _on_message(self, name: str, data: bytes) -> None:
        now = time.monotonic()
        stamp = stamp_ns(data)
        self.received[name].append((now, stamp, (time.time_ns() - stamp) / 1e6))
        self.sizes[name] = len(data)
        if name == self._image:
            self.sampler.add_camera(stamp, data)
        elif name in VIEWS and self._pictures:
            self.sampler.add_view(name, stamp, data, now)

    def _on_label_table(self, message: Any) -> None:
        self.label_table = message

    def outputs(self) -> int:
        """Return how many frames have come out so far."""
        return max(len(self.received[name]) for name in self.topics)


def tell(event: str, **values: Any) -> None:
    """Write one line to the process that started this one."""
    print(json.dumps({'event': event, **values}), flush=True)


class StateWatch:
    """Asks a lifecycle node for its state, to see whether it has given up."""

    def __init__(self, recorder: Node, node: str) -> None:
        """Ask the node of that full name, about once a second."""
        self._client = recorder.create_client(GetState, f'{node}/get_state')
        self._answer: Any = None
        self._next = 0.0
        self._unconfigured = 0

    def has_failed(self) -> bool:
        """Tell whether the node stays unconfigured.

        It starts so, and configures itself at once; while it does, it does not answer.
        """
        if self._answer is not None and self._answer.done():
            state = self._answer.result().current_state.id
            self._unconfigured = (
                self._unconfigured + 1 if state == State.PRIMARY_STATE_UNCONFIGURED else 0)
            self._answer = None
        if self._answer is None and time.monotonic() > self._next and (
                self._client.service_is_ready()):
            self._next = time.monotonic() + 1.0
            self._answer = self._client.call_async(GetState.Request())
        return self._unconfigured >= 3


def record(recorder: Recorder, watch: StateWatch, seconds: float) -> bool:
    """Spin until the measurement is over; return whether anything came."""
    # One executor for all the time: `rclpy.spin_once` would serve a single message each time,
    # and the topics at the end of the list hardly ever.
    executor = SingleThreadedExecutor()
    executor.add_node(recorder)
    limit = time.monotonic() + FIRST_TIMEOUT
    while not recorder.outputs():
        executor.spin_once(0.05)
        if time.monotonic() > limit or watch.has_failed():
            return False
    begin = time.monotonic()
    tell('first', time=time.time())
    told = begin
    while (now := time.monotonic()) < begin + seconds:
        executor.spin_once(0.05)
        if now - told > 0.25:
            told = now
            tell('progress', elapsed=now - begin, frames=recorder.outputs())
    return True


def measure(recorder: Recorder) -> dict[str, Any]:
    """Return the figures of every topic, and the node's own of its last report."""
    topics = {}
    for name, rows in recorder.received.items():
        times = [row[0] for row in rows]
        latencies = [row[2] for row in rows]
        span = times[-1] - times[0] if len(times) > 1 else 0.0
        topics[name] = {
            'messages': len(rows),
            'rate': (len(rows) - 1) / span if span else 0.0,
            'bytes': recorder.sizes.get(name, 0),
            'p50_ms': float(np.percentile(latencies, 50)) if rows else None,
            'p95_ms': float(np.percentile(latencies, 95)) if rows else None,
        }
    result: dict[str, Any] = {'topics': topics, 'stats': None, 'classes': []}
    if recorder.stats:
        last = recorder.stats[-1]
        result['stats'] = {
            'model': last.model, 'engine': last.engine, 'device': last.device,
            'precision': last.precision, 'received': last.received,
            'processed': last.processed, 'dropped': last.dropped, 'idle': last.idle,
            'drop_counts': dict(zip(last.drop_reasons, map(int, last.drop_counts), strict=True)),
            'stages': stages_of(recorder.stats),
        }
    if recorder.label_table is not None:
        result['classes'] = list(recorder.label_table.names)
    return result


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


def write_pictures(recorder: Recorder, card: ModelCard, folder: Path, rate: float,
                   ) -> dict[str, str]:
    """Write video and sheet; return their paths, or nothing where no view came."""
    moments = recorder.sampler.complete()
    if not moments:
        return {}
    engine = f', {recorder.stats[-1].engine} {recorder.stats[-1].precision}' if (
        recorder.stats) else ''
    paths = {'video': str(folder / 'demo.mp4'), 'sheet': str(folder / 'sheet.png')}
    write_video(paths['video'], moments, card, f'{card.name}{engine}, {rate:.1f} frames/s')
    cv2.imwrite(paths['sheet'], sheet(moments, card, SHEET_ROWS))
    return paths


def main() -> int:
    """Record and report; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seconds', type=float, required=True)
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('--model', required=True, help='folder of the model that the node runs')
    parser.add_argument('--node', default='/demt_perception')
    parser.add_argument('--image', default='/image')
    parser.add_argument('--no-pictures', dest='pictures', action='store_false')
    parser.add_argument('--dense', action='store_true')
    args = parser.parse_args()
    rclpy.init()
    card = load_card(args.model)
    recorder = Recorder(args.node, card.tasks, args.image, args.pictures, args.dense,
                        card.outputs)
    try:
        came = record(recorder, StateWatch(recorder, args.node), args.seconds)
    finally:
        rclpy.try_shutdown()
    tell('recorded')
    if not came:
        return 1
    result = measure(recorder)
    rate = max(result['topics'][name]['rate'] for name in recorder.topics)
    tell('result', **result)
    tell('pictures', files=write_pictures(recorder, card, args.out, rate))
    return 0


if __name__ == '__main__':
    sys.exit(main())
