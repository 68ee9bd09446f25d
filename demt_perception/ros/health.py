"""Turns the node's state and statistics into a verdict and key-value pairs. No rclpy."""

from collections.abc import Mapping
from dataclasses import dataclass

from demt_perception.ros.frame_statistics import Snapshot

OK, WARN, ERROR = 0, 1, 2  # levels of diagnostic_msgs/DiagnosticStatus

# Drops that are as they should be: more frames came than the model can do.
_NORMAL = ('superseded',)
_NORMAL_EVENTS = ('camera_infos', 'resolution_changed', 'lost_in_transport')


@dataclass(frozen=True)
class Inference:
    """What runs: model, engine, device, precision; dashes before a model is loaded."""

    model: str = '-'
    engine: str = '-'
    device: str = '-'
    precision: str = '-'


def verdict(state: str, failure: str, snapshot: Snapshot, input_trouble: str) -> tuple[int, str]:
    """Return level and message for people.

    Args:
        state: unconfigured, inactive, active or finalized.
        failure: why the last transition failed, or ''.
        snapshot: what happened to the frames.
        input_trouble: why no image comes, or that images get lost; ''.
    """
    if failure:
        return ERROR, failure
    if state != 'active':
        return (WARN if state == 'unconfigured' else OK), f'{state}: no frames are processed'
    for reason in ('engine_error', 'publish_error'):
        if reason in snapshot.new:
            return ERROR, _counted(snapshot, reason)
    if input_trouble:
        return WARN, input_trouble
    troubles = [name for name in snapshot.new if name not in (*_NORMAL, *_NORMAL_EVENTS)]
    if troubles:
        return WARN, '; '.join(_counted(snapshot, name) for name in sorted(troubles))
    if snapshot.idle and not snapshot.output_rate:
        return OK, f'{snapshot.input_rate:.1f} Hz in; nobody subscribes to an output: at rest'
    latency = snapshot.stages.get('total')
    text = f'{snapshot.input_rate:.1f} Hz in, {snapshot.output_rate:.1f} Hz out'
    return OK, text + (f', {latency[0]:.0f} ms from camera to publication' if latency else '')


def values(inference: Inference, snapshot: Snapshot, age: float, memory: float) -> dict[str, str]:
    """Return the pairs of the diagnostic status.

    Args:
        inference: what runs.
        snapshot: what happened to the frames.
        age: seconds since the stamp of the newest frame; negative before the first.
        memory: resident set, MB.
    """
    pairs: dict[str, object] = {
        'engine': inference.engine, 'model': inference.model, 'device': inference.device,
        'precision': inference.precision,
        'input_rate': f'{snapshot.input_rate:.2f}', 'output_rate': f'{snapshot.output_rate:.2f}',
        'received': snapshot.received, 'processed': snapshot.processed,
        'idle': snapshot.idle, 'dropped': snapshot.dropped,
    }
    pairs |= {f'dropped_{reason}': count for reason, count in sorted(snapshot.drops.items())}
    pairs |= dict(sorted(snapshot.events.items()))
    for stage, (p50, p95) in snapshot.stages.items():
        pairs |= {f'{stage}_p50_ms': f'{p50:.2f}', f'{stage}_p95_ms': f'{p95:.2f}'}
    pairs |= {'last_frame_age_s': f'{age:.3f}', 'rss_mb': f'{memory:.0f}'}
    return {key: str(value) for key, value in pairs.items()}


def memory_mb() -> float:
    """Return the resident set of this process in MB; 0 where the system does not tell."""
    try:
        with open('/proc/self/status', encoding='ascii') as file:
            lines: Mapping[str, str] = dict(line.split(':', 1) for line in file)
        return int(lines['VmRSS'].split()[0]) / 1024
    except (OSError, KeyError, ValueError):
        return 0.0


def _counted(snapshot: Snapshot, name: str) -> str:
    detail = snapshot.details.get(name, '')
    return f'{name}: {snapshot.new[name]} new' + (f', {detail}' if detail else '')
