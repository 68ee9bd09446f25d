"""Listens to all that the node publishes: a process of the benchmark.

Command: ``stamps`` of the frames in question, in nanoseconds, and of the ``settling`` ones before
them; what came of them is told as ``figures`` and forgotten. Also tells ``ready``, and ``first``
when the first output came.
"""

import argparse
from collections import Counter
import queue
import sys
import time
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor

from demt_perception.model_card import load_card
from demt_perception.ros.bench.commands import read_commands
from demt_perception.ros.processes import tell
from demt_perception.ros.recorder import DEPTH_INFO, Recorder, stages_of

NODE = '/demt_perception'
REPORTS = 5
"""The newest of the node's reports that count: each looks back ``frame_statistics.WINDOW``."""


def main() -> int:
    """Listen until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', required=True, help='folder of the model that the node runs')
    args = parser.parse_args()
    card = load_card(args.model)
    rclpy.init()
    recorder = Recorder(NODE, card.tasks, card.outputs)
    executor = SingleThreadedExecutor()
    executor.add_node(recorder)
    try:
        listen(recorder, executor)
    except KeyboardInterrupt:
        pass
    finally:
        recorder.destroy_node()
        rclpy.try_shutdown()
    return 0


def listen(recorder: Recorder, executor: SingleThreadedExecutor) -> None:
    """Answer commands until the input ends."""
    commands = read_commands()
    tell('ready')
    seen = False
    while True:
        executor.spin_once(0.02)
        if not seen and recorder.outputs():
            seen = True
            tell('first', time=time.time())
        try:
            command = commands.get_nowait()
        except queue.Empty:
            continue
        if command is None:
            return
        tell('figures', **figures(recorder, command['stamps'], command['settling']))


def figures(recorder: Recorder, stamps: list[int], settling: list[int]) -> dict[str, Any]:
    """Return what came of the frames of these stamps, and the node's reports; forget both.

    Args:
        recorder: that heard them.
        stamps: of the frames that count.
        settling: of those before them, of which only is told how many arrived whole.
    """
    wanted = set(stamps)
    topics: dict[str, list[float]] = {}
    last: dict[int, float] = {}
    images = [name for name in recorder.topics if name != DEPTH_INFO]
    arrived = Counter(row[1] for name in images for row in recorder.received[name])
    for name in images:
        rows = [row for row in recorder.received[name] if row[1] in wanted]
        topics[name] = [row[2] for row in rows]
        for _, stamp, latency in rows:
            last[stamp] = max(last.get(stamp, 0.0), latency)
    complete = [last[stamp] for stamp in stamps if arrived[stamp] == len(images)]
    settled = sum(arrived[stamp] == len(images) for stamp in settling)
    for rows in recorder.received.values():
        rows.clear()
    reports = recorder.stats[-REPORTS:]
    recorder.stats.clear()
    newest = reports[-1] if reports else None
    return {
        'complete': complete, 'settled': settled, 'topics': topics,
        'stages': stages_of(reports), 'counts': None if newest is None else {
            'received': newest.received, 'processed': newest.processed,
            **{reason: int(count) for reason, count in zip(
                newest.drop_reasons, newest.drop_counts, strict=True)}},
        'engine': None if newest is None else [
            newest.model, newest.engine, newest.precision, newest.device]}


if __name__ == '__main__':
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(0)
