"""Subscribes to the camera and to everything that the perception node publishes, and measures.

A process of its own, started by `run.py`. It tells what happens in JSON, one object a line, on
standard output: ``first`` (the first output came), ``progress``, ``recorded`` (the others may be
stopped), ``result`` and ``pictures``. Video and sheet are made last: what was measured is told
before, should they fail.
"""

import argparse
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
from rclpy.qos import DurabilityPolicy, QoSProfile

from demt_perception.model_card import load_card, ModelCard
from demt_perception.ros.demo.panels import PanelSampler, sheet, VIEWS, write_video
from demt_perception.ros.processes import tell
from demt_perception.ros.recorder import Recorder, stages_of

FIRST_TIMEOUT = 90.0
SHEET_ROWS = 6
VIDEO_PERIOD = 0.1


class DemoRecorder(Recorder):
    """Counts, and keeps what the pictures need.

    Attributes:
        sampler: of the moments that are shown.
        label_table: the newest demt_msgs/LabelTable, or None.
    """

    def __init__(self, node: str, card: ModelCard, image: str, pictures: bool,
                 dense: bool) -> None:
        """Subscribe to the outputs of a node, by full names.

        Args:
            node: the perception node.
            card: of the model that it runs.
            image: the camera's topic; subscribed for pictures only.
            pictures: keep what video and sheet need.
            dense: subscribe to ``dense`` too.
        """
        super().__init__(node, card.tasks, card.outputs, image if pictures else '', dense)
        from demt_msgs.msg import LabelTable
        self.label_table: Any = None
        self.sampler = PanelSampler(VIDEO_PERIOD)
        self._image = image
        self._pictures = pictures
        self.create_subscription(
            LabelTable, f'{node}/semantic/label_table', self._on_label_table,
            QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))

    def keep(self, name: str, stamp: int, data: bytes, now: float) -> None:
        """Keep the camera's images and the views, as many as are shown."""
        if name == self._image:
            self.sampler.add_camera(stamp, data)
        elif name in VIEWS and self._pictures:
            self.sampler.add_view(name, stamp, data, now)

    def _on_label_table(self, message: Any) -> None:
        self.label_table = message


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


def record(recorder: DemoRecorder, watch: StateWatch, seconds: float) -> bool:
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


def measure(recorder: DemoRecorder) -> dict[str, Any]:
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


def write_pictures(recorder: DemoRecorder, card: ModelCard, folder: Path, rate: float,
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
    recorder = DemoRecorder(args.node, card, args.image, args.pictures, args.dense)
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
