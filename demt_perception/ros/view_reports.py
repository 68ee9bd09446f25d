"""Messages about the node's state as plain values for the page of `demt view`. No rclpy."""

import math
import time
from typing import Any

from demt_perception.ros.health import status_name

SILENCE = 5.0
"""Seconds after which a status is no longer true."""
UNKNOWN = 3


def stats_report(message: Any, camera: str) -> dict[str, Any]:
    """Return demt_msgs/InferenceStats as a dictionary that JSON can hold."""
    return {
        'camera': camera, 'time': time.time(), 'model': message.model, 'engine': message.engine,
        'device': message.device, 'precision': message.precision,
        'input_rate': _finite(message.input_rate), 'output_rate': _finite(message.output_rate),
        'received': message.received, 'processed': message.processed,
        'dropped': message.dropped, 'idle': message.idle,
        'drops': dict(zip(message.drop_reasons, map(int, message.drop_counts), strict=False)),
        'stages': {stage: [_finite(p50), _finite(p95)] for stage, p50, p95 in zip(
            message.stages, message.p50_ms, message.p95_ms, strict=False)},
    }


def classes(table: Any) -> list[dict[str, Any]]:
    """Return the entries of demt_msgs/LabelTable: id, name, and colour in 0 to 255."""
    return [{'id': int(index), 'name': name,
             'color': [round(255 * part) for part in (color.r, color.g, color.b)]}
            for index, name, color in zip(table.ids, table.names, table.colors, strict=False)]


def class_names(entries: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return the names by id; ids that the table leaves out are called so."""
    names = {entry['id']: entry['name'] for entry in entries}
    return tuple(names.get(index, f'class {index}') for index in range(max(names, default=-1) + 1))


class Health:
    """The newest diagnostic statuses of a node."""

    def __init__(self, node: str) -> None:
        """Begin with none; ``node`` is its full name."""
        self._prefix = status_name(node, '')
        self._statuses: dict[str, tuple[float, Any]] = {}

    def add(self, message: Any) -> None:
        """Take the node's statuses out of a diagnostic_msgs/DiagnosticArray."""
        for status in message.status:
            if status.name.startswith(self._prefix):
                self._statuses[status.name] = time.monotonic(), status

    def now(self) -> list[dict[str, Any]]:
        """Return the statuses as JSON can hold them; those not heard of lately say so."""
        result = []
        for name, (came, status) in sorted(self._statuses.items()):
            silent = int(time.monotonic() - came)
            late = silent >= SILENCE
            level = status.level[0] if isinstance(status.level, bytes) else int(status.level)
            result.append({
                'name': name, 'level': UNKNOWN if late else level,
                'message': f'no report for {silent} s' if late else status.message,
                'values': [[pair.key, pair.value] for pair in status.values]})
        return result


def _finite(value: float) -> float:
    return float(value) if math.isfinite(value) else 0.0
